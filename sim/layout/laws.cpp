#include "sim/layout/laws.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "sim/base/checked.hpp"

namespace tplora {
namespace {

using Field = FormulaRef::Field;
using Section = FormulaRef::Section;

Holder base_holder(const Segment& piece) {
  if (piece.space == kZeros) {
    return {.kind = Holder::Kind::zeros};
  }
  if (piece.space < 0) {
    return {.kind = Holder::Kind::nothing};
  }
  return {.kind = Holder::Kind::rows, .part_space = piece.space, .first_row = piece.from};
}

/// The last piece that covers `row` of `buffer`, rows that a clip cut off included; nullptr: none.
const Piece* piece_at(std::span<const Piece> pieces, int buffer, std::int64_t row) {
  const Piece* found = nullptr;
  for (const Piece& piece : pieces) {
    if (piece.buffer == buffer && piece.to <= row && row < piece.to + piece.wanted_rows) {
      found = &piece;
    }
  }
  return found;
}

/// Whether `row` of `space` stands somewhere in the map.
bool holds_row(const IntervalMap& map, std::int32_t space, std::int64_t row) {
  return std::any_of(map.segments().begin(), map.segments().end(), [&](const Segment& segment) {
    return segment.space == space && segment.from <= row && row < segment.from + segment.rows;
  });
}

bool takes_from(const Piece& piece, std::int32_t space) {
  return piece.source == Source::fused || piece.source == Source::shared ||
         static_cast<std::int32_t>(piece.source) == space;
}

/// Why `row` of `space` was never copied. Copies that only this part can have come from are to
/// blame for it: for their `rows` where they start right and end too early, else for their `from`.
/// Of copies out of a fused tensor it is the one that reaches nearest before it. Nothing: no copy
/// takes from the part.
std::optional<FormulaRef> missing_copy(Section section, std::span<const Piece> pieces,
                                       std::span<const IntervalMap> maps, std::int32_t space,
                                       std::int64_t row) {
  const Piece* nearest = nullptr;
  bool starts_right = false;
  for (const Piece& piece : pieces) {
    if (!takes_from(piece, space)) {
      continue;
    }
    // The rows of this part that the piece did bring.
    std::int64_t end = -1;
    maps[static_cast<std::size_t>(piece.buffer)].visit(
        piece.to, piece.to + piece.rows, [&](const Segment& segment) {
          if (segment.space == space && segment.from <= row) {
            end = std::max(end, segment.from + segment.rows);
          }
        });
    const bool own = piece.source != Source::fused && piece.source != Source::shared;
    const bool right = end >= 0 || (own && piece.from <= row && piece.rows == piece.wanted_rows);
    if (nearest == nullptr || (right && !starts_right)) {
      nearest = &piece;
      starts_right = right;
    }
  }
  if (nearest == nullptr) {
    return std::nullopt;
  }
  const bool short_rows = starts_right && nearest->rows == nearest->wanted_rows;
  return FormulaRef{section, nearest->copy, short_rows ? Field::rows : Field::from};
}

/// Columns a rank's attention expects to find locally, in the view's order.
IntervalMap local_view(const QkvGeometry& geometry, const RankBuild& build, FusedOrder order) {
  IntervalMap expected;
  std::int64_t at = 0;
  const auto put = [&](Part part, std::int64_t first_head, std::int64_t heads) {
    const std::int64_t rows = geometry.rows_per_head(part);
    if (part == Part::q) {
      append_q_heads(geometry, order, first_head, heads, at, expected);
    } else {
      expected.append(at, heads * rows, space_of(part), first_head * rows);
    }
    at += heads * rows;
  };
  const bool grouped = order != FusedOrder::blocks && build.kv_heads > 0;
  const std::int64_t groups = grouped ? build.kv_heads : 1;
  for (std::int64_t i = 0; i < groups; ++i) {
    const std::int64_t q_heads = build.q_heads / groups;
    const std::int64_t kv_heads = build.kv_heads / groups;
    put(Part::q, build.first_q + i * q_heads, q_heads);
    put(Part::k, build.first_kv + i * kv_heads, kv_heads);
    put(Part::v, build.first_kv + i * kv_heads, kv_heads);
  }
  return expected;
}

/// What put the wrong row into `column`, or kept the right one away.
FormulaRef column_cause(const RankBuild& build, std::int32_t space, std::int64_t row,
                        std::int64_t column) {
  if (space >= 0 && !holds_row(build.columns, space, row)) {
    if (const auto cause =
            missing_copy(Section::weight, build.weight, {&build.columns, 1}, space, row)) {
      return *cause;
    }
  }
  const Piece* piece = piece_at(build.weight, 0, column);
  return {Section::weight, piece == nullptr ? 0 : piece->copy, Field::from};
}

/// Compares what a rank's columns hold with what is expected from global column `begin` on.
void compare_columns(const RankBuild& build, const IntervalMap& expected, std::int64_t begin,
                     std::vector<Violation>& violations) {
  expected.visit(begin, begin + build.width, [&](const Segment& want) {
    build.columns.visit(want.at - begin, want.end() - begin, [&](const Segment& piece) {
      const std::int64_t skipped = piece.at - (want.at - begin);
      if (want.space >= 0 && piece.space == want.space && piece.from == want.from + skipped) {
        return;
      }
      violations.push_back(
          {.law = Law::cover,
           .side = Violation::Side::weight,
           .tp_rank = build.tp_rank,
           .part = want.space >= 0 ? std::optional(static_cast<Part>(want.space)) : std::nullopt,
           .first_row = want.space >= 0 ? want.from + skipped : 0,
           .rows = piece.rows,
           .column = piece.at,
           .holder = base_holder(piece),
           .cause = column_cause(build, want.space, want.from + skipped, piece.at)});
    });
  });
}

/// Rows of the base layer that no column holds, told on the rank whose columns end too early.
Violation missing_columns(const Contract& contract, const RankBuild& build, Part part,
                          std::int64_t first_row, std::int64_t rows) {
  return {
      .law = Law::cover,
      .side = Violation::Side::weight,
      .tp_rank = build.tp_rank,
      .part = part,
      .first_row = first_row,
      .rows = rows,
      .column = build.width,
      .holder = {},
      .cause = {Section::weight, static_cast<int>(contract.weight.copies.size()) - 1, Field::rows}};
}

void check_view(const Contract& contract, const QkvGeometry& geometry,
                std::span<const RankState> group, std::vector<Violation>& violations) {
  if (contract.view.gather == ViewGather::all) {
    IntervalMap expected;
    append_fused(geometry, contract.view.order, 0, geometry.total_rows(), 0, expected);
    std::int64_t begin = 0;
    for (const RankState& rank : group) {
      compare_columns(rank.build, expected, begin, violations);
      begin += rank.build.width;
    }
    // What lies behind the last rank's columns is missing.
    expected.visit(begin, std::max(begin, geometry.total_rows()), [&](const Segment& want) {
      violations.push_back(missing_columns(contract, group.back().build,
                                           static_cast<Part>(want.space), want.from, want.rows));
    });
    return;
  }
  for (const RankState& rank : group) {
    const RankBuild& build = rank.build;
    if (owes_nothing(contract, build)) {
      continue;
    }
    const IntervalMap expected = local_view(geometry, build, contract.view.order);
    const std::int64_t width = expected.empty() ? 0 : expected.segments().back().end();
    if (width == build.width && expected == build.columns) {
      continue;  // the usual case, without splitting
    }
    compare_columns(build, expected, 0, violations);
    expected.visit(build.width, std::max(build.width, width), [&](const Segment& want) {
      violations.push_back(
          missing_columns(contract, build, static_cast<Part>(want.space), want.from, want.rows));
    });
  }
}

/// q or k, whichever owned heads do not exist; nothing where all do.
std::optional<Part> heads_that_do_not_exist(const QkvGeometry& geometry, const RankBuild& build) {
  const auto inside = [](std::int64_t first, std::int64_t count, std::int64_t heads) {
    return first >= 0 && count >= 0 && count <= heads && first <= heads - count;
  };
  if (!inside(build.first_q, build.q_heads, geometry.num_attention_heads)) {
    return Part::q;
  }
  return inside(build.first_kv, build.kv_heads, geometry.num_key_value_heads)
             ? std::nullopt
             : std::optional(Part::k);
}

Violation heads_violation(Law law, const RankBuild& build, Part part, std::int64_t first_head,
                          std::int64_t heads, Field field) {
  return {.law = law,
          .side = Violation::Side::heads,
          .tp_rank = build.tp_rank,
          .part = part,
          .first_row = first_head,
          .rows = heads,
          .holder = {},
          .cause = {Section::owns, 0, field}};
}

/// Heads [first, first + count) of q or k/v that a rank owns.
struct OwnedHeads {
  std::int64_t first = 0, count = 0;
  [[nodiscard]] std::int64_t end() const { return first + count; }
};

OwnedHeads owned_heads(const RankBuild& build, Part part) {
  return part == Part::q ? OwnedHeads{build.first_q, build.q_heads}
                         : OwnedHeads{build.first_kv, build.kv_heads};
}

/// The usual case, without counting: ranks own runs of heads that follow each other, each run
/// `times` times, to the last head.
bool heads_in_order(std::span<const RankState> group, Part part, std::int64_t heads,
                    std::int64_t times) {
  OwnedHeads run;
  std::int64_t owners = times;
  for (const RankState& rank : group) {
    const OwnedHeads own = owned_heads(rank.build, part);
    const bool again = owners < times && own.first == run.first && own.count == run.count;
    if (!again && (owners != times || own.first != run.end())) {
      return false;
    }
    owners = again ? owners + 1 : 1;
    run = own;
  }
  return owners == times && run.end() == heads;
}

/// Whether each rank owns exactly the KV heads its query heads belong to, so that a KV head has as
/// many owners as its query heads have.
bool heads_together(const QkvGeometry& geometry, std::span<const RankState> group) {
  const std::int64_t run = geometry.num_attention_heads / geometry.num_key_value_heads;
  return std::all_of(group.begin(), group.end(), [&](const RankState& rank) {
    const OwnedHeads q = owned_heads(rank.build, Part::q);
    const OwnedHeads kv = owned_heads(rank.build, Part::k);
    return q.count == 0 ? kv.count == 0
                        : q.first / run == kv.first && (q.end() - 1) / run == kv.end() - 1;
  });
}

/// How many ranks own each head and have query heads at all: the others owe nobody a KV head.
std::vector<std::int64_t> owners_of(std::span<const RankState> group, Part part,
                                    std::int64_t heads) {
  std::vector<std::int64_t> owners(static_cast<std::size_t>(heads), 0);
  for (const RankState& rank : group) {
    const OwnedHeads own = owned_heads(rank.build, part);
    for (std::int64_t head = own.first; rank.build.q_heads > 0 && head < own.end(); ++head) {
      ++owners[static_cast<std::size_t>(head)];
    }
  }
  return owners;
}

/// How many ranks own a query head of each KV head: that many replicas it must have.
std::vector<std::int64_t> replicas_of(const QkvGeometry& geometry,
                                      std::span<const RankState> group) {
  const std::int64_t run = geometry.num_attention_heads / geometry.num_key_value_heads;
  std::vector<std::int64_t> replicas(static_cast<std::size_t>(geometry.num_key_value_heads), 0);
  for (const RankState& rank : group) {
    const OwnedHeads own = owned_heads(rank.build, Part::q);
    for (std::int64_t kv = own.first / run; own.count > 0 && kv * run < own.end(); ++kv) {
      ++replicas[static_cast<std::size_t>(kv)];
    }
  }
  return replicas;
}

/// Whether ranks own as many heads in all as they must, so that it is their first heads that are
/// wrong.
bool counts_are_right(std::span<const RankState> group, Part part, std::int64_t wanted) {
  const std::int64_t owned = std::accumulate(
      group.begin(), group.end(), std::int64_t{0}, [&](std::int64_t sum, const RankState& rank) {
        const bool owes = rank.build.q_heads > 0;
        return sum + (owes ? owned_heads(rank.build, part).count : 0);
      });
  return owned == wanted;
}

/// Law 4, the heads: within a group each q head is owned once, each KV head once a replica.
void check_coverage(const QkvGeometry& geometry, std::span<const RankState> group,
                    std::vector<Violation>& violations) {
  const std::int64_t kv = geometry.num_key_value_heads;
  const auto ranks = static_cast<std::int64_t>(group.size());
  if (heads_together(geometry, group) &&
      heads_in_order(group, Part::q, geometry.num_attention_heads, 1) &&
      heads_in_order(group, Part::k, kv, std::max<std::int64_t>(1, ranks / kv))) {
    return;
  }
  const auto compare = [&](Part part, const std::vector<std::int64_t>& wanted) {
    const auto owners = owners_of(group, part, static_cast<std::int64_t>(wanted.size()));
    const bool right = counts_are_right(
        group, part, std::accumulate(wanted.begin(), wanted.end(), std::int64_t{0}));
    for (std::size_t head = 0; head < owners.size(); ++head) {
      if (owners[head] != wanted[head]) {
        violations.push_back(heads_violation(
            Law::cover, group.front().build, part, static_cast<std::int64_t>(head), 1,
            right ? (part == Part::q ? Field::first_q : Field::first_kv)
                  : (part == Part::q ? Field::q_heads : Field::kv_heads)));
        violations.back().holder.first_row = owners[head];
      }
    }
  };
  compare(Part::q,
          std::vector<std::int64_t>(static_cast<std::size_t>(geometry.num_attention_heads), 1));
  compare(Part::k, replicas_of(geometry, group));
}

/// Law 7. Attention pairs local query heads with local KV heads in equal runs, so run j of the
/// owned query heads must belong to owned KV head j.
void check_pairing(const QkvGeometry& geometry, const RankBuild& build,
                   std::vector<Violation>& violations) {
  const std::int64_t group_heads = geometry.num_attention_heads / geometry.num_key_value_heads;
  if (build.q_heads == 0) {
    return;  // no query head of this rank looks at a KV head
  }
  if (build.kv_heads == 0 || build.q_heads % build.kv_heads != 0) {
    violations.push_back(heads_violation(Law::pairing, build, Part::k, build.first_kv,
                                         build.kv_heads, Field::kv_heads));
    return;
  }
  const std::int64_t run = build.q_heads / build.kv_heads;
  for (std::int64_t j = 0; j < build.kv_heads && run > 0; ++j) {
    const std::int64_t first = (build.first_q + j * run) / group_heads;
    const std::int64_t last = (build.first_q + (j + 1) * run - 1) / group_heads;
    if (first != build.first_kv + j || last != first) {
      violations.push_back(
          heads_violation(Law::pairing, build, Part::k, build.first_kv + j, 1, Field::first_kv));
      violations.back().holder = {.kind = Holder::Kind::rows, .first_row = first};
    }
  }
}

/// One (rank, live adapter): follows every kernel launch through A, B and the columns.
class DeltaCheck {
 public:
  DeltaCheck(const Contract& contract, const Deployment& deployment, const RankState& rank,
             const LiveAdapter& live, const std::vector<IntervalMap>& gathered,
             std::vector<Violation>& violations)
      : contract_(contract),
        slots_(deployment.slots),
        rank_(rank),
        load_(rank_.load(live.event)),
        live_(live),
        violations_(violations),
        a_(contract.lora_a.gather == Gather::none ? rank.pool.slot(live.slot).a : gathered) {}

  void run() {
    for (const KernelLaunch& launch : load_.launches) {
      check_launch(launch);
    }
    check_columns();
  }

 private:
  /// Splits a launch by output column, then by slot and B row, then by A row and B column.
  void check_launch(const KernelLaunch& launch) {
    launch_ = &launch;
    const std::int64_t width = rank_.build.width;
    const std::int64_t end = std::min(launch.out + launch.rows, width);
    if (launch.rows > 0 && launch.out + launch.rows > width) {
      const std::int64_t first = std::max(launch.out, width);
      report({.law = Law::bounds,
              .side = Violation::Side::kernel,
              .rows = launch.out + launch.rows - first,
              .column = first,
              .holder = {.kind = Holder::Kind::outside},
              .cause = {Section::kernel, launch.entry, too_long_or_too_far()}});
    }
    if (launch.out < end) {
      rank_.build.columns.visit(launch.out, end,
                                [&](const Segment& column) { check_stretch(column); });
    }
  }

  /// Columns of one base segment: B rows [b, b+rows), possibly running into later slots.
  void check_stretch(const Segment& column) {
    if (column.space < 0) {
      return;  // law 4 has reported the base weight already
    }
    const auto buffer = static_cast<std::size_t>(launch_->b);
    const std::int64_t slot_rows = rank_.build.b_rows[buffer];
    std::int64_t row = launch_->b_at + (column.at - launch_->out);
    std::int64_t at = column.at;
    while (at < column.end()) {
      const std::int64_t steps = row < slot_rows  ? 0  // the usual case, without a division
                                 : slot_rows == 0 ? slots_
                                                  : row / slot_rows;
      const std::int64_t slot = std::min(live_.slot + steps, slots_);
      const std::int64_t local = row - steps * slot_rows;
      const std::int64_t rows =
          slot == slots_ ? column.end() - at : std::min(column.end() - at, slot_rows - local);
      const Segment part_of_column{
          .at = at, .rows = rows, .space = column.space, .from = column.from + (at - column.at)};
      check_in_slot(part_of_column, slot, local);
      at += rows;
      row += rows;
    }
  }

  void check_in_slot(const Segment& column, std::int64_t slot, std::int64_t b_row) {
    const auto part = static_cast<Part>(column.space);
    const std::int64_t wanted = live_.shape.has(part) ? live_.shape.lora_rank : 0;
    if (launch_->depth < wanted) {
      // first_row tells where the contraction ends: replicas that end elsewhere differ.
      report_rows(column, Law::identity, Violation::Side::lora_a,
                  {.kind = Holder::Kind::nothing, .first_row = launch_->depth},
                  {Section::kernel, launch_->entry, Field::depth});
    }
    if (slot == live_.slot && launch_->depth == wanted && all_right(column, b_row)) {
      return;
    }
    const IntervalMap& a = a_[static_cast<std::size_t>(launch_->a)];
    a.visit(launch_->a_at, launch_->a_at + launch_->depth, [&](const Segment& a_rows) {
      // Split where the adapter's own depth ends.
      const std::int64_t first = a_rows.at - launch_->a_at;
      const std::int64_t cut = std::clamp(wanted, first, first + a_rows.rows);
      check_depth(column, slot, b_row, a_rows, first, cut, true);
      check_depth(column, slot, b_row, a_rows, cut, first + a_rows.rows, false);
    });
  }

  /// The usual case, without splitting: the rows of A and B are the ones that belong together, over
  /// the launch's whole depth.
  [[nodiscard]] bool all_right(const Segment& column, std::int64_t b_row) const {
    const std::int32_t own = pool_space(live_.adapter, column.space);
    const std::int32_t own_a = live_.shape.shared_a ? pool_space(live_.adapter, kSharedA) : own;
    const auto& bands = rank_.pool.slot(live_.slot).b[static_cast<std::size_t>(launch_->b)];
    return a_[static_cast<std::size_t>(launch_->a)].holds(
               launch_->a_at, launch_->a_at + launch_->depth, own_a, 0) &&
           !bands.empty() && launch_->depth <= bands.back().end &&
           std::all_of(bands.begin(), bands.end(), [&](const Band& band) {
             return launch_->depth <= band.begin ||
                    band.rows.holds(b_row, b_row + column.rows, own, column.from);
           });
  }

  /// lora_rank indices [begin, end) of one A segment that starts at index `a_rows.at - a_at`.
  void check_depth(const Segment& column, std::int64_t slot, std::int64_t b_row,
                   const Segment& a_rows, std::int64_t begin, std::int64_t end, bool wanted) {
    if (begin >= end) {
      return;
    }
    Segment a = a_rows;
    a.from += a_rows.space < 0 ? 0 : begin - (a_rows.at - launch_->a_at);
    if (slot == slots_) {
      report_rows(column, Law::bounds, Violation::Side::lora_b, {.kind = Holder::Kind::outside},
                  bounds_cause(column));
      return;
    }
    const auto& bands = rank_.pool.slot(slot).b[static_cast<std::size_t>(launch_->b)];
    for (const Band& band : bands) {
      const std::int64_t from = std::max(begin, band.begin);
      if (from >= std::min(end, band.end)) {
        continue;
      }
      Segment a_here = a;
      a_here.from += a.space < 0 ? 0 : from - begin;
      band.rows.visit(b_row, b_row + column.rows, [&](const Segment& b) {
        const Segment here{.at = column.at + (b.at - b_row),
                           .rows = b.rows,
                           .space = column.space,
                           .from = column.from + (b.at - b_row)};
        check_cell(here, slot, b, a_here, from, wanted);
      });
    }
    if (!bands.empty() && end > bands.back().end) {
      report_rows(column, Law::bounds, Violation::Side::lora_b, {.kind = Holder::Kind::outside},
                  {Section::kernel, launch_->entry, Field::depth});
    }
  }

  /// All cells of one rectangle: B rows `b`, lora_rank indices from `index` on, A rows `a`.
  void check_cell(const Segment& column, std::int64_t slot, const Segment& b, const Segment& a,
                  std::int64_t index, bool wanted) {
    const std::int32_t own = pool_space(live_.adapter, column.space);
    const std::int32_t own_a = live_.shape.shared_a ? pool_space(live_.adapter, kSharedA) : own;
    const bool a_right = a.space == own_a && a.from == index;
    const bool b_right = b.space == own && b.from == column.from;
    if (slot != live_.slot) {
      report_rows(column, Law::bounds, Violation::Side::lora_b, pool_holder(b, slot),
                  bounds_cause(column));
      return;
    }
    if (wanted && !(a_right && b_right)) {
      const auto side = b_right ? Violation::Side::lora_a : Violation::Side::lora_b;
      const Segment& wrong = b_right ? a : b;
      const bool foreign = wrong.space >= 0 && adapter_of_space(wrong.space) != live_.adapter;
      report_rows(column, foreign ? Law::residue : Law::identity, side, pool_holder(wrong, slot),
                  b_right ? a_cause(column, index) : b_cause(column, b.at));
      return;
    }
    if (!wanted && a.space != kZeros && b.space != kZeros) {
      const bool stale_b = b.space != kNothing && !b_right;
      report_rows(column, Law::residue, stale_b ? Violation::Side::lora_b : Violation::Side::lora_a,
                  pool_holder(stale_b ? b : a, slot),
                  {Section::kernel, launch_->entry, Field::depth});
    }
  }

  /// Every column of a targeted part gets exactly one delta.
  void check_columns() {
    if (launches_tile_the_row()) {
      return;
    }
    std::vector<const KernelLaunch*> launches;
    for (const KernelLaunch& launch : load_.launches) {
      if (launch.rows > 0) {
        launches.push_back(&launch);
      }
    }
    std::stable_sort(launches.begin(), launches.end(),
                     [](const KernelLaunch* x, const KernelLaunch* y) { return x->out < y->out; });
    std::int64_t reached = 0;
    int entry = 0;
    for (const KernelLaunch* launch : launches) {
      const std::int64_t end = launch->out + launch->rows;
      report_columns(reached, launch->out, Holder::Kind::nothing, entry);
      report_columns(launch->out, std::min(reached, end), Holder::Kind::twice, launch->entry);
      entry = launch->entry;
      reached = std::max(reached, end);
    }
    report_columns(reached, rank_.build.width, Holder::Kind::nothing, entry);
  }

  /// The usual case, without sorting: launches follow each other and fill the output row.
  [[nodiscard]] bool launches_tile_the_row() const {
    std::int64_t reached = 0;
    for (const KernelLaunch& launch : load_.launches) {
      if (launch.rows > 0 && launch.out != reached) {
        return false;
      }
      reached += launch.rows;
    }
    return reached == rank_.build.width;
  }

  void report_columns(std::int64_t begin, std::int64_t end, Holder::Kind kind, int entry) {
    if (begin >= end) {
      return;
    }
    rank_.build.columns.visit(begin, end, [&](const Segment& column) {
      if (column.space >= 0 && live_.shape.has(static_cast<Part>(column.space))) {
        report_rows(
            column, Law::identity, Violation::Side::kernel, {.kind = kind},
            {Section::kernel, entry, kind == Holder::Kind::nothing ? Field::rows : Field::out});
      }
    });
  }

  // --- causes ------------------------------------------------------------------------------
  /// The launch looks at the wrong place where the row stands in the slot, and a copy kept it away
  /// where it does not.
  [[nodiscard]] FormulaRef b_cause(const Segment& column, std::int64_t b_row) const {
    const Piece* piece = piece_at(load_.b_pieces, launch_->b, b_row);
    const auto buffer = static_cast<std::size_t>(launch_->b);
    const bool elsewhere = holds_row(load_.b_maps[buffer], column.space, column.from);
    if (elsewhere && (piece == nullptr || !starts_a_part(*piece, column.space))) {
      return kernel_cause();
    }
    if (piece != nullptr && takes_from(*piece, column.space)) {
      return {Section::lora_b, piece->copy, Field::from};
    }
    const auto cause =
        missing_copy(Section::lora_b, load_.b_pieces, load_.b_maps, column.space, column.from);
    return cause ? *cause : FormulaRef{Section::kernel, launch_->entry, Field::b_at};
  }
  /// Whether the launch lays the copy's first row where the rank's columns of the part begin.
  [[nodiscard]] bool starts_a_part(const Piece& piece, std::int32_t space) const {
    const std::int64_t column = launch_->out + (piece.to - launch_->b_at);
    const auto segments = rank_.build.columns.segments();
    return takes_from(piece, space) &&
           std::any_of(segments.begin(), segments.end(),
                       [&](const Segment& one) { return one.space == space && one.at == column; });
  }
  /// A launch whose first B row is its first column's is too long where it goes wrong. Else it
  /// writes the wrong columns where those are another launch's, and reads the wrong rows where not.
  [[nodiscard]] FormulaRef kernel_cause() const {
    const auto& map = load_.b_maps[static_cast<std::size_t>(launch_->b)];
    Field field = Field::b_at;
    map.visit(launch_->b_at, launch_->b_at + 1, [&](const Segment& first) {
      // With the first row in place, the launch is too long.
      rank_.build.columns.visit(launch_->out, launch_->out + 1, [&](const Segment& column) {
        const bool starts_right =
            first.space >= 0 && column.space == first.space && column.from == first.from;
        field = starts_right ? Field::rows : columns_of_another() ? Field::out : field;
      });
    });
    return {Section::kernel, launch_->entry, field};
  }
  /// Of a launch that leaves the output row: the first column of its first B row tells.
  [[nodiscard]] Field too_long_or_too_far() const {
    Field field = Field::rows;
    load_.b_maps[static_cast<std::size_t>(launch_->b)].visit(
        launch_->b_at, launch_->b_at + 1, [&](const Segment& first) {
          for (const Segment& column : rank_.build.columns.segments()) {
            if (first.space >= 0 && column.space == first.space && column.from <= first.from &&
                first.from < column.from + column.rows &&
                column.at + (first.from - column.from) != launch_->out) {
              field = Field::out;
            }
          }
        });
    return field;
  }
  [[nodiscard]] bool columns_of_another() const {
    return std::any_of(load_.launches.begin(), load_.launches.end(), [&](const KernelLaunch& one) {
      return &one != launch_ && one.out < launch_->out + launch_->rows &&
             launch_->out < one.out + one.rows;
    });
  }
  /// A read past the slot: the row is elsewhere in it, or a copy lost it, or the launch is too
  /// long.
  [[nodiscard]] FormulaRef bounds_cause(const Segment& column) const {
    const std::int64_t row = launch_->b_at + (column.at - launch_->out);
    const auto buffer = static_cast<std::size_t>(launch_->b);
    if (holds_row(load_.b_maps[buffer], column.space, column.from)) {
      return kernel_cause();
    }
    const Piece* piece = piece_at(load_.b_pieces, launch_->b, row);
    return piece != nullptr ? FormulaRef{Section::lora_b, piece->copy, Field::from}
                            : FormulaRef{Section::kernel, launch_->entry, Field::rows};
  }
  [[nodiscard]] FormulaRef a_cause(const Segment& column, std::int64_t index) const {
    const FormulaRef place{Section::kernel, launch_->entry, Field::a_at};
    if (contract_.lora_a.gather != Gather::none) {
      const Piece* piece = piece_at(load_.a_pieces, launch_->a, launch_->a_at + index);
      return piece == nullptr ? place : FormulaRef{Section::lora_a, piece->copy, Field::from};
    }
    const std::int32_t space = live_.shape.shared_a ? kSharedA : column.space;
    const auto buffer = static_cast<std::size_t>(launch_->a);
    if (holds_row(load_.a_maps[buffer], space, index)) {
      return place;
    }
    const Piece* piece = piece_at(load_.a_pieces, launch_->a, launch_->a_at + index);
    if (piece != nullptr && !takes_from(*piece, space) &&
        contract_.lora_a.copies[static_cast<std::size_t>(piece->copy)].at) {
      return {Section::lora_a, piece->copy, Field::at};  // another part's rows were put here
    }
    const auto cause = missing_copy(Section::lora_a, load_.a_pieces, load_.a_maps, space, index);
    return cause ? *cause : place;
  }

  // --- reports -----------------------------------------------------------------------------
  [[nodiscard]] static Holder pool_holder(const Segment& piece, std::int64_t slot) {
    if (piece.space == kZeros) {
      return {.kind = Holder::Kind::zeros, .slot = slot};
    }
    if (piece.space < 0) {
      return {.kind = Holder::Kind::nothing, .slot = slot};
    }
    return {.kind = Holder::Kind::rows,
            .adapter = adapter_of_space(piece.space),
            .part_space = part_of_space(piece.space),
            .first_row = piece.from,
            .slot = slot};
  }

  void report_rows(const Segment& column, Law law, Violation::Side side, Holder holder,
                   FormulaRef cause) {
    report({.law = law,
            .side = side,
            .part = static_cast<Part>(column.space),
            .first_row = column.from,
            .rows = column.rows,
            .column = column.at,
            .holder = holder,
            .cause = cause});
  }

  /// One violation for a stretch of rows, however many lora_rank indices show it.
  void report(Violation violation) {
    violation.tp_rank = rank_.build.tp_rank;
    violation.adapter = live_.adapter;
    violation.slot = live_.slot;
    const bool is_new =
        seen_.emplace(violation.law, violation.side, violation.column, violation.rows).second;
    if (is_new) {
      violations_.push_back(violation);
    }
  }

  const Contract& contract_;
  std::int64_t slots_;
  const RankState& rank_;
  const RankLoad& load_;
  const LiveAdapter& live_;
  std::vector<Violation>& violations_;
  std::set<std::tuple<Law, Violation::Side, std::int64_t, std::int64_t>> seen_;
  const std::vector<IntervalMap>& a_;
  const KernelLaunch* launch_ = nullptr;
};

/// What is wrong with a KV head's rows on one rank, apart from which rank it is.
struct Fault {
  int adapter;
  Part part;
  std::int64_t first_row, rows;
  Holder holder;
  friend bool operator==(const Fault&, const Fault&) = default;
};

std::vector<Fault> faults_of(const QkvGeometry& geometry, Part part, std::int64_t head,
                             std::span<const Violation* const> of_rank) {
  const std::int64_t begin = head * geometry.rows_per_head(part);
  const std::int64_t end = begin + geometry.rows_per_head(part);
  std::vector<Fault> faults;
  for (const Violation* v : of_rank) {
    if (v->part == part && v->side != Violation::Side::heads &&
        v->side != Violation::Side::scaling && v->first_row < end &&
        begin < v->first_row + v->rows) {
      faults.push_back({v->adapter, part, v->first_row, v->rows, v->holder});
    }
  }
  return faults;
}

/// Those of each rank of the group, in order: the group's ranks follow each other.
std::vector<std::vector<const Violation*>> by_rank(std::span<const RankState> group,
                                                   std::span<const Violation> violations) {
  std::vector<std::vector<const Violation*>> lists(group.size());
  for (const Violation& v : violations) {
    const std::int64_t t = v.tp_rank - group.front().build.tp_rank;
    if (t >= 0 && t < static_cast<std::int64_t>(group.size())) {
      lists[static_cast<std::size_t>(t)].push_back(&v);
    }
  }
  return lists;
}

}  // namespace

bool owes_nothing(const Contract& contract, const RankBuild& build) {
  return contract.view.gather == ViewGather::none && build.q_heads == 0;
}

std::vector<OwnedRows> owned_rows(const Contract& contract, const QkvGeometry& geometry,
                                  std::span<const RankState> group, std::size_t t) {
  std::vector<OwnedRows> owned;
  const RankBuild& own = group[t].build;
  if (contract.view.gather == ViewGather::none) {
    const IntervalMap view = local_view(geometry, own, contract.view.order);
    for (const Segment& segment : view.segments()) {
      owned.push_back({static_cast<Part>(segment.space), segment.from, segment.rows,
                       static_cast<std::int64_t>(t), segment.at});
    }
    return owned;
  }
  IntervalMap all;
  append_fused(geometry, contract.view.order, 0, geometry.total_rows(), 0, all);
  std::int64_t begin = 0;
  for (std::size_t source = 0; source < group.size(); ++source) {
    const std::int64_t width = group[source].build.width;
    all.visit(begin, begin + width, [&](const Segment& segment) {
      if (segment.space < 0) {
        return;
      }
      const auto part = static_cast<Part>(segment.space);
      const bool q = part == Part::q;
      const std::int64_t head_rows = geometry.rows_per_head(part);
      const std::int64_t first = (q ? own.first_q : own.first_kv) * head_rows;
      const std::int64_t end = first + (q ? own.q_heads : own.kv_heads) * head_rows;
      const std::int64_t from = std::max(first, segment.from);
      const std::int64_t stop = std::min(end, segment.from + segment.rows);
      if (from < stop) {
        owned.push_back({part, from, stop - from, static_cast<std::int64_t>(source),
                         segment.at - begin + (from - segment.from)});
      }
    });
    begin += width;
  }
  return owned;
}

void check_group(const Contract& contract, const QkvGeometry& geometry,
                 std::span<const RankState> group, std::vector<Violation>& violations) {
  for (const RankState& rank : group) {
    if (const auto part = heads_that_do_not_exist(geometry, rank.build)) {
      const bool q = *part == Part::q;
      const OwnedHeads own = owned_heads(rank.build, *part);
      const std::int64_t heads = q ? geometry.num_attention_heads : geometry.num_key_value_heads;
      const bool starts_inside = own.first >= 0 && own.first < heads;
      violations.push_back(heads_violation(Law::cover, rank.build, *part, own.first, own.count,
                                           starts_inside ? (q ? Field::q_heads : Field::kv_heads)
                                                         : (q ? Field::first_q : Field::first_kv)));
      violations.back().holder.kind = Holder::Kind::outside;
      return;
    }
  }
  check_coverage(geometry, group, violations);
  check_view(contract, geometry, group, violations);
  for (const RankState& rank : group) {
    check_pairing(geometry, rank.build, violations);
  }
}

void gather_a(const Contract& contract, std::span<const RankState> group, const LiveAdapter& live,
              std::vector<IntervalMap>& gathered) {
  gathered.resize(contract.lora_a.buffers.size());
  for (std::size_t i = 0; i < gathered.size(); ++i) {
    gathered[i].clear();
    std::int64_t begin = 0;
    for (const RankState& peer : group) {
      if (contract.lora_a.gather == Gather::none) {
        return;
      }
      for (Segment segment : peer.pool.slot(live.slot).a[i].segments()) {
        const std::int64_t end = std::min(segment.end(), peer.build.a_rows[i]);
        segment.rows = end - segment.at;
        segment.at += begin;
        if (segment.space != kNothing) {
          gathered[i].append(segment);
        }
      }
      begin += peer.build.a_rows[i];
    }
  }
}

void check_delta(const Contract& contract, const Deployment& deployment, const RankState& rank,
                 const LiveAdapter& live, const std::vector<IntervalMap>& gathered,
                 std::vector<Violation>& violations) {
  DeltaCheck(contract, deployment, rank, live, gathered, violations).run();
}

void check_scaling(const RankState& rank, const LiveAdapter& live, std::span<const int> events,
                   std::vector<Violation>& violations) {
  if (live.shape.targets == std::array<bool, 3>{}) {
    return;  // no delta
  }
  // The products of num/den against alpha/r; one that does not fit is no right factor.
  std::int64_t left = live.shape.lora_rank;
  std::int64_t right = live.shape.lora_alpha;
  bool fits = true;
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  for (const int event : events) {
    const RankLoad& load = rank.load(event);
    fits = !__builtin_mul_overflow(left, load.scaling_numerator, &left) &&
           !__builtin_mul_overflow(right, load.scaling_denominator, &right) && left != kLeast &&
           right != kLeast;
    if (!fits) {
      break;
    }
    if (left == right) {
      left = right = 1;  // the usual case, without a division
      continue;
    }
    const std::int64_t common = std::max<std::int64_t>(1, std::gcd(left, right));
    left /= common;
    right /= common;
  }
  if (!fits || left != right) {
    const bool alpha_above = rank.load(events.front()).scaling_numerator == live.shape.lora_alpha;
    violations.push_back(
        {.law = Law::scaling,
         .side = Violation::Side::scaling,
         .tp_rank = rank.build.tp_rank,
         .adapter = live.adapter,
         .slot = live.slot,
         .holder = {},
         .cause = {Section::scaling, 0, alpha_above ? Field::denominator : Field::numerator}});
  }
}

void check_agreement(const Contract& contract, const QkvGeometry& geometry,
                     std::span<const RankState> group, std::vector<Violation>& violations) {
  if (contract.view.gather == ViewGather::all || violations.empty()) {
    return;  // replicas are the same gathered columns, or nothing is wrong with any
  }
  std::vector<Violation> disagreements;
  const auto of_rank = by_rank(group, violations);
  for (std::size_t i = 1; i < group.size(); ++i) {
    const RankBuild& build = group[i].build;
    const RankBuild& before = group[i - 1].build;
    if (build.first_kv != before.first_kv || build.kv_heads < 1 || before.kv_heads < 1 ||
        build.q_heads < 1 || before.q_heads < 1) {
      continue;
    }
    for (const Part part : {Part::k, Part::v}) {
      if (faults_of(geometry, part, build.first_kv, of_rank[i]) !=
          faults_of(geometry, part, before.first_kv, of_rank[i - 1])) {
        disagreements.push_back(
            {.law = Law::agreement,
             .side = Violation::Side::lora_b,
             .tp_rank = build.tp_rank,
             .part = part,
             .first_row = build.first_kv * geometry.rows_per_head(part),
             .rows = geometry.rows_per_head(part),
             .holder = {.kind = Holder::Kind::rows, .first_row = before.tp_rank},
             .cause = {Section::owns, 0, Field::first_kv}});
      }
    }
  }
  violations.insert(violations.end(), disagreements.begin(), disagreements.end());
}

}  // namespace tplora
