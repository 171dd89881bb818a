#include "verify/run/laws.hpp"

#include "sim/layout/claims.hpp"

namespace tplora::core {

Result<LayerReport> check_laws(PreparedCase item, const std::function<bool()>& over) {
  LayerReport report{std::move(item), {}, {}, {}};
  const PreparedCase& of = report.item;
  if (!of.geometry) {
    report.analysis.verdict = Verdict::not_applicable;
    return report;
  }
  const LayoutCase input = layout_case(of.spec, *of.geometry);
  report.analysis = Analyser().run(*of.contract, input);
  if (report.analysis.bad_contract) {
    return fail(*report.analysis.bad_contract);
  }
  if (report.analysis.verdict != Verdict::consistent) {
    report.findings = explain(*of.contract, input, report.analysis, adapter_names(of.spec),
                              {.causes = of.explain, .over = over});
  }
  return report;
}

bool claimed(const PreparedCase& item) {
  return item.geometry && inside_claims(*item.contract, *item.geometry,
                                        layout_case(item.spec, *item.geometry).deployment)
                              .value_or(false);
}

Result<LayerReport> name_faults(LayerReport report, const FaultNames& names) {
  return names.of(report.item, report.analysis.verdict).map([&](std::vector<std::string>&& bugs) {
    report.same_as = std::move(bugs);
    return std::move(report);
  });
}

Result<std::vector<LayerReport>> check_layers(Case one, const ConfigFolders& configs) {
  const FaultNames names(configs);
  one.layer.clear();
  auto cases = prepare_all_layers(one, configs);
  if (!cases) {
    return fail(cases.error());
  }
  std::vector<LayerReport> layers;
  for (PreparedCase& item : *cases) {
    auto report = check_laws(std::move(item)).and_then([&](LayerReport&& laws) {
      return name_faults(std::move(laws), names);
    });
    if (!report) {
      return fail(report.error());
    }
    layers.push_back(*std::move(report));
  }
  return layers;
}

}  // namespace tplora::core
