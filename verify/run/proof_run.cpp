#include "verify/run/proof_run.hpp"

#include <fmt/format.h>

#include <utility>

namespace tplora {
namespace {

/// A point as a case that `replay` takes.
Case case_of(const ProofPoint& point, const std::string& engine, bool fused) {
  Case one;
  one.model = fmt::format("H={},KV={},D={},hidden={}", point.H, point.KV, point.D, kProofHidden);
  one.model += point.Dv == point.D ? "" : fmt::format(",Dv={}", point.Dv);
  one.model += point.gate == 1 ? "" : fmt::format(",gate={}", point.gate);
  one.engine = engine;
  one.tp_size = point.tp_size;
  one.dp_size = point.dp_size;
  one.max_lora_rank = point.max_lora_rank;
  set_standard_scenario(one, point.lora_rank, point.max_lora_rank);
  for (AdapterSpec& adapter : one.adapters) {
    adapter.shared_a = fused;
  }
  const auto tokens = static_cast<std::size_t>(proof_tokens(point.tp_size));
  for (std::size_t i = one.tokens.size(); i < tokens; ++i) {
    one.tokens.push_back(one.tokens[i % 4]);
  }
  return one;
}

/// The point analysed once more with sentences. What the sweep found must come out again.
Result<LayerReport> report_at(const ProofPoint& point, const ProofReport& report,
                              const ConfigFolders& configs) {
  const Contract& contract = *report.contract;
  return prepare(case_of(point, report.engine, contract.takes_fused_adapters()), configs)
      .and_then(check_laws)
      .map([&](LayerReport&& laws) { return name_faults(std::move(laws), configs); });
}

Error bad_claim(const Contract& contract) {
  return {
      "a claim has no value at some point of the range, expected divisions that always work out",
      contract.file + "#/claims"};
}

}  // namespace

Result<ProofReport> prove_engine(const std::string& engine, const ProofRange& range, int jobs,
                                 const ConfigFolders& configs,
                                 const std::function<void(double)>& progress) {
  auto contract = load_contract(engine, configs.root);
  if (!contract) {
    return fail(contract.error());
  }
  ProofReport report;
  report.engine = engine;
  report.contract = std::make_shared<const Contract>(std::move(*contract));
  report.range = range;
  report.proof = prove(*report.contract, range, jobs, progress);
  if (report.proof.bad_point) {
    const auto at = report_at(*report.proof.bad_point, report, configs);
    return fail(at ? bad_claim(*report.contract) : at.error());
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
    auto found = report_at(**point, report, configs);
    if (!found) {
      return fail(found.error());
    }
    *target = *std::move(found);
  }
  return report;
}

}  // namespace tplora
