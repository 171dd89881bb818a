#include "sim/layout/analysis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/layout/law_agreement.hpp"
#include "sim/layout/law_cover.hpp"
#include "sim/layout/law_delta.hpp"
#include "sim/layout/law_scaling.hpp"
#include "sim/layout/view.hpp"

namespace tplora::core {

namespace {

/// The event whose slices event `event` finds in place of the adapter's tensors; -1: none.
int cut_by(const Contract& contract, const std::vector<PoolEvent>& events, int event) {
  ensure(0 <= event && static_cast<std::size_t>(event) < events.size(), "an event of the steps");
  if (contract.pool.cut == PoolCut::copy) {
    return -1;
  }
  const PoolEvent& one = events[static_cast<std::size_t>(event)];
  ensure(one.previous < event, "what an event goes on from came before it");
  // A rescale looks at what the last use wrote.
  return one.slot >= 0 || one.previous < 0
             ? one.previous
             : events[static_cast<std::size_t>(one.previous)].previous;
}

/// Whether a violation is told on one of the ranks, and of rows that the layer has.
bool of_layer(const Violation& violation, const LayoutCase& input) {
  const std::int64_t rank = tp_rank_of(violation);
  const DueRows* due = due_of(violation);
  return 0 <= rank && rank < input.deployment.tp_size &&
         (due == nullptr || (0 <= due->first_row && due->rows > 0 &&
                             due->first_row + due->rows <= input.geometry.rows(due->part)));
}

/// Whether an adapter's last events are its own, and its shape what they left.
bool agree(const LiveAdapter& live, const std::vector<PoolEvent>& events) {
  const PoolEvent& put = events[static_cast<std::size_t>(live.event)];
  const PoolEvent& scaled = events[static_cast<std::size_t>(live.scaled)];
  return put.adapter == live.adapter && put.slot >= 0 && scaled.adapter == live.adapter &&
         scaled.shape == live.shape;
}

}  // namespace

std::optional<PlanFailure> plan_event(Planner& planner, const Contract& contract,
                                      const std::vector<PoolEvent>& events, int event,
                                      const RankBuild& build, RankLoad& load) {
  const int before = cut_by(contract, events, event);
  const AdapterShape& shape = events[static_cast<std::size_t>(event)].shape;
  if (before < 0) {
    return planner.load(shape, build, load);
  }
  RankLoad cut;
  if (auto failure = plan_event(planner, contract, events, before, build, cut)) {
    return failure;
  }
  return planner.load(shape, build, load, &cut);
}

const Analysis& Analyser::run_again(const Contract& contract, const LayoutCase& input) & {
  if (detail_ == Detail::verdicts && analysis_.failed_before_adapters) {
    return analysis_;
  }
  again_ = detail_ == Detail::verdicts;
  return run(contract, input);
}

Analysis Analyser::run(const Contract& contract, const LayoutCase& input) && {
  run(contract, input);
  return std::move(analysis_);
}

const Analysis& Analyser::run(const Contract& contract, const LayoutCase& input) & {
  ensure(input.deployment.tp_size > 0, "a deployment has ranks");
  analysis_.failures.clear();
  analysis_.violations.clear();
  analysis_.failed_before_adapters = false;
  analysis_.some_rank_unbuilt = false;
  const auto ranks = static_cast<std::size_t>(input.deployment.tp_size);
  if (detail_ == Detail::sentences || analysis_.ranks.size() < ranks) {
    analysis_.ranks.resize(ranks);
  }
  analysis_.events = pool_events(input.adapters, input.steps);
  analysis_.live = live_adapters(input.adapters, input.steps, contract.pool.lookup);
  for (const PoolEvent& event : analysis_.events) {
    ensure(event.slot < input.deployment.slots, "a step writes to a slot that there is");
  }
  for (const LiveAdapter& live : analysis_.live) {
    ensure(agree(live, analysis_.events), "steps and what becomes of them number the same events");
  }
  Planner planner(contract, input.geometry, input.deployment, detail_);
  if (build_all(planner, contract, input)) {
    check_laws(contract, input);
  }
  ensure_checked(
      [&] {
        return std::all_of(analysis_.violations.begin(), analysis_.violations.end(),
                           [&](const Violation& one) { return of_layer(one, input); });
      },
      "a violation is told on a rank, of rows of the layer");
  const auto worst = std::max_element(
      analysis_.failures.begin(), analysis_.failures.end(),
      [](const PlanFailure& a, const PlanFailure& b) { return a.verdict < b.verdict; });
  const auto undefined = std::find_if(analysis_.failures.begin(), analysis_.failures.end(),
                                      [](const PlanFailure& one) { return one.undefined; });
  analysis_.bad_contract.reset();
  if (undefined != analysis_.failures.end()) {
    analysis_.bad_contract = Error{undefined->sentence, undefined->place.text()};
  }
  const bool failed = worst != analysis_.failures.end();
  ensure(!failed || worst->verdict == Verdict::crash || worst->verdict == Verdict::refused,
         "what cannot be planned is a crash or refused");
  ensure(!failed || analysis_.violations.empty(), "laws are looked at where every rank is planned");
  analysis_.shape_check = !failed;
  analysis_.verdict = failed                         ? worst->verdict
                      : analysis_.violations.empty() ? Verdict::consistent
                                                     : Verdict::silent;
  again_ = false;
  return analysis_;
}

// Builds every rank and replays the steps on it. A rank that fails stops there; the others go on,
// so that every finding is listed.
bool Analyser::build_all(Planner& planner, const Contract& contract, const LayoutCase& input) {
  if (!again_) {
    failed_builds_.assign(static_cast<std::size_t>(input.deployment.tp_size), std::nullopt);
    planned_.resize(std::max(planned_.size(), failed_builds_.size()));
  }
  ensure(failed_builds_.size() == static_cast<std::size_t>(input.deployment.tp_size),
         "an input that differs in its adapters has as many ranks");
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(input.deployment.tp_size); ++rank) {
    if (again_ && failed_builds_[rank]) {
      analysis_.failures.push_back(*failed_builds_[rank]);
      analysis_.some_rank_unbuilt = true;
      continue;
    }
    RankState& state = analysis_.ranks[rank];
    if (!again_) {
      state.load_of.assign(analysis_.events.size(), -1);
      planned_[rank].clear();
      if (auto failure = planner.build(static_cast<std::int64_t>(rank), state.build)) {
        analysis_.failures.push_back(*failure);
        failed_builds_[rank] = std::move(failure);
        analysis_.some_rank_unbuilt = true;
        analysis_.failed_before_adapters = planner.failed_on_every_rank();
        if (detail_ == Detail::verdicts && planner.failed_on_every_rank()) {
          return false;
        }
        continue;
      }
    }
    ensure(state.load_of.size() == analysis_.events.size(),
           "an input that differs in its adapters has as many events");
    if (auto failure = load_all(planner, contract, input, rank)) {
      analysis_.failures.push_back(std::move(*failure));
    }
  }
  ensure_checked(
      [&] {
        return std::is_sorted(
            analysis_.failures.begin(), analysis_.failures.end(),
            [](const PlanFailure& a, const PlanFailure& b) { return a.tp_rank < b.tp_rank; });
      },
      "failures are listed by tp_rank");
  return analysis_.failures.empty();
}

// Plans one event on one rank, unless its like is planned there already.
const Analyser::PlannedLoad& Analyser::plan_load(Planner& planner, const Contract& contract,
                                                 std::size_t rank, int event) {
  auto& planned = planned_[rank];
  RankState& state = analysis_.ranks[rank];
  const PoolEvent& one = analysis_.events[static_cast<std::size_t>(event)];
  int cuts = 0;
  for (int at = cut_by(contract, analysis_.events, event); at >= 0;
       at = analysis_.events[static_cast<std::size_t>(at)].previous) {
    ++cuts;
  }
  const auto alike = std::find_if(planned.begin(), planned.end(), [&](const PlannedLoad& other) {
    return other.shape == one.shape && other.cuts == cuts;
  });
  const auto place = static_cast<std::size_t>(alike - planned.begin());
  state.load_of[static_cast<std::size_t>(event)] = static_cast<std::int32_t>(place);
  if (alike != planned.end()) {
    return *alike;
  }
  if (again_) {  // the planner has not been on this rank yet
    planner.build(static_cast<std::int64_t>(rank), scratch_build_);
  }
  state.loads.resize(std::max(state.loads.size(), place + 1));
  const int before = cut_by(contract, analysis_.events, event);  // planned already: it came first
  planned.push_back({one.shape, cuts,
                     planner.load(one.shape, state.build, state.loads[place],
                                  before < 0 ? nullptr : &state.load(before))});
  return planned.back();
}

// Replays the steps on one rank. Every adapter is planned, for the reports; the first failure stops
// the rank's pool.
std::optional<PlanFailure> Analyser::load_all(Planner& planner, const Contract& contract,
                                              const LayoutCase& input, std::size_t rank) {
  RankState& state = analysis_.ranks[rank];
  std::optional<PlanFailure> first;
  // Once some rank has failed, no law is looked at: verdicts need no pools.
  const bool pools = detail_ == Detail::sentences || analysis_.failures.empty();
  if (pools) {
    state.pool.reset(contract, state.build, input.deployment);
  }
  for (int event = 0; event < static_cast<int>(analysis_.events.size()); ++event) {
    const PlannedLoad& planned = plan_load(planner, contract, rank, event);
    if (planned.failure && !first) {
      first = planned.failure;
    }
    const PoolEvent& one = analysis_.events[static_cast<std::size_t>(event)];
    if (pools && !first && one.slot >= 0) {
      state.pool.load(contract, state.build, state.load(event), one.shape, one.adapter, one.slot);
    }
  }
  return first;
}

void Analyser::check_laws(const Contract& contract, const LayoutCase& input) {
  const std::int64_t ranks = input.deployment.tp_size;
  const std::int64_t group_size = analysis_.ranks.front().build.group_size;
  ensure(group_size > 0, "a rank that could be built is in a group");
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
           .place = {contract.file}});
      return;
    }
  }
  std::vector<std::vector<int>> scalings;
  for (const LiveAdapter& live : analysis_.live) {
    scalings.push_back(
        scaling_events(contract.pool.scale, analysis_.events, live.event, live.scaled));
  }
  for (std::int64_t first = 0; first < ranks; first += group_size) {
    const std::span<RankState> group(analysis_.ranks.data() + first,
                                     static_cast<std::size_t>(group_size));
    for (const RankState& rank : group) {
      if (!view_is_whole(contract, group, rank.build)) {
        analysis_.failures.push_back(
            {.verdict = Verdict::refused,
             .tp_rank = rank.build.tp_rank,
             .sentence = fmt::format("the view's copies on tp_rank {} are not each column that "
                                     "attention looks at, once",
                                     rank.build.tp_rank),
             .place = contract.place_of("/view/copies"),
             .undefined = true});
        analysis_.violations.clear();
        return;
      }
    }
    check_group(contract, input.geometry, group, analysis_.violations);
    gathered_.resize(analysis_.live.size());
    for (std::size_t i = 0; i < gathered_.size(); ++i) {
      gather_a(contract, group, analysis_.live[i], gathered_[i]);
    }
    for (const RankState& rank : group) {
      for (std::size_t i = 0; i < gathered_.size() && !owes_nothing(contract, rank.build); ++i) {
        if (analysis_.violations.size() >= kMaxViolations) {
          return;  // the verdict is known
        }
        if (check_rows(input.geometry, rank, analysis_.live[i], analysis_.violations)) {
          continue;  // what is due of another model's adapter nobody can say
        }
        check_delta(contract, input.deployment, rank, analysis_.live[i], gathered_[i],
                    analysis_.violations);
        check_scaling(rank, analysis_.live[i], scalings[i], analysis_.violations);
      }
    }
    check_agreement(contract, input.geometry, group, analysis_.violations);
  }
}

}  // namespace tplora::core
