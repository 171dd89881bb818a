#include "sim/base/ensure.hpp"

#include <stdexcept>
#include <string>

namespace tplora::core {

// An exception, not abort(): a library never ends the process, and `main` turns it into one line.
void ensure_failed(const char* what_must_hold, SourceLine where) {
  throw std::logic_error(std::string("internal error: must hold: ") + what_must_hold + " (" +
                         where.file + ":" + std::to_string(where.line) + ")");
}

}  // namespace tplora::core
