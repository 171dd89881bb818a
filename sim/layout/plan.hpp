// Contract x geometry x tp_size -> what each rank builds and loads. Integers only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/interval_map.hpp"
#include "sim/contract/contract.hpp"
#include "sim/layout/verdict.hpp"
#include "sim/model/geometry.hpp"

namespace tplora {

/// How the model is served.
struct Deployment {
  std::int64_t tp_size = 1;  ///< ranks in all
  std::int64_t dp_size = 1;  ///< attention data parallelism; groups of tp_size/dp_size ranks
  std::int64_t max_lora_rank = 16;
  std::int64_t slots = 2;
  std::int64_t tokens = 4;
};

/// The value of a predefined symbol of phase deployment, and of T's default; 0 for all others.
[[nodiscard]] std::int64_t symbol_value(const QkvGeometry& geometry, const Deployment& deployment,
                                        int symbol);

/// What a contract's formulas may know of an adapter.
struct AdapterShape {
  std::int64_t lora_rank = 16;
  std::int64_t lora_alpha = 16;
  std::array<bool, 3> targets = {true, true, true};  ///< by Part
  bool shared_a = false;                             ///< a fused adapter: one A for q, k and v

  [[nodiscard]] bool has(Part part) const { return targets[static_cast<std::size_t>(part)]; }
  friend bool operator==(const AdapterShape&, const AdapterShape&) = default;
};

/// One evaluated copy. Rows that a clip cut off the front or the end are not in `rows`.
struct Piece {
  int copy = 0;  ///< place in the section's list of copies
  Source source = Source::fused;
  int buffer = 0;
  std::int64_t to = 0;           ///< first row in the buffer (weight: first output column)
  std::int64_t from = 0;         ///< first row in the source tensor, as the formula says
  std::int64_t wanted_rows = 0;  ///< rows as the formula says
  std::int64_t rows = 0;         ///< rows really copied
};

/// Row spaces of the maps below: the parts' logical rows, and the one A of a fused adapter.
inline constexpr std::int32_t kSharedA = 3;
[[nodiscard]] constexpr std::int32_t space_of(Part part) {
  return static_cast<std::int32_t>(part);
}

/// What a rank is before any adapter: its group, its heads, its base weight, its buffers.
struct RankBuild {
  std::int64_t tp_rank = 0;
  std::int64_t group_size = 1;  ///< T
  std::int64_t group_rank = 0;  ///< t
  std::int64_t first_q = 0, q_heads = 0, first_kv = 0, kv_heads = 0;
  std::vector<Piece> weight;
  IntervalMap columns;     ///< local output column -> logical row (space: Part) of the base weight
  std::int64_t width = 0;  ///< local output columns
  std::vector<std::int64_t> b_rows;  ///< rows of each lora_b buffer, one slot
  std::vector<std::int64_t> a_rows;  ///< rows of each lora_a buffer, one slot
};

/// One evaluated kernel entry.
struct KernelLaunch {
  int entry = 0;
  int a = 0, b = 0;
  std::int64_t a_at = 0, b_at = 0, out = 0, rows = 0, depth = 0;
};

/// What a rank does with one adapter shape.
struct RankLoad {
  std::vector<Piece> b_pieces, a_pieces;
  std::vector<IntervalMap> b_maps;  ///< for each buffer: slice row -> logical row (space: Part)
  std::vector<IntervalMap>
      a_maps;  ///< for each buffer: row -> adapter row (space: Part or kSharedA)
  std::vector<std::int64_t> slice_rows;  ///< rows of each buffer's slice, as concatenated
  std::vector<KernelLaunch> launches;
  std::int64_t scaling_numerator = 1, scaling_denominator = 1;

  /// The factor in the engine's fp32 table.
  [[nodiscard]] float scaling() const {
    return static_cast<float>(static_cast<double>(scaling_numerator) /
                              static_cast<double>(scaling_denominator));
  }
};

/// Why a plan stops: refused or crash, at which formula or check.
struct PlanFailure {
  Verdict verdict = Verdict::refused;
  Law law = Law::check;
  std::int64_t tp_rank = 0;
  std::string sentence;  ///< what was asserted or failed, with the values of the symbols
  std::string place;     ///< file and JSON pointer
  /// A formula divides by zero or overflows: no engine asserts that, the contract is at fault.
  bool undefined = false;
};

/// Whether failures carry their sentences. A sweep of millions of plans wants verdicts only.
enum class Detail { sentences, verdicts };

/// Evaluates one contract for one geometry and deployment. Not for use from two threads at once.
class Planner {
 public:
  Planner(const Contract& contract, const QkvGeometry& geometry, const Deployment& deployment,
          Detail detail = Detail::sentences);

  /// A failure that every tp_rank shares, because it and all checks before it do not depend on the
  /// rank; found when the first rank was built.
  [[nodiscard]] bool failed_on_every_rank() const { return failed_on_every_rank_; }

  /// Builds tp_rank into `build` (reused to spare allocations: a sweep plans millions of ranks).
  /// Returns the failure, if any; buffers that did evaluate are filled in all the same.
  std::optional<PlanFailure> build(std::int64_t tp_rank, RankBuild& build);

  /// Plans the load of an adapter on the rank built last. On a failure of fit the pieces and
  /// slice_rows are filled in all the same. With `cut`, the adapter's tensors are no longer whole:
  /// they are the slices that `cut`, an earlier load of it on this rank, took of them.
  std::optional<PlanFailure> load(const AdapterShape& adapter, const RankBuild& build,
                                  RankLoad& load, const RankLoad* cut = nullptr);

  /// "text = value (h = H/T = 4, D = 256)" for a formula, with the values of the rank built last
  /// and the adapter loaded last, loop indices at their last value.
  [[nodiscard]] std::string describe(const Formula& formula) const;

 private:
  struct Target;
  [[nodiscard]] std::optional<std::int64_t> value(const Formula& formula) const {
    return formula.evaluate(values_);
  }
  bool eval(const Formula& formula, std::int64_t& out) {
    const Formula::Memo memo = formula.memo();
    const std::int64_t stamp = memo.of_rank ? rank_stamp_ : 0;
    if (memo.number >= 0 && kept_[static_cast<std::size_t>(memo.number)].stamp == stamp) {
      out = kept_[static_cast<std::size_t>(memo.number)].value;
      return true;
    }
    if (!formula.evaluate(values_, out)) {
      return stop_at(formula);
    }
    if (memo.number >= 0) {
      kept_[static_cast<std::size_t>(memo.number)] = {out, stamp};
    }
    return true;
  }
  bool stop_at(const Formula& formula);
  template <class Sentence>
  bool stop(const Sentence& sentence, const std::string& place, bool undefined = false);
  bool run_lets(Phase phase);
  bool run_rank_lets();
  std::optional<PlanFailure> run_checks(Check::When when, Verdict unnamed);
  PlanFailure check_failure(const Check& check) const;
  bool allocate(const std::vector<Buffer>& buffers, std::vector<std::int64_t>& rows);
  bool known(const Formula& formula) const;
  bool copy_rows(const std::vector<Copy>& copies, Target& target);
  bool copy_once(const Copy& copy, int number, Target& target);
  bool place_piece(const Copy& copy, const Target& target, Piece& piece);
  bool put_piece(const Copy& copy, Target& target, Piece& piece);
  bool copy_b(const AdapterShape& adapter, const RankBuild& build, RankLoad& load,
              const RankLoad* cut);
  bool copy_a(const AdapterShape& adapter, const RankBuild& build, RankLoad& load,
              const RankLoad* cut);
  bool launches(const AdapterShape& adapter, RankLoad& load);
  bool launch(const KernelEntry& entry, KernelLaunch& one);
  std::optional<PlanFailure> check_fit(const RankBuild& build, const RankLoad& load) const;
  PlanFailure failure(Verdict verdict) const;
  bool count_pieces(std::size_t count);
  template <class Body>
  bool for_each_index(const std::vector<Loop>& loops, std::size_t level, const Body& body);
  void put_source(Source source, const Target& target, std::int64_t at, std::int64_t rows,
                  std::int64_t from, IntervalMap& map) const;
  [[nodiscard]] std::int64_t source_rows(Source source) const;

  const Contract& contract_;
  QkvGeometry geometry_;
  Deployment deployment_;
  std::vector<std::int64_t> values_;
  std::vector<std::uint8_t> known_;  ///< by symbol: its value is defined at this point
  bool all_known_ = true;            ///< no let has failed yet
  /// A formula's value, by its memo number, while the stamp is the rank's (or 0, for all ranks).
  struct Kept {
    std::int64_t value = 0;
    std::int64_t stamp = -1;
  };
  std::vector<Kept> kept_;
  std::int64_t rank_stamp_ = 0;  ///< counts builds
  /// What another load repeats: copies of lora_b for the next adapter of equal targets on the rank,
  /// copies of lora_a and kernel entries for the same adapter on the next rank.
  struct Copied {
    std::vector<Piece> pieces;
    std::vector<IntervalMap> maps;
    std::vector<std::int64_t> extents;
  };
  struct KeptA {
    AdapterShape adapter;
    Copied copied;
  };
  struct KeptLaunches {
    AdapterShape adapter;
    std::vector<KernelLaunch> launches;
  };
  Copied kept_b_;
  std::int64_t kept_b_stamp_ = 0;
  std::array<bool, 3> kept_b_targets_ = {};
  std::vector<KeptA> kept_a_;
  std::vector<KeptLaunches> kept_launches_;
  std::vector<std::int64_t> a_extents_;
  Detail detail_;
  bool deployment_failed_ = false;
  bool failed_on_every_rank_ = false;
  bool checks_of_rank_ = false;             ///< a check evaluated last may differ between ranks
  Formula::Stop deployment_stop_;           ///< with deployment_failed_: why
  std::optional<std::int64_t> group_rank_;  ///< t, where a contract makes it the same on all ranks
  std::int64_t group_size_ = 0;             ///< T before any formula of a rank
  Formula::Stop failed_;                    ///< why the last evaluation failed
  std::int64_t lora_rank_ = 0;
  std::int64_t loop_steps_ = 0;  ///< of the build or load under way
  std::int64_t pieces_ = 0;      ///< since this planner was made
};

/// The order in which rows really stand in a fused tensor that a contract takes for `assumed`.
[[nodiscard]] FusedOrder true_order(const QkvGeometry& geometry, FusedOrder assumed,
                                    FusedBy fused_by);

/// Appends to `map`, from target row `at` on, the rows of q heads [first_head, first_head + heads):
/// in the halves order, without their gates first and then the gates.
void append_q_heads(const QkvGeometry& geometry, FusedOrder order, std::int64_t first_head,
                    std::int64_t heads, std::int64_t at, IntervalMap& map);

/// Appends to `map`, from target row `at` on, the logical rows that stand at rows
/// [from, from+rows) of a fused tensor in `order`. Precondition: the rows exist.
void append_fused(const QkvGeometry& geometry, FusedOrder order, std::int64_t from,
                  std::int64_t rows, std::int64_t at, IntervalMap& map);

}  // namespace tplora
