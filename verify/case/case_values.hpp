// The values of a case line, each as text and back (docs/formats/case.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verify/case/case.hpp"

namespace tplora::core {

inline constexpr std::int64_t kMaxRanks = 1024;
inline constexpr std::int64_t kMaxSlots = 256;
inline constexpr std::int64_t kMaxLoraRank = 4096;

/// A name or path without blanks, since a case line is split at them: a blank, tab or line break
/// stands as %20 and the like, a percent sign as %25; and what a shell reads in double quotes.
[[nodiscard]] std::string escape(std::string_view text);
/// Post-condition: unescape(escape(text)) == text. A percent sign that begins no such code stands
/// for itself.
[[nodiscard]] std::string unescape(std::string_view text);

/// The value of `key`. Refused: anything but a decimal integer in [least, most].
[[nodiscard]] Result<std::int64_t> parse_number(std::string_view key, std::string_view text,
                                                std::int64_t least, std::int64_t most);

/// "a:r16:alpha32:qkv,b:r8:alpha8:fused". Refused: two adapters of one name.
[[nodiscard]] Result<std::vector<AdapterSpec>> parse_adapters(const std::string& text);
[[nodiscard]] std::string print_adapters(const std::vector<AdapterSpec>& adapters);

/// "a,-,b": numbers of the adapters, -1 for none. Refused: an adapter that does not exist.
[[nodiscard]] Result<std::vector<int>> parse_tokens(const std::string& text,
                                                    const std::vector<AdapterSpec>& adapters);
[[nodiscard]] std::string print_tokens(const std::vector<int>& tokens,
                                       const std::vector<AdapterSpec>& adapters);

/// "load:a@0,evict:a". Refused: an adapter or a slot that does not exist. What a step needs at its
/// place is looked at when slots are chosen (slots.hpp).
[[nodiscard]] Result<std::vector<PoolStep>> parse_steps(const std::string& text,
                                                        const std::vector<AdapterSpec>& adapters,
                                                        std::int64_t slots);
[[nodiscard]] std::string print_step(const PoolStep& step,
                                     const std::vector<AdapterSpec>& adapters);
[[nodiscard]] std::string print_steps(const std::vector<PoolStep>& steps,
                                      const std::vector<AdapterSpec>& adapters);

}  // namespace tplora::core
