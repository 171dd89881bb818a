#include "sim/base/printable.hpp"

#include <algorithm>
#include <vector>

namespace tplora::core {
namespace {

constexpr std::string_view kCut = " ... ";
constexpr std::size_t kExcerptBytes = 80;

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// Bytes of the UTF-8 sequence that `text` begins with; 0 where it begins with none.
std::size_t sequence_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t bytes = lead < 0x80U                     ? 1
                            : lead >= 0xC2U && lead < 0xE0U  ? 2
                            : lead >= 0xE0U && lead < 0xF0U  ? 3
                            : lead >= 0xF0U && lead <= 0xF4U ? 4
                                                             : 0;
  if (bytes > text.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!is_continuation(text[i])) {
      return 0;
    }
  }
  // Overlong forms, surrogates and numbers above U+10FFFF show in the second byte.
  const auto second = static_cast<unsigned char>(bytes > 1 ? text[1] : 0x80);
  const bool wrong = (lead == 0xE0U && second < 0xA0U) || (lead == 0xEDU && second >= 0xA0U) ||
                     (lead == 0xF0U && second < 0x90U) || (lead == 0xF4U && second >= 0x90U);
  return wrong ? 0 : bytes;
}

/// C0 and C1 controls, DEL, and the two separators that some readers end a line at.
bool breaks_a_line(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  return first < 0x20U || first == 0x7FU ||
         (first == 0xC2U && static_cast<unsigned char>(sequence[1]) < 0xA0U) ||
         sequence == "\xE2\x80\xA8" || sequence == "\xE2\x80\xA9";
}

/// Calls `body` with each character of `text` as it is shown.
template <class Body>
void for_each_shown(std::string_view text, Body body) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  while (!text.empty()) {
    const std::size_t bytes = sequence_bytes(text);
    const std::string_view one = text.substr(0, std::max<std::size_t>(1, bytes));
    if (bytes > 0 && !breaks_a_line(one)) {
      body(std::string(one));
    } else {
      for (const char c : one) {
        const auto byte = static_cast<unsigned char>(c);
        body(std::string{'\\', 'x', kDigits[byte >> 4U], kDigits[byte & 15U]});
      }
    }
    text.remove_prefix(one.size());
  }
}

/// The start of `text` as shown, as far as it fits.
std::string shown_head(std::string_view text, std::size_t most_bytes) {
  std::size_t end = std::min(text.size(), most_bytes);
  while (end > 0 && end < text.size() && is_continuation(text[end])) {
    --end;
  }
  std::string head;
  bool full = false;
  for_each_shown(text.substr(0, end), [&](const std::string& one) {
    full = full || head.size() + one.size() > most_bytes;
    head += full ? "" : one;
  });
  return head;
}

/// The end of `text` as shown, as far as it fits.
std::string shown_tail(std::string_view text, std::size_t most_bytes) {
  std::size_t begin = text.size() - std::min(text.size(), most_bytes);
  while (begin < text.size() && is_continuation(text[begin])) {
    ++begin;
  }
  std::vector<std::string> shown;
  for_each_shown(text.substr(begin), [&](const std::string& one) { shown.push_back(one); });
  std::size_t bytes = 0;
  auto first = shown.rbegin();
  while (first != shown.rend() && bytes + first->size() <= most_bytes) {
    bytes += first->size();
    ++first;
  }
  std::string tail;
  std::for_each(first.base(), shown.end(), [&](const std::string& one) { tail += one; });
  return tail;
}

}  // namespace

std::string printable(std::string_view text, std::size_t most_bytes) {
  if (text.size() <= most_bytes) {
    std::string line;
    for_each_shown(text, [&](const std::string& one) { line += one; });
    if (line.size() <= most_bytes) {
      return line;
    }
  }
  const std::size_t half = (most_bytes - kCut.size()) / 2;
  return shown_head(text, half) + std::string(kCut) + shown_tail(text, half);
}

std::string excerpt(std::string_view text) {
  return printable(text, kExcerptBytes);
}

}  // namespace tplora::core
