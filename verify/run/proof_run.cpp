#include "verify/run/proof_run.hpp"

#include <utility>

#include "sim/base/ensure.hpp"
#include "sim/model/inline_geometry.hpp"

namespace tplora::core {
namespace {

/// A point as a case that `replay` takes.
Case case_of(const ProofPoint& point, const LoadedEngine& engine) {
  const Contract& contract = *engine.contract;
  Case one;
  one.model = print_inline_geometry(proof_case(contract, point).geometry);
  one.engine = engine.argument;
  one.tp_size = point.tp_size;
  one.dp_size = point.dp_size;
  one.max_lora_rank = point.max_lora_rank;
  set_standard_scenario(one, point.lora_rank, point.max_lora_rank);
  for (AdapterSpec& adapter : one.adapters) {
    adapter.shared_a = contract.takes_fused_adapters();
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
      .map([&](LayerReport&& laws) { return name_faults(std::move(laws), names); });
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
  report.proof = prove(*engine.contract, range, jobs, progress);
  if (report.proof.bad_point) {
    const auto at = report_at(*report.proof.bad_point, engine, names);
    return fail(at ? bad_claim(*engine.contract) : at.error());
  }
  const Proof& proof = report.proof;
  for (const auto& [point, target] :
       {std::pair{&proof.claimed.smallest_silent, &report.broken},
        std::pair{&proof.claimed.smallest_crash, &report.crash},
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

}  // namespace tplora::core
