#include "verify/run/proof_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "sim/base/ensure.hpp"
#include "sim/layout/proof_points.hpp"
#include "sim/model/inline_geometry.hpp"

namespace tplora::core {
namespace {

/// A point as a case that `replay` takes.
Case case_of(const ProofPoint& point, const LoadedEngine& engine) {
  const Contract& contract = engine.contract();
  Case one;
  one.model = print_inline_geometry(proof_case(contract, point).geometry);
  one.engine = engine.argument;
  one.tp_size = point.tp_size;
  one.dp_size = point.dp_size;
  one.max_lora_rank = point.max_lora_rank;
  set_standard_scenario(one, point.lora_rank, point.max_lora_rank);
  one.adapters.front().targets = point.targets;
  for (std::size_t i = 0; i < one.adapters.size(); ++i) {
    one.adapters[i].shared_a = contract.takes_fused_adapters();
    one.adapters[i].lora_alpha = proof_alpha(i, one.adapters[i].lora_rank);
  }
  const auto tokens = static_cast<std::size_t>(proof_tokens(point.tp_size));
  for (std::size_t i = one.tokens.size(); i < tokens; ++i) {
    one.tokens.push_back(one.tokens[i % 4]);
  }
  return one;
}

/// The point analysed once more with sentences. What the sweep found must come out again.
Result<LayerReport> report_at(const ProofPoint& point, const LoadedEngine& engine,
                              const FaultNames& names) {
  const Case one = case_of(point, engine);
  const auto model = read_inline_geometry(one.model);
  ensure(model.has_value(), "the geometry of a point reads back");
  return prepare_layers(one, *model, engine)
      .and_then(
          [](std::vector<PreparedCase> items) { return check_laws(std::move(items.front())); })
      .and_then([&](LayerReport&& laws) { return name_faults(std::move(laws), names); });
}

Error bad_claim(const Contract& contract) {
  return {
      "a claim has no value at some point of the range, expected divisions that always work out",
      contract.file + "#/claims"};
}

}  // namespace

Result<ProofReport> prove_engine(const LoadedEngine& engine, const ProofRange& range, int jobs,
                                 const FaultNames& names,
                                 const std::function<void(double)>& progress) {
  ProofReport report;
  report.engine = engine;
  report.range = range;
  report.proof = prove(engine.contract(), range, jobs, progress);
  if (report.proof.bad_point) {
    const auto at = report_at(*report.proof.bad_point, engine, names);
    return fail(at ? bad_claim(engine.contract()) : at.error());
  }
  const Proof& proof = report.proof;
  for (const auto& [point, target] :
       {std::pair{&proof.claimed.smallest_silent, &report.broken},
        std::pair{&proof.claimed.smallest_crash, &report.crash},
        std::pair{&proof.other_adapters.smallest_silent, &report.other_broken},
        std::pair{&proof.other_adapters.smallest_crash, &report.other_crash},
        std::pair{&proof.other_numbers.smallest_silent, &report.numbers_broken},
        std::pair{&proof.other_numbers.smallest_crash, &report.numbers_crash},
        std::pair{&proof.unclaimed.smallest_silent, &report.unclaimed_broken},
        std::pair{&proof.unclaimed.smallest_crash, &report.unclaimed_crash}}) {
    if (!*point) {
      continue;
    }
    auto found = report_at(**point, engine, names);
    if (!found) {
      return fail(found.error());
    }
    *target = *std::move(found);
  }
  return report;
}

namespace {

/// The rules of one contract alone.
LoadedEngine with_rules(const LoadedEngine& engine, const std::shared_ptr<const Contract>& rules) {
  LoadedEngine one = engine;
  one.contracts = std::make_shared<const ContractSet>(rules);
  return one;
}

Result<ComparisonReport> compare_rules(const LoadedEngine& base, const LoadedEngine& engine,
                                       const ProofRange& range, int jobs, const FaultNames& names,
                                       const std::function<void(double)>& progress) {
  if (base.contract().takes_fused_adapters() != engine.contract().takes_fused_adapters()) {
    return fail(
        fmt::format("{} takes {} adapters and {} does not, expected contracts that take the "
                    "same",
                    base.argument, base.contract().takes_fused_adapters() ? "fused" : "separate",
                    engine.argument));
  }
  ComparisonReport report{
      .base = base,
      .engine = engine,
      .variant =
          engine.contract().variant.empty() ? base.contract().variant : engine.contract().variant,
      .range = range,
      .comparison = prove_against(base.contract(), engine.contract(), range, jobs, progress),
      .worse = {}};
  const Comparison& found = report.comparison;
  if (found.bad_point) {
    for (const LoadedEngine* one : {&base, &engine}) {
      if (const auto at = report_at(*found.bad_point, *one, names); !at) {
        return fail(at.error());
      }
    }
    return fail(bad_claim(base.contract()));
  }
  for (std::size_t to = found.from_to.size(); to-- > 0;) {
    for (std::size_t from = 0; from < to; ++from) {
      const Transition& change = found.from_to[from][to];
      if (!change.smallest) {
        continue;
      }
      auto smallest = report_at(*change.smallest, engine, names);
      if (!smallest) {
        return fail(smallest.error());
      }
      report.worse.push_back(
          {kFromBestToWorst[from], kFromBestToWorst[to], change.points, *std::move(smallest)});
    }
  }
  return report;
}

}  // namespace

Result<std::vector<ComparisonReport>> compare_engines(const LoadedEngine& base,
                                                      const LoadedEngine& engine,
                                                      const ProofRange& range, int jobs,
                                                      const FaultNames& names,
                                                      const std::function<void(double)>& progress) {
  std::vector<std::pair<LoadedEngine, LoadedEngine>> pairs = {
      {with_rules(base, base.contracts->base()), with_rules(engine, engine.contracts->base())}};
  std::vector<VariantCondition> seen;
  for (const LoadedEngine* one : {&engine, &base}) {
    for (const ContractSet::Variant& variant : one->contracts->variants()) {
      const bool again = std::find(seen.begin(), seen.end(), variant.condition) != seen.end();
      const auto& before = base.contracts->with(variant.condition);
      const auto& after = engine.contracts->with(variant.condition);
      if (!again && before->rules != after->rules) {
        pairs.emplace_back(with_rules(base, before), with_rules(engine, after));
      }
      seen.push_back(variant.condition);
    }
  }
  std::vector<ComparisonReport> reports;
  for (const auto& [before, after] : pairs) {
    auto report = compare_rules(before, after, range, jobs, names, progress);
    if (!report) {
      return fail(report.error());
    }
    reports.push_back(std::move(*report));
  }
  return reports;
}

}  // namespace tplora::core
