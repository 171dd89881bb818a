#include "tests/fuzz/target.hpp"

namespace tplora::fuzz {

using namespace core;

void suite(std::string_view bytes) {
  const ConfigFolders folders = configs();
  const auto read = parse_suite(bytes, folders.root / "suites" / "fuzz.json", folders);
  if (!read) {
    return check_error(read.error(), ".json");
  }
  for (const PreparedCase& item : read->cases) {
    check(item.contract != nullptr, "every case has its contract");
    check(item.geometry.has_value() == item.why_no_qkv.empty(),
          "every case has a geometry or says why it has none");
    const auto again = parse_case(print_case(item.spec));
    check(again && *again == item.spec, "every case has a line that parses to it");
  }
}

}  // namespace tplora::fuzz
