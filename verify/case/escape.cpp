// Names and paths in a case line, which is split at blanks.
#include <algorithm>
#include <array>

#include "verify/case/case_values.hpp"

namespace tplora::core {
namespace {

/// What would end a value, what a shell would not leave alone in the double quotes in which lines
/// are printed, and the sign that the codes begin with.
struct Code {
  char plain;
  std::string_view code;
};
constexpr std::array<Code, 12> kCodes = {{{' ', "%20"},
                                          {'\t', "%09"},
                                          {'\n', "%0A"},
                                          {'\v', "%0B"},
                                          {'\f', "%0C"},
                                          {'\r', "%0D"},
                                          {'"', "%22"},
                                          {'$', "%24"},
                                          {'`', "%60"},
                                          {'\\', "%5C"},
                                          {'!', "%21"},
                                          {'%', "%25"}}};

}  // namespace

std::string escape(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto* code = std::find_if(kCodes.begin(), kCodes.end(),
                                    [&](const Code& known) { return known.plain == c; });
    line += code == kCodes.end() ? std::string(1, c) : std::string(code->code);
  }
  return line;
}

std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto* code = std::find_if(kCodes.begin(), kCodes.end(), [&](const Code& known) {
      return text.substr(i).starts_with(known.code);
    });
    plain += code == kCodes.end() ? text[i] : code->plain;
    i += code == kCodes.end() ? 0 : code->code.size() - 1;
  }
  return plain;
}

}  // namespace tplora::core
