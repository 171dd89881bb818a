#include "verify/cli/say.hpp"

namespace tplora::core {

void say(const std::string& text, std::FILE* out) {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), out));
  static_cast<void>(std::fflush(out));
}

}  // namespace tplora::core
