#include "sim/layout/law_delta.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "sim/base/ensure.hpp"
#include "sim/layout/law_columns.hpp"
#include "sim/layout/map_facts.hpp"
#include "sim/layout/pool_content.hpp"
#include "sim/layout/spaces.hpp"

namespace tplora::core {
namespace {

/// One (rank, live adapter): follows every kernel launch through A, B and the columns.
class DeltaCheck {
 public:
  DeltaCheck(const Contract& contract, const Deployment& deployment, const RankState& rank,
             const LiveAdapter& live, const std::vector<IntervalMap>& gathered,
             std::vector<Violation>& violations)
      : gathered_(contract.lora_a.gather != Gather::none),
        slots_(deployment.slots),
        row_length_(deployment.max_lora_rank),
        rank_(rank),
        load_(rank_.load(live.event)),
        live_(live),
        delta_{.adapter = live.adapter, .slot = live.slot},
        violations_(violations),
        a_(gathered_ ? gathered : rank.pool.slot(live.slot).a) {
    ensure(a_.size() == rank.build.a_rows.size(), "there are rows of A for each buffer");
  }

  void run() {
    for (const KernelLaunch& launch : load_.launches) {
      check_launch(launch);
    }
  }

 private:
  /// Splits a launch by output column, then by slot and B row, then by A row and B column.
  void check_launch(const KernelLaunch& launch) {
    launch_ = &launch;
    ensure_checked(
        [&] {
          return static_cast<std::size_t>(launch.a) < a_.size() &&
                 static_cast<std::size_t>(launch.b) < rank_.build.b_rows.size();
        },
        "a launch reads buffers of the rank");
    const std::int64_t width = rank_.build.width;
    const std::int64_t end = std::min(launch.out + launch.rows, width);
    if (launch.rows > 0 && launch.out + launch.rows > width) {
      const std::int64_t first = std::max(launch.out, width);
      report(WrittenPastRow{.tp_rank = rank_.build.tp_rank,
                            .delta = delta_,
                            .column = first,
                            .columns = launch.out + launch.rows - first});
    }
    if (launch.out < end) {
      rank_.due.visit(launch.out, end, [&](const Segment& column) { check_stretch(column); });
    }
  }

  /// Columns of one stretch of due rows, and what is multiplied there.
  void check_stretch(const Segment& column) {
    if (column.space < 0) {
      return;  // law 4 has reported columns in which nothing is due
    }
    const std::int64_t due_depth = due_depth_of(column);
    if (launch_->depth < due_depth) {
      report(ShortContraction{.tp_rank = rank_.build.tp_rank,
                              .delta = delta_,
                              .due = due_rows(column),
                              .depth = launch_->depth,
                              .due_depth = due_depth});
    }
    const std::int64_t row = launch_->b_at + (column.at - launch_->out);
    if (launch_->b_stride == row_length_) {
      check_rows(column, row, {.begin = 0, .end = launch_->depth, .shift = 0});
      return;
    }
    // Row by row: each begins at another place of a row of the buffer, and may run into the next.
    for (std::int64_t i = 0; i < column.rows; ++i) {
      const Segment one{
          .at = column.at + i, .rows = 1, .space = column.space, .from = column.from + i};
      const std::int64_t first = (row + i) * launch_->b_stride;
      for (std::int64_t q = 0; q < launch_->depth;) {
        const std::int64_t col = (first + q) % row_length_;
        const std::int64_t end = std::min(launch_->depth, q + row_length_ - col);
        check_rows(one, (first + q) / row_length_, {.begin = q, .end = end, .shift = col - q});
        q = end;
      }
    }
  }

  /// Terms of a contraction: lora_rank index q in [begin, end) meets column q + shift of the
  /// buffer's rows.
  struct Terms {
    std::int64_t begin, end, shift;
  };

  [[nodiscard]] std::int64_t due_depth_of(const Segment& column) const {
    const Part part = part_of(column.space);
    return live_.shape.has(part) ? live_.shape.rank_of(part) : 0;
  }

  /// Rows of the buffer from `row` on, possibly running into later slots.
  void check_rows(const Segment& column, std::int64_t row, const Terms& terms) {
    const std::int64_t slot_rows = rank_.build.b_rows[static_cast<std::size_t>(launch_->b)];
    std::int64_t at = column.at;
    while (at < column.end()) {
      const std::int64_t steps = row < slot_rows  ? 0  // the usual case, without a division
                                 : slot_rows == 0 ? slots_
                                                  : row / slot_rows;
      const std::int64_t slot = std::min(live_.slot + steps, slots_);
      const std::int64_t local = row - steps * slot_rows;
      const std::int64_t rows =
          slot == slots_ ? column.end() - at : std::min(column.end() - at, slot_rows - local);
      ensure_checked([&] { return slot == slots_ || (0 <= local && local < slot_rows); },
                     "a row of B stands in its slot");
      const Segment stretch{
          .at = at, .rows = rows, .space = column.space, .from = column.from + (at - column.at)};
      check_in_slot(stretch, slot, local, terms);
      at += rows;
      row += rows;
    }
  }

  void check_in_slot(const Segment& column, std::int64_t slot, std::int64_t b_row,
                     const Terms& terms) {
    const std::int64_t due_depth = due_depth_of(column);
    const bool natural = launch_->b_stride == row_length_;
    if (natural && slot == live_.slot && launch_->depth == due_depth && all_right(column, b_row)) {
      return;
    }
    shift_ = terms.shift;
    // Rows of A behind the slot's are another slot's; those of a gathered A are nobody's.
    const auto buffer = static_cast<std::size_t>(launch_->a);
    const std::int64_t begin = launch_->a_at + terms.begin;
    const std::int64_t end = launch_->a_at + terms.end;
    const std::int64_t slot_rows = gathered_ ? end : rank_.build.a_rows[buffer];
    const std::int64_t inside = std::clamp(slot_rows, begin, end);
    visit_a(a_[buffer], begin, inside, terms.begin, due_depth,
            [&](const Segment& a, std::int64_t index, bool wanted) {
              check_depth(column, slot, b_row, {live_.slot, a}, index, wanted);
            });
    for (std::int64_t row = inside; row < end;) {
      const std::int64_t a_slot = slot_rows == 0 ? slots_ : live_.slot + row / slot_rows;
      const std::int64_t rows =
          a_slot >= slots_ ? end - row : std::min(end - row, slot_rows - row % slot_rows);
      static const IntervalMap kNowhere;
      const IntervalMap& map = a_slot >= slots_ ? kNowhere : rank_.pool.slot(a_slot).a[buffer];
      const std::int64_t local = a_slot >= slots_ ? 0 : row % slot_rows;
      visit_a(map, local, local + rows, row - launch_->a_at, due_depth,
              [&](const Segment& a, std::int64_t index, bool wanted) {
                check_depth(column, slot, b_row, {std::min(a_slot, slots_), a}, index, wanted);
              });
      row += rows;
    }
  }

  /// Calls `body` with each piece of A rows [begin, end) of one slot, split where the adapter's own
  /// depth ends, with the lora_rank index of its first row and whether a term is due there. The
  /// first of the rows is multiplied by B column `index`.
  template <class Body>
  static void visit_a(const IntervalMap& map, std::int64_t begin, std::int64_t end,
                      std::int64_t index, std::int64_t due_depth, const Body& body) {
    ensure_checked([&] { return 0 <= begin && begin <= end && index >= 0; },
                   "rows of A are followed from their first lora_rank index on");
    map.visit(begin, end, [&](const Segment& a) {
      const std::int64_t first = index + (a.at - begin);
      const std::int64_t cut = std::clamp(due_depth, first, first + a.rows);
      const auto piece = [&](std::int64_t from, std::int64_t stop, bool wanted) {
        if (from < stop) {
          body(Segment{.at = a.at + (from - first),
                       .rows = stop - from,
                       .space = a.space,
                       .from = a.from + (a.space < 0 ? 0 : from - first)},
               from, wanted);
        }
      };
      piece(first, cut, true);
      piece(cut, first + a.rows, false);
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

  /// A rows and the slot they stand in; slots_: outside the pool.
  struct ARows {
    std::int64_t slot;
    Segment rows;
  };

  /// lora_rank indices from `index` on, one for each of the A rows.
  void check_depth(const Segment& column, std::int64_t slot, std::int64_t b_row, const ARows& a,
                   std::int64_t index, bool wanted) {
    if (slot == slots_) {
      report_past(column, {}, slot, Outside{});
      return;
    }
    ensure_checked([&] { return 0 <= a.slot && a.slot <= slots_; },
                   "rows of A stand in a slot or outside the pool");
    const std::int64_t end = index + a.rows.rows;
    const auto& bands = rank_.pool.slot(slot).b[static_cast<std::size_t>(launch_->b)];
    for (const Band& band : bands) {
      const std::int64_t from = std::max(index, band.begin - shift_);
      const std::int64_t stop = std::min(end, band.end - shift_);
      if (from >= stop) {
        continue;
      }
      ARows a_here = a;
      a_here.rows.rows = stop - from;
      a_here.rows.from += a.rows.space < 0 ? 0 : from - index;
      band.rows.visit(b_row, b_row + column.rows, [&](const Segment& b) {
        const Segment here{.at = column.at + (b.at - b_row),
                           .rows = b.rows,
                           .space = column.space,
                           .from = column.from + (b.at - b_row)};
        check_cell(here, slot, b, a_here, from, wanted);
      });
    }
    if (!bands.empty() && end > bands.back().end - shift_) {
      report_past(column, {}, slots_, Outside{});
    }
  }

  /// All cells of one rectangle: B rows `b`, lora_rank indices from `index` on, A rows `a`.
  void check_cell(const Segment& column, std::int64_t slot, const Segment& b, const ARows& a,
                  std::int64_t index, bool wanted) {
    if (slot != live_.slot) {
      report_past(column, {}, slot, content_of_b(b));
      return;
    }
    const std::int32_t own = pool_space(live_.adapter, column.space);
    const std::int32_t own_a = live_.shape.shared_a ? pool_space(live_.adapter, kSharedA) : own;
    const bool a_past = a.slot != live_.slot;
    const bool a_right = !a_past && a.rows.space == own_a && a.rows.from == index;
    const bool b_right = b.space == own && b.from == column.from && shift_ == 0;
    const LoraIndices indices{.first = index, .count = a.rows.rows};
    if (wanted && b_right && a_past) {
      report_past(column, indices, a.slot, content_past(a));
      return;
    }
    if (wanted && !(a_right && b_right)) {
      if (b_right) {
        report(WrongLoraA{.tp_rank = rank_.build.tp_rank,
                          .delta = delta_,
                          .due = due_rows(column),
                          .indices = indices,
                          .found = content_of_a(a.rows)});
      } else if (launch_->b_stride != row_length_) {
        report(WrongStride{.tp_rank = rank_.build.tp_rank,
                           .delta = delta_,
                           .due = due_rows(column),
                           .stride = launch_->b_stride,
                           .due_stride = row_length_,
                           .found = content_of_b(b)});
      } else {
        report(WrongLoraB{.tp_rank = rank_.build.tp_rank,
                          .delta = delta_,
                          .due = due_rows(column),
                          .found = content_of_b(b)});
      }
      return;
    }
    // Nobody knows what stands in memory that nothing wrote: times zero, it may not be zero.
    const bool any_a = a.slot == slots_ || a.rows.space == kNothing;
    if (wanted || (b.space == kZeros && !any_a)) {
      return;
    }
    if (a_past) {
      report_past(column, indices, a.slot, content_past(a));
    } else if (a.rows.space != kZeros || b.space == kNothing) {
      const bool stale_b = b.space != kZeros && !b_right;
      report(UnwantedTerm{.tp_rank = rank_.build.tp_rank,
                          .delta = delta_,
                          .due = due_rows(column),
                          .indices = indices,
                          .found = stale_b ? content_of_b(b) : content_of_a(a.rows)});
    }
  }

  [[nodiscard]] Content content_past(const ARows& a) const {
    return a.slot == slots_ ? Content(Outside{}) : content_of_a(a.rows);
  }

  // --- reports -----------------------------------------------------------------------------
  void report_past(const Segment& column, std::optional<LoraIndices> a_rows, std::int64_t slot,
                   Content found) {
    report(ReadPastSlot{.tp_rank = rank_.build.tp_rank,
                        .delta = delta_,
                        .due = due_rows(column),
                        .a_rows = a_rows,
                        .slot_read = slot == slots_ ? std::nullopt : std::optional(slot),
                        .found = found});
  }

  /// One violation of a kind for a stretch of columns, however many lora_rank indices show it.
  void report(const Violation& violation) {
    const DueRows* due = due_of(violation);
    ensure_checked(
        [&] {
          const Law law = law_of(violation);
          return law == Law::identity || law == Law::bounds || law == Law::residue;
        },
        "what is wrong with a delta breaks one of its laws");
    ensure_checked(
        [&] {
          return due == nullptr || (0 <= due->column && due->rows > 0 &&
                                    due->column + due->rows <= rank_.build.width);
        },
        "what is due in a delta's columns is due in the output row");
    const bool is_new =
        due == nullptr ||
        seen_.emplace(violation.index(), law_of(violation), due->column, due->rows).second;
    if (is_new) {
      violations_.push_back(violation);
    }
  }

  bool gathered_;
  std::int64_t slots_;
  std::int64_t row_length_;  ///< of buffers of B: elements from one row to the next
  const RankState& rank_;
  const RankLoad& load_;
  const LiveAdapter& live_;
  Delta delta_;
  std::vector<Violation>& violations_;
  std::set<std::tuple<std::size_t, Law, std::int64_t, std::int64_t>> seen_;
  const std::vector<IntervalMap>& a_;
  const KernelLaunch* launch_ = nullptr;
  std::int64_t shift_ = 0;  ///< of the terms at hand
};

}  // namespace

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
      const std::vector<IntervalMap>& a = peer.pool.slot(live.slot).a;
      ensure(a.size() == gathered.size() && peer.build.a_rows.size() == gathered.size(),
             "a rank has each buffer that is gathered");
      for (Segment segment : a[i].segments()) {
        const std::int64_t end = std::min(segment.end(), peer.build.a_rows[i]);
        segment.rows = end - segment.at;
        segment.at += begin;
        if (segment.space != kNothing) {
          gathered[i].append(segment);
        }
      }
      begin += peer.build.a_rows[i];
    }
    ensure_checked([&] { return in_order(gathered[i], begin); },
                   "rows are gathered one rank behind the other");
  }
}

void check_delta(const Contract& contract, const Deployment& deployment, const RankState& rank,
                 const LiveAdapter& live, const std::vector<IntervalMap>& gathered,
                 std::vector<Violation>& violations) {
  ensure(0 <= live.slot && live.slot < deployment.slots, "a live adapter stands in a slot");
  DeltaCheck(contract, deployment, rank, live, gathered, violations).run();
  check_columns(rank, live, violations);
}

}  // namespace tplora::core
