#include "sim/model/adapter_shape.hpp"

namespace tplora::core {

std::string alpha_text(std::int64_t alpha, std::int64_t unit) {
  ensure(unit > 0, "a decimal is counted in parts of one");
  std::string text = std::to_string(alpha / unit);
  std::int64_t rest = alpha % unit;
  for (std::int64_t place = unit / 10; rest > 0; place /= 10) {
    text += place == unit / 10 ? "." : "";
    text += static_cast<char>('0' + rest / place);
    rest %= place;
  }
  return text;
}

}  // namespace tplora::core
