// Whether a change of a contract repairs what is wrong and breaks nothing else.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "sim/layout/analysis.hpp"

namespace tplora::core {

/// What goes wrong where, without what stands there: two violations of one cell are one symptom.
struct SymptomKind {
  enum class What { failure, q_heads, kv_heads, pairing, base, delta, scaling, foreign };
  What what = What::failure;
  std::int64_t tp_rank = 0;
  int adapter = -1;  ///< of delta and scaling
  friend auto operator<=>(const SymptomKind&, const SymptomKind&) = default;
};

/// Wrong cells: heads with wrong owners, output columns of base and delta, one cell of all others.
/// Disagreeing replicas are no symptom: they follow from what is wrong with one of them.
class Symptoms {
 public:
  Symptoms() = default;
  explicit Symptoms(const Analysis& analysis);

  /// Whether every cell of `other` is one of these.
  [[nodiscard]] bool contain(const Symptoms& other) const;
  /// Whether any cell of `other` is.
  [[nodiscard]] bool touch(const Symptoms& other) const;
  [[nodiscard]] bool empty() const { return cells_.empty(); }
  /// Whether a plan fails, so that nothing behind it was looked at.
  [[nodiscard]] bool fail() const;
  /// How many cells.
  [[nodiscard]] std::int64_t size() const;
  /// Those of one violation; none of a disagreement.
  [[nodiscard]] static Symptoms of(const Violation& violation);
  [[nodiscard]] static Symptoms of(const PlanFailure& failure);
  /// Without the symptoms of deltas and factors of other adapters.
  [[nodiscard]] Symptoms of_adapter(int adapter) const;
  /// Whether of_adapter would have any.
  [[nodiscard]] bool concern(int adapter) const;

 private:
  using Range = std::pair<std::int64_t, std::int64_t>;
  void add(const Violation& violation);
  void merge();
  std::map<SymptomKind, std::vector<Range>> cells_;  ///< first cell and end, ascending, apart
};

}  // namespace tplora::core
