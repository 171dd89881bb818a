#include "sim/base/number_list.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {

Result<std::vector<std::int64_t>> read_number_list(const std::string& text, std::int64_t least,
                                                   std::int64_t most, const char* option,
                                                   const char* expected) {
  std::vector<std::int64_t> numbers;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, end - at);
    const std::size_t dash = item.find('-');
    const auto first = parse_decimal(item.substr(0, dash), least, most);
    const auto last =
        dash == std::string::npos ? first : parse_decimal(item.substr(dash + 1), least, most);
    if (!first || !last || *last < *first) {
      return fail(fmt::format("{} {}: expected {}", option, excerpt(text), expected));
    }
    for (std::int64_t number = *first; number <= *last; ++number) {
      numbers.push_back(number);
    }
    at = end + 1;
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

}  // namespace tplora::core
