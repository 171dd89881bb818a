#include "sim/layout/analysis.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tplora {

std::vector<LiveAdapter> live_adapters(const std::vector<AdapterShape>& adapters,
                                       const std::vector<PoolStep>& steps) {
  std::vector<LiveAdapter> live;
  for (const PoolStep& step : steps) {
    std::erase_if(live, [&](const LiveAdapter& one) { return one.slot == step.slot; });
    if (step.kind == PoolStep::Kind::load) {
      live.push_back({.adapter = step.adapter,
                      .shape = adapters[static_cast<std::size_t>(step.adapter)],
                      .slot = step.slot});
    }
  }
  std::sort(live.begin(), live.end(),
            [](const LiveAdapter& a, const LiveAdapter& b) { return a.slot < b.slot; });
  return live;
}

const Analysis& Analyser::run(const Contract& contract, const LayoutCase& input) {
  analysis_.failures.clear();
  analysis_.violations.clear();
  analysis_.ranks.resize(static_cast<std::size_t>(input.deployment.tp_size));
  analysis_.live = live_adapters(input.adapters, input.steps);
  Planner planner(contract, input.geometry, input.deployment, detail_);
  if (build_all(planner, contract, input)) {
    check_laws(contract, input);
  }
  const auto worst = std::max_element(
      analysis_.failures.begin(), analysis_.failures.end(),
      [](const PlanFailure& a, const PlanFailure& b) { return a.verdict < b.verdict; });
  const auto undefined = std::find_if(analysis_.failures.begin(), analysis_.failures.end(),
                                      [](const PlanFailure& one) { return one.undefined; });
  analysis_.bad_contract.reset();
  if (undefined != analysis_.failures.end()) {
    analysis_.bad_contract = Error{undefined->sentence, undefined->place};
  }
  const bool failed = worst != analysis_.failures.end();
  analysis_.shape_check = !failed;
  analysis_.verdict = failed                          ? worst->verdict
                      : analysis_.violations.empty() ? Verdict::consistent
                                                      : Verdict::silent;
  return analysis_;
}

// Builds every rank and replays the steps on it. A rank that fails stops there; the others go on,
// so that every finding is listed.
bool Analyser::build_all(Planner& planner, const Contract& contract, const LayoutCase& input) {
  for (std::size_t rank = 0; rank < analysis_.ranks.size(); ++rank) {
    RankState& state = analysis_.ranks[rank];
    state.loads.resize(input.adapters.size());
    for (RankLoad& load : state.loads) {
      load.b_pieces.clear();
    }
    if (auto failure = planner.build(static_cast<std::int64_t>(rank), state.build)) {
      analysis_.failures.push_back(std::move(*failure));
      if (detail_ == Detail::verdicts && planner.failed_on_every_rank()) {
        return false;
      }
      continue;
    }
    state.pool.reset(state.build, input.deployment);
    bool good = true;
    for (const PoolStep& step : input.steps) {
      if (step.kind != PoolStep::Kind::load) {
        continue;
      }
      const auto adapter = static_cast<std::size_t>(step.adapter);
      const AdapterShape& shape = input.adapters[adapter];
      RankLoad& load = state.loads[adapter];
      if (load.b_pieces.empty()) {
        // Every adapter is planned, for the reports; the first failure stops the rank.
        if (auto failure = planner.load(shape, state.build, load); failure && good) {
          analysis_.failures.push_back(std::move(*failure));
          good = false;
        }
      }
      if (good) {
        state.pool.load(contract, state.build, load, shape, step.adapter, step.slot);
      }
    }
  }
  return analysis_.failures.empty();
}

void Analyser::check_laws(const Contract& contract, const LayoutCase& input) {
  const auto ranks = static_cast<std::int64_t>(analysis_.ranks.size());
  const std::int64_t group_size = analysis_.ranks.front().build.group_size;
  const auto in_order = [&](std::int64_t rank) {
    const RankBuild& build = analysis_.ranks[static_cast<std::size_t>(rank)].build;
    return build.group_size == group_size && build.group_rank == rank % group_size;
  };
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    if (ranks % group_size != 0 || !in_order(rank)) {
      analysis_.failures.push_back(
          {.verdict = Verdict::refused,
           .tp_rank = rank,
           .sentence = fmt::format("the groups of T = {} ranks do not tile tp_size {} in order",
                                   group_size, ranks),
           .place = contract.file});
      return;
    }
  }
  for (std::int64_t first = 0; first < ranks; first += group_size) {
    const std::span<const RankState> group(analysis_.ranks.data() + first,
                                           static_cast<std::size_t>(group_size));
    check_group(contract, input.geometry, group, analysis_.violations);
    for (std::size_t t = 0; t < group.size(); ++t) {
      for (const LiveAdapter& live : analysis_.live) {
        check_delta(contract, input.deployment, group, t, live, analysis_.violations);
      }
    }
    check_agreement(input.geometry, group, analysis_.violations);
  }
}

}  // namespace tplora
