// The outcomes of a plan and the laws it must keep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tplora {

/// What a contract does to one layer at one tp_size; over several ranks the worst counts.
/// The order is the order of severity in a report: a later one hides an earlier one.
enum class Verdict {
  not_applicable,  ///< the layer has no qkv projection
  consistent,      ///< every law holds
  silent,          ///< all shapes agree and another law is broken: wrong content is served
  crash,           ///< the base layer is fine, a LoRA formula, check or law 1 fails
  refused,         ///< let, weight or a check marked refused fails: rejected before LoRA matters
};
[[nodiscard]] std::string_view verdict_name(Verdict verdict);
[[nodiscard]] std::optional<Verdict> verdict_of(std::string_view name);

/// The eight laws (docs/laws.md), and `check` for a formula or assertion that fails by itself.
enum class Law {
  check,      ///< a formula or check of the contract fails: refused or crash, not a broken law
  fit,        ///< 1: each slice fits its buffer view as the engine asserts it
  identity,   ///< 2: B row, A rows, base weight and bias of a column are the same logical output
  bounds,     ///< 3: no kernel reads outside its slot or writes outside its output row
  cover,      ///< 4: gathered logical column c is logical column c, each once (k, v once a replica)
  agreement,  ///< 5: replicas of a KV head are equal bit for bit
  residue,    ///< 6: nothing of an earlier tenant, a neighbour slot or unwritten memory arrives
  pairing,    ///< 7: the KV heads a rank owns are those of its query heads
  scaling,    ///< 8: an adapter's delta is multiplied by its lora_alpha / lora_rank, once
};
inline constexpr std::size_t kLawCount = 9;
[[nodiscard]] std::string_view law_name(Law law);

}  // namespace tplora
