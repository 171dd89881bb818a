#include "sim/layout/pool_content.hpp"

#include "sim/layout/pool_map.hpp"
#include "sim/layout/spaces.hpp"

namespace tplora::core {

Content content_of_b(const Segment& piece) {
  if (piece.space == kZeros) {
    return Zeros{};
  }
  if (piece.space < 0) {
    return NeverWritten{};
  }
  return LoraBRows{.adapter = adapter_of_space(piece.space),
                   .part = part_of(part_of_space(piece.space)),
                   .first_row = piece.from};
}

Content content_of_a(const Segment& piece) {
  if (piece.space == kZeros) {
    return Zeros{};
  }
  if (piece.space < 0) {
    return NeverWritten{};
  }
  const std::int32_t part = part_of_space(piece.space);
  return LoraARows{.adapter = adapter_of_space(piece.space),
                   .part = part == kSharedA ? std::nullopt : std::optional(part_of(part)),
                   .first_index = piece.from};
}

}  // namespace tplora::core
