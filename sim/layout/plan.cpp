#include "sim/layout/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/layout/copy_rows.hpp"
#include "sim/layout/launches.hpp"
#include "sim/layout/law_fit.hpp"
#include "sim/layout/row_order.hpp"

namespace tplora::core {

namespace {

void empty_maps(std::vector<IntervalMap>& maps, std::size_t count) {
  maps.resize(count);
  for (IntervalMap& map : maps) {
    map.clear();
  }
}

/// Whether each launch reads buffers that the contract has.
bool read_buffers(const std::vector<KernelLaunch>& launches, const Contract& contract) {
  return std::all_of(launches.begin(), launches.end(), [&](const KernelLaunch& one) {
    return static_cast<std::size_t>(one.a) < contract.lora_a.buffers.size() &&
           static_cast<std::size_t>(one.b) < contract.lora_b.buffers.size();
  });
}

}  // namespace

Planner::Planner(const Contract& contract, const QkvGeometry& geometry,
                 const Deployment& deployment, Detail detail)
    : contract_(contract),
      geometry_(geometry),
      scope_(contract, geometry, deployment, detail),
      cache_(contract) {}

std::optional<PlanFailure> Planner::build(std::int64_t tp_rank, RankBuild& build) {
  cache_.enter_rank();
  build.tp_rank = tp_rank;
  build.weight.clear();
  build.columns.clear();
  build.width = 0;
  build.b_rows.clear();
  build.a_rows.clear();
  build.view.clear();
  if (auto broken = scope_.enter_rank(tp_rank)) {
    return broken;
  }
  build.group_size = scope_.value(symbol::T);
  build.group_rank = scope_.value(symbol::t);
  const Owns& owns = contract_.owns;
  const bool good =
      scope_.eval(owns.first_q, build.first_q) && scope_.eval(owns.q_heads, build.q_heads) &&
      scope_.eval(owns.first_kv, build.first_kv) && scope_.eval(owns.kv_heads, build.kv_heads) &&
      copy_weight(build) && copy_view(build);
  if (!good) {
    return scope_.failure(Verdict::refused);
  }
  if (build.group_size < 1 || build.group_rank < 0 || build.group_rank >= build.group_size) {
    scope_.stop(
        [&] {
          return fmt::format(
              "the group has T = {} ranks and this one is t = {}, expected 0 <= t < T",
              build.group_size, build.group_rank);
        },
        {contract_.file});
    return scope_.failure(Verdict::refused);
  }
  if (!allocate(contract_.lora_b.buffers, build.b_rows) ||
      !allocate(contract_.lora_a.buffers, build.a_rows)) {
    return scope_.failure(Verdict::crash);
  }
  return std::nullopt;
}

bool Planner::copy_weight(RankBuild& build) {
  const WeightSection& weight = contract_.weight;
  CopyTarget target{.geometry = geometry_,
                    .tensor = CopyTarget::Tensor::weight,
                    .order = true_order(geometry_, weight.order, weight.fused_by),
                    .past_end = weight.past_end,
                    .pieces = build.weight,
                    .maps = {&build.columns, 1},
                    .extents = {&build.width, 1}};
  return copy_rows(scope_, weight.copies, target);
}

bool Planner::copy_view(RankBuild& build) {
  for (const ViewCopy& copy : contract_.view.copies) {
    const bool good = scope_.for_each_index(copy.loops, [&] {
      ColumnRun run;
      if (!scope_.eval(copy.from, run.from) || !scope_.eval(copy.rows, run.rows)) {
        return false;
      }
      if (run.from < 0 || run.rows < 0 || run.from > kMaxRows || run.rows > kMaxRows) {
        return scope_.stop(
            [&] {
              return fmt::format(
                  "attention looks at {} columns from {} on, expected counts from 0 "
                  "on",
                  run.rows, run.from);
            },
            copy.place, run.from < 0 || run.rows < 0);
      }
      if (run.rows > 0) {
        build.view.push_back(run);
      }
      return true;
    });
    if (!good) {
      return false;
    }
  }
  return true;
}

bool Planner::allocate(const std::vector<Buffer>& buffers, std::vector<std::int64_t>& rows) {
  ensure(rows.empty(), "buffers are allocated once");
  for (const Buffer& buffer : buffers) {
    std::int64_t count = 0;
    if (!scope_.eval(buffer.rows, count)) {
      return false;
    }
    if (count < 0 || count > kMaxRows) {
      return scope_.stop(
          [&] {
            return fmt::format("buffer {} would have {} rows: {}", buffer.name, count,
                               scope_.describe(buffer.rows));
          },
          buffer.rows.place());
    }
    rows.push_back(count);
  }
  return true;
}

std::optional<PlanFailure> Planner::load(const AdapterShape& adapter, const RankBuild& build,
                                         RankLoad& load, const RankLoad* cut) {
  ensure(build.tp_rank == scope_.value(symbol::tp_rank), "a load is of the rank built last");
  ensure(build.b_rows.size() == contract_.lora_b.buffers.size() &&
             build.a_rows.size() == contract_.lora_a.buffers.size(),
         "a load is of a rank that could be built");
  ensure(cut != &load, "what a load is cut out of was planned before it");
  load.b_pieces.clear();
  load.a_pieces.clear();
  load.launches.clear();
  load.slice_rows.assign(build.b_rows.size(), 0);
  if (auto broken = scope_.enter_adapter(adapter)) {
    return broken;
  }
  const bool good = copy_b(adapter, load, cut) && copy_a(adapter, build, load, cut) &&
                    launch(adapter, load) && factors(adapter, load);
  if (!good) {
    return scope_.failure(Verdict::crash);
  }
  ensure_checked([&] { return read_buffers(load.launches, contract_); },
                 "a launch reads buffers of the contract");
  return check_fit(scope_, contract_, adapter, build, load);
}

bool Planner::copy_b(const AdapterShape& adapter, RankLoad& load, const RankLoad* cut) {
  if (cut == nullptr && cache_.find_b(adapter, load)) {
    return true;
  }
  empty_maps(load.b_maps, load.slice_rows.size());
  CopyTarget target{
      .geometry = geometry_,
      .tensor = CopyTarget::Tensor::lora_b,
      .order = true_order(geometry_, contract_.lora_b.order, contract_.lora_b.fused_by),
      .foreign = adapter.part_rows != std::array<std::int64_t, 3>{},
      .past_end = contract_.lora_b.past_end,
      .pieces = load.b_pieces,
      .maps = load.b_maps,
      .extents = load.slice_rows,
      .slices = cut == nullptr ? Slices{} : Slices{true, cut->b_pieces, cut->b_maps}};
  if (!copy_rows(scope_, contract_.lora_b.copies, target)) {
    return false;
  }
  if (cut == nullptr) {
    cache_.keep_b(adapter, load);
  }
  return true;
}

bool Planner::copy_a(const AdapterShape& adapter, const RankBuild& build, RankLoad& load,
                     const RankLoad* cut) {
  if (cut == nullptr && cache_.find_a(adapter, load)) {
    return true;
  }
  empty_maps(load.a_maps, build.a_rows.size());
  a_extents_.assign(build.a_rows.size(), 0);
  CopyTarget target{.geometry = geometry_,
                    .tensor = CopyTarget::Tensor::lora_a,
                    .order = FusedOrder::blocks,
                    .past_end = contract_.lora_a.past_end,
                    .pieces = load.a_pieces,
                    .maps = load.a_maps,
                    .extents = a_extents_,
                    .slices = cut == nullptr ? Slices{} : Slices{true, cut->a_pieces, cut->a_maps}};
  if (!copy_rows(scope_, contract_.lora_a.copies, target)) {
    return false;
  }
  if (cut == nullptr) {
    cache_.keep_a(adapter, load);
  }
  return true;
}

bool Planner::factors(const AdapterShape& adapter, RankLoad& load) {
  const Formula* root = contract_.scaling_root ? &*contract_.scaling_root : nullptr;
  const bool of_part = contract_.dependence(contract_.scaling_numerator).part ||
                       contract_.dependence(contract_.scaling_denominator).part ||
                       (root != nullptr && contract_.dependence(*root).part);
  for (const Part part : kParts) {
    DeltaFactor& factor = load.factors[static_cast<std::size_t>(part)];
    if (part != Part::q && !of_part) {
      factor = load.factors.front();
      continue;
    }
    scope_.enter_part(adapter, part);
    factor = {.numerator = 1, .alpha_unit = adapter.alpha_unit, .denominator = 1, .root = 1};
    if (!scope_.eval(contract_.scaling_numerator, factor.numerator) ||
        !scope_.eval(contract_.scaling_denominator, factor.denominator) ||
        (root != nullptr && !scope_.eval(*root, factor.root))) {
      return false;
    }
    if (factor.denominator == 0) {
      return scope_.stop([] { return std::string("the scaling's denominator is 0"); },
                         contract_.scaling_denominator.place(), true);
    }
    if (factor.root <= 0) {
      return scope_.stop(
          [&] {
            return fmt::format("the scaling's root is of {}, expected 1 or more", factor.root);
          },
          root->place(), true);
    }
  }
  return true;
}

bool Planner::launch(const AdapterShape& adapter, RankLoad& load) {
  if (cache_.find_launches(adapter, load)) {
    return scope_.count_pieces(load.launches.size());
  }
  if (!plan_launches(scope_, contract_.kernel, load.launches)) {
    return false;
  }
  cache_.keep_launches(adapter, load);
  return true;
}

}  // namespace tplora::core
