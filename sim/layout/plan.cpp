#include "sim/layout/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "sim/base/ensure.hpp"

namespace tplora {

namespace {

/// Row counts above this are refused: no device holds them, and sums of a few stay in 64 bits.
constexpr std::int64_t kMaxRows = std::int64_t{1} << 48;
/// Steps of all loops of one rank's build or load, and evaluated copies and kernel entries of all
/// ranks: a contract cannot make the tool loop for ever.
constexpr std::int64_t kMaxLoopSteps = std::int64_t{1} << 13;
constexpr std::int64_t kMaxPieces = std::int64_t{1} << 22;

}  // namespace

std::int64_t symbol_value(const QkvGeometry& g, const Deployment& d, int number) {
  switch (number) {
    case symbol::hidden: return g.hidden_size;
    case symbol::H: return g.num_attention_heads;
    case symbol::KV: return g.num_key_value_heads;
    case symbol::D: return g.head_dim;
    case symbol::Dv: return g.v_head_dim;
    case symbol::gate: return g.q_multiplier;
    case symbol::H_config: return g.config_num_attention_heads;
    case symbol::KV_config: return g.config_num_key_value_heads;
    case symbol::D_config: return g.config_head_dim;
    case symbol::tp_size: return d.tp_size;
    case symbol::dp_size: return d.dp_size;
    case symbol::R: return d.max_lora_rank;
    case symbol::slots: return d.slots;
    case symbol::tokens: return d.tokens;
    case symbol::T: return d.tp_size;
    default: return 0;
  }
}

void append_q_heads(const QkvGeometry& geometry, FusedOrder order, std::int64_t first_head,
                    std::int64_t heads, std::int64_t at, IntervalMap& map) {
  const std::int64_t rows = geometry.rows_per_head(Part::q);
  const std::int64_t halves = order == FusedOrder::per_group_halves ? geometry.q_multiplier : 1;
  for (std::int64_t half = 0; half < halves; ++half) {
    if (halves == 1) {
      map.append(at, heads * rows, space_of(Part::q), first_head * rows);
      return;
    }
    for (std::int64_t head = first_head; head < first_head + heads; ++head) {
      map.append(at, rows / halves, space_of(Part::q), head * rows + half * (rows / halves));
      at += rows / halves;
    }
  }
}

void append_fused(const QkvGeometry& geometry, FusedOrder order, std::int64_t from,
                  std::int64_t rows, std::int64_t at, IntervalMap& map) {
  // A fused tensor is a number of equal groups, each q | k | v; `blocks` is one group of all.
  const std::int64_t groups = order == FusedOrder::blocks ? 1 : geometry.num_key_value_heads;
  // A division by one is as slow as any, and this is where sweeps spend their time.
  const auto per_group = [&](std::int64_t count) { return groups == 1 ? count : count / groups; };
  const std::int64_t group_rows = per_group(geometry.total_rows());
  const std::int64_t end = from + rows;
  for (std::int64_t group = groups == 1 ? 0 : from / group_rows; from < end; ++group) {
    std::int64_t part_begin = group * group_rows;
    for (const Part part : kParts) {
      const std::int64_t part_rows = per_group(geometry.rows(part));
      const std::int64_t stop = std::min(end, part_begin + part_rows);
      if (from < stop) {
        if (part == Part::q && order == FusedOrder::per_group_halves) {
          const std::int64_t heads = per_group(geometry.num_attention_heads);
          IntervalMap q;
          append_q_heads(geometry, order, group * heads, heads, 0, q);
          q.visit(from - part_begin, stop - part_begin, [&](const Segment& segment) {
            map.append(at + segment.at - (from - part_begin), segment.rows, segment.space,
                       segment.from);
          });
        } else {
          map.append(at, stop - from, space_of(part), group * part_rows + (from - part_begin));
        }
        at += stop - from;
        from = stop;
      }
      part_begin += part_rows;
    }
  }
}

FusedOrder true_order(const QkvGeometry& geometry, FusedOrder assumed, FusedBy fused_by) {
  if (fused_by == FusedBy::engine) {
    return assumed;
  }
  // per_head has a KV head for each q head, and is then the same as per_group.
  return geometry.fused_order == RowOrder::blocks ? FusedOrder::blocks : FusedOrder::per_group;
}

namespace {

void empty_maps(std::vector<IntervalMap>& maps, std::size_t count) {
  maps.resize(count);
  for (IntervalMap& map : maps) {
    map.clear();
  }
}

}  // namespace

namespace {

/// What a load took of an adapter's tensors.
struct Slices {
  bool cut = false;  ///< false: the tensors are whole
  std::span<const Piece> pieces;
  std::span<const IntervalMap> maps;
};

/// The slices of one source tensor, one behind the other: row of that -> logical row.
IntervalMap joined(const Slices& slices, Source source, std::int64_t& rows) {
  IntervalMap map;
  rows = 0;
  for (const Piece& piece : slices.pieces) {
    if (piece.source == source) {
      slices.maps[static_cast<std::size_t>(piece.buffer)].visit(
          piece.to, piece.to + piece.rows, [&](const Segment& segment) {
            if (segment.space != kNothing) {
              map.append(rows + segment.at - piece.to, segment.rows, segment.space, segment.from);
            }
          });
      rows += piece.rows;
    }
  }
  return map;
}

}  // namespace

/// Where the copies of one section go.
struct Planner::Target {
  bool of_weight = false;  ///< rows are output columns: each is written once
  bool of_lora_a = false;  ///< sources are A tensors of lora_rank rows
  FusedOrder order;
  PastEnd past_end;
  std::vector<Piece>& pieces;
  std::span<IntervalMap> maps;      ///< one for each buffer
  std::span<std::int64_t> extents;  ///< rows used so far in each buffer
  Slices slices = {};               ///< what is left of the sources
};

Planner::Planner(const Contract& contract, const QkvGeometry& geometry,
                 const Deployment& deployment, Detail detail)
    : contract_(contract), geometry_(geometry), deployment_(deployment), detail_(detail) {
  values_.resize(static_cast<std::size_t>(contract.value_count));
  known_.assign(values_.size(), 1);
  for (int i = 0; i < symbol::count; ++i) {
    values_[static_cast<std::size_t>(i)] = symbol_value(geometry, deployment, i);
  }
  kept_.resize(static_cast<std::size_t>(contract.memo_count));
  deployment_failed_ = !run_lets(Phase::deployment);
  deployment_stop_ = failed_;
  group_size_ = values_[symbol::T];
  for (const Let& let : contract.lets) {
    if (let.symbol == symbol::t && let.phase == Phase::deployment) {
      group_rank_ = values_[symbol::t];
    }
  }
}

/// Remembers why planning stops; always false.
template <class Sentence>
bool Planner::stop(const Sentence& sentence, const std::string& place, bool undefined) {
  failed_.undefined = undefined;
  if (detail_ == Detail::sentences) {
    failed_.error = {sentence(), place};
  }
  return false;
}

bool Planner::stop_at(const Formula& formula) {
  if (detail_ == Detail::sentences) {
    failed_ = formula.explain(values_);
  } else {
    failed_.undefined = formula.is_undefined(values_);
  }
  return false;
}

// A failing let leaves the later ones of its phase unknown, so that a named check which does not
// need them can still give the better reason.
bool Planner::run_lets(Phase phase) {
  bool good = true;
  for (const Let& let : contract_.lets) {
    if (let.phase == phase) {
      const auto target = static_cast<std::size_t>(let.symbol);
      good = good && eval(let.formula, values_[target]);
      known_[target] = good ? 1 : 0;
      all_known_ = all_known_ && good;
    }
  }
  return good;
}

bool Planner::known(const Formula& formula) const {
  return all_known_ || std::all_of(formula.used_symbols().begin(), formula.used_symbols().end(),
                                   [&](const Formula::Used& used) {
                                     return known_[static_cast<std::size_t>(used.symbol)] != 0;
                                   });
}

PlanFailure Planner::failure(Verdict verdict) const {
  return {.verdict = verdict,
          .law = Law::check,
          .tp_rank = values_[symbol::tp_rank],
          .sentence = failed_.error.sentence,
          .place = failed_.error.place,
          .undefined = failed_.undefined};
}

std::optional<PlanFailure> Planner::run_checks(Check::When when, Verdict unnamed) {
  checks_of_rank_ = false;
  for (const Check& check : contract_.checks) {
    if (check.when != when || !known(check.that)) {
      continue;
    }
    checks_of_rank_ = checks_of_rank_ || check.phase != Phase::deployment;
    std::int64_t holds = 0;
    const bool evaluated = eval(check.that, holds);
    if (evaluated && holds != 0) {
      continue;
    }
    failed_on_every_rank_ = when == Check::When::build && !checks_of_rank_;
    if (!evaluated) {
      return failure(check.otherwise == Check::Else::refused ? Verdict::refused : unnamed);
    }
    return check_failure(check);
  }
  return std::nullopt;
}

PlanFailure Planner::check_failure(const Check& check) const {
  PlanFailure broken{
      .verdict = check.otherwise == Check::Else::refused ? Verdict::refused : Verdict::crash,
      .law = Law::check,
      .tp_rank = values_[symbol::tp_rank],
      .sentence = {},
      .place = {}};
  if (detail_ == Detail::sentences) {
    const std::string used = check.that.used_values(values_);
    broken.sentence = fmt::format("{}: {} fails{}", check.say, check.that.text(),
                                  used.empty() ? "" : " with " + used);
    broken.place = check.that.place();
  }
  return broken;
}

bool Planner::run_rank_lets() {
  if (!deployment_failed_) {
    return run_lets(Phase::tp_rank);
  }
  failed_ = deployment_stop_;
  all_known_ = false;
  for (const Let& let : contract_.lets) {
    if (let.phase == Phase::tp_rank) {
      known_[static_cast<std::size_t>(let.symbol)] = 0;
    }
  }
  return false;
}

std::optional<PlanFailure> Planner::build(std::int64_t tp_rank, RankBuild& build) {
  values_[symbol::T] = group_size_;
  loop_steps_ = 0;
  ++rank_stamp_;
  values_[symbol::tp_rank] = tp_rank;
  values_[symbol::t] = group_rank_.value_or(tp_rank);
  build.tp_rank = tp_rank;
  build.weight.clear();
  build.columns.clear();
  build.width = 0;
  build.b_rows.clear();
  build.a_rows.clear();
  failed_on_every_rank_ = false;
  const bool named = run_rank_lets();
  const Formula::Stop let_failure = failed_;
  if (auto broken = run_checks(Check::When::build, Verdict::refused)) {
    return broken;
  }
  if (!named) {
    failed_on_every_rank_ = deployment_failed_ && !checks_of_rank_;
    failed_ = let_failure;
    return failure(Verdict::refused);
  }
  build.group_size = values_[symbol::T];
  build.group_rank = values_[symbol::t];
  Target target{.of_weight = true,
                .order = true_order(geometry_, contract_.weight.order, contract_.weight.fused_by),
                .past_end = contract_.weight.past_end,
                .pieces = build.weight,
                .maps = {&build.columns, 1},
                .extents = {&build.width, 1}};
  const bool good =
      eval(contract_.owns.first_q, build.first_q) && eval(contract_.owns.q_heads, build.q_heads) &&
      eval(contract_.owns.first_kv, build.first_kv) &&
      eval(contract_.owns.kv_heads, build.kv_heads) && copy_rows(contract_.weight.copies, target);
  if (!good) {
    return failure(Verdict::refused);
  }
  if (build.group_size < 1 || build.group_rank < 0 || build.group_rank >= build.group_size) {
    stop(
        [&] {
          return fmt::format(
              "the group has T = {} ranks and this one is t = {}, expected "
              "0 <= t < T",
              build.group_size, build.group_rank);
        },
        contract_.file);
    return failure(Verdict::refused);
  }
  if (!allocate(contract_.lora_b.buffers, build.b_rows) ||
      !allocate(contract_.lora_a.buffers, build.a_rows)) {
    return failure(Verdict::crash);
  }
  return std::nullopt;
}

bool Planner::allocate(const std::vector<Buffer>& buffers, std::vector<std::int64_t>& rows) {
  for (const Buffer& buffer : buffers) {
    std::int64_t count = 0;
    if (!eval(buffer.rows, count)) {
      return false;
    }
    if (count < 0 || count > kMaxRows) {
      return stop(
          [&] {
            return fmt::format("buffer {} would have {} rows: {}", buffer.name, count,
                               describe(buffer.rows));
          },
          buffer.rows.place());
    }
    rows.push_back(count);
  }
  return true;
}

std::optional<PlanFailure> Planner::load(const AdapterShape& adapter, const RankBuild& build,
                                         RankLoad& load, const RankLoad* cut) {
  loop_steps_ = 0;
  values_[symbol::r] = adapter.lora_rank;
  values_[symbol::alpha] = adapter.lora_alpha;
  values_[symbol::has_q] = adapter.has(Part::q) ? 1 : 0;
  values_[symbol::has_k] = adapter.has(Part::k) ? 1 : 0;
  values_[symbol::has_v] = adapter.has(Part::v) ? 1 : 0;
  lora_rank_ = adapter.lora_rank;
  load.b_pieces.clear();
  load.a_pieces.clear();
  load.launches.clear();
  load.slice_rows.assign(build.b_rows.size(), 0);
  const bool lets = run_lets(Phase::adapter);
  const Formula::Stop let_failure = failed_;
  if (auto broken = run_checks(Check::When::load, Verdict::crash)) {
    return broken;
  }
  if (!lets) {
    failed_ = let_failure;
    return failure(Verdict::crash);
  }
  const bool good = copy_b(adapter, build, load, cut) && copy_a(adapter, build, load, cut) &&
                    launches(adapter, load) &&
                    eval(contract_.scaling_numerator, load.scaling_numerator) &&
                    eval(contract_.scaling_denominator, load.scaling_denominator);
  if (!good) {
    return failure(Verdict::crash);
  }
  if (load.scaling_denominator == 0) {
    stop([] { return std::string("the scaling's denominator is 0"); },
         contract_.scaling_denominator.place());
    return failure(Verdict::crash);
  }
  return check_fit(build, load);
}

bool Planner::copy_b(const AdapterShape& adapter, const RankBuild& build, RankLoad& load,
                     const RankLoad* cut) {
  const bool kept = contract_.lora_b.same_for_targets && cut == nullptr;
  if (kept && kept_b_stamp_ == rank_stamp_ && kept_b_targets_ == adapter.targets) {
    load.b_pieces = kept_b_.pieces;
    load.b_maps = kept_b_.maps;
    load.slice_rows = kept_b_.extents;
    return true;
  }
  empty_maps(load.b_maps, build.b_rows.size());
  Target target{.order = true_order(geometry_, contract_.lora_b.order, contract_.lora_b.fused_by),
                .past_end = contract_.lora_b.past_end,
                .pieces = load.b_pieces,
                .maps = load.b_maps,
                .extents = load.slice_rows,
                .slices = cut == nullptr ? Slices{} : Slices{true, cut->b_pieces, cut->b_maps}};
  if (!copy_rows(contract_.lora_b.copies, target)) {
    return false;
  }
  if (kept) {
    kept_b_.pieces = load.b_pieces;
    kept_b_.maps = load.b_maps;
    kept_b_.extents = load.slice_rows;
    kept_b_stamp_ = rank_stamp_;
    kept_b_targets_ = adapter.targets;
  }
  return true;
}

bool Planner::copy_a(const AdapterShape& adapter, const RankBuild& build, RankLoad& load,
                     const RankLoad* cut) {
  const bool kept = contract_.lora_a.same_on_ranks && cut == nullptr;
  if (kept) {
    const auto found = std::find_if(kept_a_.begin(), kept_a_.end(),
                                    [&](const KeptA& one) { return one.adapter == adapter; });
    if (found != kept_a_.end()) {
      load.a_pieces = found->copied.pieces;
      load.a_maps = found->copied.maps;
      return true;
    }
  }
  empty_maps(load.a_maps, build.a_rows.size());
  a_extents_.assign(build.a_rows.size(), 0);
  Target target{.of_lora_a = true,
                .order = FusedOrder::blocks,
                .past_end = contract_.lora_a.past_end,
                .pieces = load.a_pieces,
                .maps = load.a_maps,
                .extents = a_extents_,
                .slices = cut == nullptr ? Slices{} : Slices{true, cut->a_pieces, cut->a_maps}};
  if (!copy_rows(contract_.lora_a.copies, target)) {
    return false;
  }
  if (kept) {
    kept_a_.push_back({adapter, {load.a_pieces, load.a_maps, a_extents_}});
  }
  return true;
}

bool Planner::count_pieces(std::size_t count) {
  pieces_ += static_cast<std::int64_t>(count);
  if (pieces_ <= kMaxPieces) {
    return true;
  }
  return stop(
      [] {
        return fmt::format(
            "more than {} copies and kernel entries on all ranks, expected at most "
            "that many",
            kMaxPieces);
      },
      contract_.file, true);
}

template <class Body>
bool Planner::for_each_index(const std::vector<Loop>& loops, std::size_t level, const Body& body) {
  if (level == loops.size()) {
    return count_pieces(1) && body();
  }
  std::int64_t count = 0;
  if (!eval(loops[level].count, count)) {
    return false;
  }
  if (count > kMaxLoopSteps - loop_steps_) {
    // Nothing an engine asserts: the contract is at fault.
    return stop(
        [&] {
          return fmt::format(
              "a repetition of {} times after {} loop steps of this rank, expected at "
              "most {} in all",
              count, loop_steps_, kMaxLoopSteps);
        },
        loops[level].count.place(), true);
  }
  loop_steps_ += std::max<std::int64_t>(count, 0);
  for (std::int64_t i = 0; i < count; ++i) {
    values_[static_cast<std::size_t>(loops[level].symbol)] = i;
    if (!for_each_index(loops, level + 1, body)) {
      return false;
    }
  }
  return true;
}

bool Planner::copy_rows(const std::vector<Copy>& copies, Target& target) {
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const Copy& copy = copies[i];
    const int number = static_cast<int>(i);
    if (!for_each_index(copy.loops, 0, [&] { return copy_once(copy, number, target); })) {
      return false;
    }
  }
  return true;
}

std::int64_t Planner::source_rows(Source source) const {
  switch (source) {
    case Source::q: return geometry_.rows(Part::q);
    case Source::k: return geometry_.rows(Part::k);
    case Source::v: return geometry_.rows(Part::v);
    default: return geometry_.total_rows();
  }
}

bool Planner::copy_once(const Copy& copy, int number, Target& target) {
  const auto buffer = static_cast<std::size_t>(copy.buffer);
  // Filled in where it will stay, and taken back on failure.
  Piece& piece = target.pieces.emplace_back();
  piece.copy = number;
  piece.source = copy.source;
  piece.buffer = copy.buffer;
  piece.to = target.extents[buffer];
  if (put_piece(copy, target, piece)) {
    return true;
  }
  target.pieces.pop_back();
  return false;
}

bool Planner::place_piece(const Copy& copy, const Target& target, Piece& piece) {
  if (!eval(copy.from, piece.from) || !eval(copy.rows, piece.wanted_rows) ||
      (copy.at && !eval(*copy.at, piece.to))) {
    return false;
  }
  const auto outside = [](std::int64_t n) { return n > kMaxRows || n < -kMaxRows; };
  if (piece.wanted_rows < 0 || piece.to < 0 || outside(piece.from) || outside(piece.wanted_rows) ||
      outside(piece.to)) {
    // A negative count is no assertion of an engine: the description is wrong.
    return stop(
        [&] {
          return fmt::format("a copy of {} rows from row {} to row {}, expected counts from 0 on",
                             piece.wanted_rows, piece.from, piece.to);
        },
        copy.place, piece.wanted_rows < 0 || piece.to < 0);
  }
  const std::int64_t reached = target.extents[static_cast<std::size_t>(copy.buffer)];
  if (target.of_weight && piece.to < reached && piece.wanted_rows > 0) {
    return stop(
        [&] {
          return fmt::format(
              "output columns from {} on are written twice, the copies before end at "
              "{}",
              piece.to, reached);
        },
        copy.place, true);
  }
  return true;
}

bool Planner::put_piece(const Copy& copy, Target& target, Piece& piece) {
  if (!place_piece(copy, target, piece)) {
    return false;
  }
  const auto buffer = static_cast<std::size_t>(copy.buffer);
  std::int64_t available = target.of_lora_a ? lora_rank_ : source_rows(copy.source);
  const bool cut_before = target.slices.cut;
  const IntervalMap slices =
      cut_before ? joined(target.slices, copy.source, available) : IntervalMap();
  const std::int64_t begin = std::clamp<std::int64_t>(piece.from, 0, available);
  const std::int64_t end =
      std::clamp<std::int64_t>(piece.from + piece.wanted_rows, begin, available);
  if (target.past_end == PastEnd::error && end - begin != piece.wanted_rows) {
    return stop(
        [&] {
          return fmt::format("rows {} to {} are taken of a source {} that has {}: {} and {}",
                             piece.from, piece.from + piece.wanted_rows, source_name(copy.source),
                             available, describe(copy.from), describe(copy.rows));
        },
        copy.place);
  }
  const bool zero_fill = target.past_end == PastEnd::zero;
  piece.rows = zero_fill ? piece.wanted_rows : end - begin;
  IntervalMap& map = target.maps[buffer];
  if (zero_fill) {
    map.overwrite(piece.to, piece.rows, kZeros, 0);
  }
  const std::int64_t at = zero_fill ? piece.to + (begin - std::min(begin, piece.from)) : piece.to;
  if (cut_before) {
    slices.visit(begin, end, [&](const Segment& segment) {
      if (segment.space != kNothing) {
        map.overwrite(at + segment.at - begin, segment.rows, segment.space, segment.from);
      }
    });
  } else {
    put_source(copy.source, target, at, end - begin, begin, map);
  }
  target.extents[buffer] = std::max(target.extents[buffer], piece.to + piece.rows);
  return true;
}

void Planner::put_source(Source source, const Target& target, std::int64_t at, std::int64_t rows,
                         std::int64_t from, IntervalMap& map) const {
  if (target.of_lora_a || source != Source::fused) {
    constexpr std::array<std::int32_t, 5> kSpaces = {0, 1, 2, kSharedA, kSharedA};
    map.overwrite(at, rows, kSpaces[static_cast<std::size_t>(source)], from);
    return;
  }
  if (map.empty() || at >= map.segments().back().end()) {
    append_fused(geometry_, target.order, from, rows, at, map);
    return;
  }
  IntervalMap fused;
  append_fused(geometry_, target.order, from, rows, at, fused);
  map.overlay(fused.segments());
}

bool Planner::launches(const AdapterShape& adapter, RankLoad& load) {
  if (contract_.kernel_same_on_ranks) {
    const auto found =
        std::find_if(kept_launches_.begin(), kept_launches_.end(),
                     [&](const KeptLaunches& one) { return one.adapter == adapter; });
    if (found != kept_launches_.end()) {
      load.launches = found->launches;
      return count_pieces(load.launches.size());
    }
  }
  for (std::size_t i = 0; i < contract_.kernel.size(); ++i) {
    const KernelEntry& entry = contract_.kernel[i];
    const bool good = for_each_index(entry.loops, 0, [&] {
      // Filled in where it will stay, and taken back on failure.
      KernelLaunch& one = load.launches.emplace_back();
      one.entry = static_cast<int>(i);
      one.a = entry.a;
      one.b = entry.b;
      if (launch(entry, one)) {
        return true;
      }
      load.launches.pop_back();
      return false;
    });
    if (!good) {
      return false;
    }
  }
  if (contract_.kernel_same_on_ranks) {
    kept_launches_.push_back({adapter, load.launches});
  }
  return true;
}

bool Planner::launch(const KernelEntry& entry, KernelLaunch& one) {
  if (!eval(entry.a_at, one.a_at) || !eval(entry.b_at, one.b_at) || !eval(entry.out, one.out) ||
      !eval(entry.rows, one.rows) || !eval(entry.depth, one.depth)) {
    return false;
  }
  for (const std::int64_t count : {one.a_at, one.b_at, one.out, one.rows, one.depth}) {
    if (count < 0 || count > kMaxRows) {
      return stop(
          [&] {
            return fmt::format(
                "a kernel entry with a_at {}, b_at {}, out {}, rows {}, "
                "depth {}, expected counts from 0 on",
                one.a_at, one.b_at, one.out, one.rows, one.depth);
          },
          entry.place, count < 0);
    }
  }
  return true;
}

std::optional<PlanFailure> Planner::check_fit(const RankBuild& build, const RankLoad& load) const {
  const auto misfit = [&](const Buffer& buffer, std::int64_t has, std::int64_t wants,
                          std::int64_t cols) {
    PlanFailure broken{.verdict = Verdict::crash,
                       .law = Law::fit,
                       .tp_rank = build.tp_rank,
                       .sentence = {},
                       .place = {}};
    if (detail_ == Detail::sentences) {
      broken.sentence = fmt::format(
          "buffer {} has {} rows and the slice has {}: shape [{}, {}] against [{}, {}]; "
          "the buffer is {}",
          buffer.name, has, wants, has, cols, wants, cols, describe(buffer.rows));
      broken.place = buffer.rows.place();
    }
    return broken;
  };
  if (lora_rank_ > deployment_.max_lora_rank && !build.b_rows.empty()) {
    PlanFailure broken{.verdict = Verdict::crash,
                       .law = Law::fit,
                       .tp_rank = build.tp_rank,
                       .sentence = {},
                       .place = {}};
    if (detail_ == Detail::sentences) {
      broken.sentence =
          fmt::format("buffer {} has R = {} columns and the slice has the adapter's lora_rank, {}",
                      contract_.lora_b.buffers.front().name, deployment_.max_lora_rank, lora_rank_);
      broken.place = contract_.lora_b.buffers.front().rows.place();
    }
    return broken;
  }
  for (std::size_t i = 0; i < build.b_rows.size(); ++i) {
    const bool fits = contract_.lora_b.fit == Fit::exact ? load.slice_rows[i] == build.b_rows[i]
                                                         : load.slice_rows[i] <= build.b_rows[i];
    if (!fits) {
      return misfit(contract_.lora_b.buffers[i], build.b_rows[i], load.slice_rows[i], lora_rank_);
    }
  }
  for (std::size_t i = 0; i < build.a_rows.size(); ++i) {
    const auto segments = load.a_maps[i].segments();
    if (!segments.empty() && segments.back().end() > build.a_rows[i]) {
      return misfit(contract_.lora_a.buffers[i], build.a_rows[i], segments.back().end(),
                    geometry_.hidden_size);
    }
  }
  return std::nullopt;
}

namespace {

std::string_view file_of(const Formula& formula) {
  const std::string_view place = formula.place();
  return place.substr(0, place.find('#'));
}

}  // namespace

std::string Planner::describe(const Formula& formula) const {
  std::string used;
  for (const auto& [number, name] : formula.used_symbols()) {
    const auto let =
        std::find_if(contract_.lets.begin(), contract_.lets.end(),
                     [symbol = number](const Let& each) { return each.symbol == symbol; });
    used += fmt::format("{}{}", used.empty() ? "" : ", ", name);
    if (let != contract_.lets.end()) {
      used += " = " + let->formula.text();
    }
    used += fmt::format(" = {}", values_[static_cast<std::size_t>(number)]);
    if (let != contract_.lets.end() && file_of(let->formula) == contract_.file &&
        file_of(formula) != contract_.file) {
      // Replaced by the extending contract, and that is where to look.
      used += fmt::format(" [{}]", let->formula.place());
    }
  }
  const auto result = value(formula);
  const auto& symbols = formula.used_symbols();
  if (symbols.size() == 1 && used == fmt::format("{} = {}", formula.text(), result.value_or(0))) {
    return used;  // a symbol alone
  }
  return fmt::format("{} = {}{}", formula.text(), result ? std::to_string(*result) : "undefined",
                     used.empty() ? "" : " (" + used + ")");
}

}  // namespace tplora
