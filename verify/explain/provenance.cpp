#include "verify/explain/provenance.hpp"

#include <algorithm>

#include "sim/pool/flat_pool.hpp"

namespace tplora::core {
namespace {

/// An adapter every element of which says where it stands.
class LabelledAdapter final : public AdapterRows<Label> {
 public:
  LabelledAdapter(int number, const AdapterShape& shape)
      : number_(number), b_(static_cast<std::size_t>(shape.largest_rank())) {}

  [[nodiscard]] const Label* a_row(std::int32_t space, std::int64_t row) const override {
    a_ = Label::of(number_, space, row, 0);
    return &a_;
  }
  [[nodiscard]] const Label* b_row(std::int32_t space, std::int64_t row) const override {
    for (std::size_t col = 0; col < b_.size(); ++col) {
      b_[col] = Label::of(number_, space, row, static_cast<std::int64_t>(col));
    }
    return b_.data();
  }

 private:
  int number_;
  mutable Label a_;  // scratch: a row is copied before the next one is asked for
  mutable std::vector<Label> b_;
};

FlatPool<Label> labelled_pool(const Contract& contract, const LayoutCase& input,
                              const std::vector<PoolEvent>& events, const RankState& rank) {
  const Label fresh{contract.pool.fresh == PoolFresh::zero ? 0 : Label::kNeverWritten};
  FlatPool<Label> pool(rank.build, input.deployment, 1, Label{Label::kOutside}, fresh);
  for (int event = 0; event < static_cast<int>(events.size()); ++event) {
    const PoolEvent& one = events[static_cast<std::size_t>(event)];
    if (one.slot >= 0) {
      pool.load(contract, rank.load(event), one.shape, LabelledAdapter(one.adapter, one.shape),
                one.slot);
    }
  }
  return pool;
}

/// What a label stands for, as `operand` of the delta.
enum class Operand { a, b };

Content content_of(Label label, Operand operand) {
  if (label.is_outside()) {
    return Outside{};
  }
  if (label.is_zero()) {
    return Zeros{};
  }
  if (label.is_never_written()) {
    return NeverWritten{};
  }
  const std::int32_t space = label.space();
  const std::optional<Part> part =
      space == kSharedA ? std::nullopt : std::optional(static_cast<Part>(space));
  if (operand == Operand::a) {
    return LoraARows{.adapter = label.adapter(), .part = part, .first_index = label.row()};
  }
  return LoraBRows{
      .adapter = label.adapter(), .part = part.value_or(Part::q), .first_row = label.row()};
}

/// Whether the product of two elements may be other than zero.
bool adds_something(Label a, Label b) {
  const auto unknown = [](Label label) { return label.is_outside() || label.is_never_written(); };
  return (!a.is_zero() && !b.is_zero()) || unknown(a) || unknown(b);
}

/// What one wrong column reads.
struct Read {
  Content found;
  std::optional<std::int64_t> slot;
};

Read read_of(Label label, Operand operand, std::int64_t slot) {
  return {content_of(label, operand), label.is_outside() ? std::nullopt : std::optional(slot)};
}

bool continues(const Provenance& last, std::int64_t column, const Read& read) {
  if (last.column + last.rows != column || last.slot != read.slot) {
    return false;
  }
  if (const auto* b = std::get_if<LoraBRows>(&read.found)) {
    const auto* before = std::get_if<LoraBRows>(&last.found);
    return before != nullptr && before->adapter == b->adapter && before->part == b->part &&
           before->first_row + last.rows == b->first_row;
  }
  if (const auto* a = std::get_if<LoraARows>(&read.found)) {
    const auto* before = std::get_if<LoraARows>(&last.found);
    return before != nullptr && before->adapter == a->adapter && before->part == a->part &&
           before->first_index + last.rows == a->first_index;
  }
  return last.found == read.found;
}

/// The labels that meet in one output column.
class Tracer {
 public:
  Tracer(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
         std::int64_t tp_rank, const LiveAdapter& live)
      : live_(live),
        slots_(input.deployment.slots),
        rank_(analysis.ranks[static_cast<std::size_t>(tp_rank)]) {
    const std::int64_t group_size = rank_.build.group_size;
    const std::int64_t first = tp_rank / group_size * group_size;
    const bool gathers = contract.lora_a.gather == Gather::tp;
    for (std::int64_t peer = gathers ? first : tp_rank;
         peer < (gathers ? first + group_size : tp_rank + 1); ++peer) {
      pools_.push_back(labelled_pool(contract, input, analysis.events,
                                     analysis.ranks[static_cast<std::size_t>(peer)]));
    }
    own_ = gathers ? static_cast<std::size_t>(tp_rank - first) : 0;
  }

  [[nodiscard]] std::vector<Provenance> trace(std::int64_t begin, std::int64_t end) const {
    std::vector<Provenance> list;
    const RankLoad& load = rank_.load(live_.event);
    for (const KernelLaunch& launch : load.launches) {
      const std::int64_t from = std::max(begin, launch.out);
      const std::int64_t stop = std::min({end, launch.out + launch.rows, rank_.build.width});
      rank_.due.visit(from, std::max(from, stop), [&](const Segment& stretch) {
        for (std::int64_t i = 0; i < stretch.rows && stretch.space >= 0; ++i) {
          const auto wrong = wrong_read(launch, stretch.at + i, stretch.space, stretch.from + i);
          if (!wrong) {
            continue;
          }
          if (!list.empty() && continues(list.back(), stretch.at + i, *wrong)) {
            ++list.back().rows;
          } else {
            list.push_back({stretch.at + i, 1, wrong->found, wrong->slot});
          }
        }
      });
    }
    return list;
  }

 private:
  [[nodiscard]] std::optional<Read> wrong_read(const KernelLaunch& launch, std::int64_t column,
                                               std::int32_t space, std::int64_t row) const {
    const bool targeted = live_.shape.has(static_cast<Part>(space));
    const std::int64_t wanted = targeted ? live_.shape.rank_of(static_cast<Part>(space)) : 0;
    const std::int64_t b_row = launch.b_at + column - launch.out;
    const std::int64_t slot_rows = rank_.build.b_rows[static_cast<std::size_t>(launch.b)];
    const std::int64_t slot_size = slot_rows * pools_[own_].b(launch.b).cols;
    for (std::int64_t q = 0; q < launch.depth; ++q) {
      const std::int64_t offset = b_row * launch.b_stride + q;
      const std::int64_t slot = live_.slot + (slot_size == 0 ? slots_ : offset / slot_size);
      const Label b = pools_[own_].b(launch.b, live_.slot, offset);
      const Label a = a_label(launch, q);
      const std::int32_t a_space = live_.shape.shared_a ? kSharedA : space;
      if (q < wanted ? !(b == Label::of(live_.adapter, space, row, q)) : adds_something(a, b)) {
        return q >= wanted && b.is_zero() ? read_of(a, Operand::a, live_.slot)
                                          : read_of(b, Operand::b, slot);
      }
      if (q < wanted && !(a == Label::of(live_.adapter, a_space, q, 0))) {
        return read_of(a, Operand::a, live_.slot);
      }
    }
    return launch.depth < wanted ? std::optional(Read{NeverWritten{}, std::nullopt}) : std::nullopt;
  }

  /// The label of gathered A row `a_at + q`.
  [[nodiscard]] Label a_label(const KernelLaunch& launch, std::int64_t q) const {
    const auto& own = pools_[own_].a(launch.a);
    const std::int64_t row = launch.a_at + q;
    const std::int64_t peer = own.rows == 0 ? 0 : row / own.rows;
    if (own.rows == 0 || peer >= static_cast<std::int64_t>(pools_.size())) {
      return Label{Label::kOutside};
    }
    const auto& tensor = pools_[static_cast<std::size_t>(peer)].a(launch.a);
    return tensor.memory[static_cast<std::size_t>(tensor.row_begin(live_.slot, row % own.rows))];
  }

  const LiveAdapter& live_;
  std::int64_t slots_;
  const RankState& rank_;
  std::vector<FlatPool<Label>> pools_;
  std::size_t own_ = 0;
};

}  // namespace

std::vector<Provenance> trace_delta(const Contract& contract, const LayoutCase& input,
                                    const Analysis& analysis, std::int64_t tp_rank,
                                    const LiveAdapter& live, std::int64_t begin, std::int64_t end) {
  return Tracer(contract, input, analysis, tp_rank, live).trace(begin, end);
}

}  // namespace tplora::core
