// Text inside XML and HTML.
#pragma once

#include <string>

namespace tplora::core {

/// Characters of a text that XML and HTML may hold, in text and in attributes, with their own
/// escaped; other control characters as "?".
[[nodiscard]] std::string xml(const std::string& text);

}  // namespace tplora::core
