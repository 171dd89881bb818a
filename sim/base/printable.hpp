// Text of unknown origin, made fit for one line of a message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tplora::core {

/// `text` as one line of valid UTF-8 of at most `most_bytes` bytes (at least 16).
///
/// Control characters, line separators and bytes that are not UTF-8 stand as \x0a; where the line
/// would be too long, " ... " stands for its middle, since messages begin with what was found and
/// end with what was expected. Post-condition: printable(printable(t, n), n) == printable(t, n).
[[nodiscard]] std::string printable(std::string_view text, std::size_t most_bytes);

/// printable of at most 80 bytes: a value or key quoted in a sentence.
[[nodiscard]] std::string excerpt(std::string_view text);

}  // namespace tplora::core
