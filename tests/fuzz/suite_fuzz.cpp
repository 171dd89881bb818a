#include <algorithm>
#include <span>

#include "tests/fuzz/target.hpp"

namespace tplora::fuzz {

void suite(std::string_view bytes) {
  const ConfigFolders folders = configs();
  const auto read = parse_suite(bytes, folders.root / "suites" / "fuzz.json", folders);
  if (!read) {
    return check_error(read.error(), ".json");
  }
  // A few bytes may stand for 100,000 cases.
  constexpr std::size_t kLookedAt = 2000;
  const std::span cases(read->cases);
  for (const PreparedCase& item : cases.first(std::min(kLookedAt, cases.size()))) {
    check(item.contract != nullptr, "every case has its contract");
    check(item.geometry.has_value() == item.why_no_qkv.empty(),
          "every case has a geometry or says why it has none");
    const auto again = parse_case(print_case(item.one));
    check(again && *again == item.one, "every case has a line that parses to it");
  }
}

}  // namespace tplora::fuzz
