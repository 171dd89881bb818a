#include "tests/fuzz/target.hpp"
#include "verify/case/case.hpp"

namespace tplora::fuzz {

using namespace core;
void case_line(std::string_view bytes) {
  const auto one = parse_case(std::string(bytes));
  if (!one) {
    return check_error(one.error(), "case line");
  }
  const auto again = parse_case(print_case(*one));
  check(again && *again == *one, "a printed case parses to itself");
  check(print_case(*again) == print_case(*one), "the printed line is canonical");
  auto layers = prepare_all_layers(*one, configs());
  if (!layers) {
    return check_error(layers.error(), "");
  }
  for (PreparedCase& item : *layers) {
    const auto resolved = parse_case(print_case(item.spec));
    check(resolved && *resolved == item.spec, "a resolved case parses to itself");
    run_case(std::move(item));
  }
}

}  // namespace tplora::fuzz
