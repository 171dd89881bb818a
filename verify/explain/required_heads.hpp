// Which heads ranks could own: the dealings of heads to ranks that a contract may have meant.
#pragma once

#include <vector>

#include "sim/layout/view.hpp"
#include "verify/explain/group_facts.hpp"
#include "verify/explain/required.hpp"

namespace tplora::core {

/// The heads of one rank.
struct Share {
  HeadRange q, kv;
  /// Of a rank without query heads it is no matter where they begin, nor which KV heads it has.
  [[nodiscard]] bool fits(const Share& own) const;
};

/// The heads of every rank, by tp_rank.
using Dealing = std::vector<Share>;

/// What each rank owns as the contract has it.
[[nodiscard]] Dealing owned(const GroupFacts& facts);

/// Dealings that give every query head of a layer to one rank, or come as near to it as the
/// contract's own numbers allow, each once and none as it is already:
///  - each KV head's query heads dealt out among the ranks that hold it, equally (floor, or ceil
///  with
///    the last ranks short), with the KV heads as they are, or themselves dealt out equally;
///  - query heads dealt out equally, with the KV heads they need;
///  - ranks that begin where the one before ends, end where the next begins, or follow each other
///    with the counts they have.
[[nodiscard]] std::vector<Dealing> dealings(const GroupFacts& facts);

/// By how much a let must grow on each rank for what it owns to come to a dealing; nothing where no
/// value does.
[[nodiscard]] Corrections let_for_dealing(const GroupFacts& facts,
                                          const std::vector<FormulaSite>& sites,
                                          const std::vector<Formula*>& formulas, std::size_t let,
                                          const Dealing& dealing);

}  // namespace tplora::core
