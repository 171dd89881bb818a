#include "tplora/tplora.hpp"

#include <fmt/format.h>

#include <utility>

#include "sim/base/ensure.hpp"
#include "sim/layout/prover.hpp"
#include "sim/model/inline_geometry.hpp"
#include "tplora/handles.hpp"
#include "verify/report/finding_text.hpp"
#include "verify/report/json_report.hpp"
#include "verify/report/numbers_text.hpp"
#include "verify/report/proof_report.hpp"
#include "verify/report/text.hpp"
#include "verify/run/proof_run.hpp"
#include "verify/run/runner.hpp"
#include "verify/run/work.hpp"

namespace tplora {

namespace {

constexpr int kMaxJobs = 1024;
constexpr const char* kNotMoved = "a report that is asked was not moved away";
/// Of the scenario when none is asked for.
constexpr std::int64_t kStandardLoraRank = 16;

Finding plain(const core::Finding& finding) {
  std::vector<std::string> others;
  for (const core::Place& place : finding.other_places) {
    others.push_back(place.text());
  }
  return {.law = finding.law,
          .verdict = finding.verdict,
          .tp_rank = finding.tp_rank,
          .adapter = finding.adapter(),
          .part = finding.part,
          .heads = finding.heads,
          .rows = finding.rows,
          .columns = finding.columns,
          .consequence = finding.consequence,
          .message = core::message(finding),
          .cause_place = finding.cause_place.text(),
          .other_places = std::move(others)};
}

ProofCounts plain(const core::Tally& tally) {
  return {tally.consistent, tally.refused, tally.crash, tally.silent};
}

Numbers plain(const core::NumericOutcome& outcome) {
  return {outcome.compared, outcome.wrong, outcome.why_vacuous, outcome.digest};
}

/// What the numbers say comes to the laws, so that all forms of the report say the same.
Report report_of(core::LayerReport laws, const core::CaseOutcome& outcome) {
  laws.analysis.verdict = outcome.verdict;
  laws.findings = outcome.findings;
  std::string numbers = core::numbers_text(laws.item, outcome.numbers);
  Report report = core::Access::make(core::ReportData{{std::move(laws)}, std::move(numbers)});
  const core::PreparedCase& item = core::Access::of(report).layers.front().item;
  report.verdict = outcome.verdict;
  report.shape_check = outcome.shape_check;
  report.claimed = core::claimed(item);
  for (const core::Finding& finding : outcome.findings) {
    report.findings.push_back(plain(finding));
  }
  report.same_as = outcome.same_as;
  if (outcome.numbers.state != core::NumericOutcome::State::not_run) {
    report.numbers = plain(outcome.numbers);
  }
  report.case_line = core::print_case(item.spec);
  return report;
}

/// Laws, and numbers where the case asks for them and nothing is refused.
Result<Report> report_on(core::PreparedCase item, const core::FaultNames& names) {
  auto laws = core::check_laws(std::move(item)).and_then([&](core::LayerReport&& layer) {
    return core::name_faults(std::move(layer), names);
  });
  if (!laws) {
    return fail(laws.error());
  }
  core::CaseOutcome outcome = core::outcome_of(*laws);
  if (core::runs_numbers(*laws)) {
    if (auto work = core::check_work(laws->item, core::numeric_work(*laws)); !work) {
      return fail(work.error());
    }
    outcome.numbers = core::run_numbers({&*laws}).front();
    core::reconcile(laws->item, outcome);
  }
  return report_of(*std::move(laws), outcome);
}

/// Of a point of a proof, if there is one.
std::optional<Report> report_on(std::optional<core::LayerReport> laws) {
  if (!laws) {
    return std::nullopt;
  }
  const core::CaseOutcome outcome = core::outcome_of(*laws);
  return report_of(*std::move(laws), outcome);
}

core::Case standard_scenario() {
  core::Case one;
  one.max_lora_rank = kStandardLoraRank;
  core::set_standard_scenario(one, kStandardLoraRank, kStandardLoraRank);
  return one;
}

/// A case on the only layer kind of `model`, which a case line calls model.name. Its geometry is
/// valid.
Result<core::PreparedCase> case_on(const Engine& handle, const Model& model,
                                   const Serving& serving) {
  const core::LoadedEngine& engine = core::Access::of(handle).engine;
  Result<core::Case> scenario =
      serving.scenario.empty() ? standard_scenario() : core::parse_scenario(serving.scenario);
  auto spec = scenario.and_then([&](core::Case one) {
    return core::with_deployment(std::move(one), model.name, engine.argument, serving.tp_size);
  });
  if (!spec) {
    return fail(spec.error());
  }
  if (serving.scenario.empty()) {
    core::fit_to_engine(*spec, engine.contract());
  }
  auto items = core::prepare_layers(*spec, model, engine);
  if (!items) {
    return fail(items.error());
  }
  core::PreparedCase item = std::move(items->front());
  item.numbers = serving.numbers;
  return item;
}

}  // namespace

Result<core::PreparedCase> core::serving_case(const Engine& engine, const QkvGeometry& geometry,
                                              const Serving& serving) {
  if (auto valid = validate(geometry); !valid) {
    return fail(valid.error());
  }
  if (geometry.config_num_attention_heads == 0 && geometry.config_num_key_value_heads == 0 &&
      geometry.config_head_dim == 0) {
    return fail(
        "geometry: its config_* numbers are 0, as if the config had no key for heads: "
        "expected what make_geometry fills in");
  }
  const Model one_layer{.name = core::print_inline_geometry(geometry),
                        .model_type = {},
                        .architecture = {},
                        .layer_kinds = {{.kind = "all",
                                         .indices = {0},
                                         .geometry = geometry,
                                         .why_no_qkv = {},
                                         .checkpoint = {}}}};
  return case_on(engine, one_layer, serving);
}

std::string version() {
  return TPLORA_VERSION;
}

Result<std::vector<std::string>> Configs::models() const {
  return core::list_models(core::ConfigFolders{root_}.models());
}

Result<std::vector<std::string>> Configs::engines() const {
  return core::list_contracts(root_, "engines");
}

Result<std::vector<std::string>> Configs::bugs() const {
  return core::list_contracts(root_, "bugs");
}

Result<Configs> open_configs(const std::filesystem::path& root) {
  std::error_code unreadable;
  if (!std::filesystem::is_directory(root / "engines", unreadable)) {
    return fail("found no folder engines in it, expected a folder of configs", root.string());
  }
  return Configs(root);
}

Result<Model> load_model(const Configs& configs, const std::string& name) {
  return core::load_model(name, core::ConfigFolders{configs.root()}.models());
}

Result<QkvGeometry> make_geometry(QkvGeometry geometry) {
  QkvGeometry& g = geometry;
  const auto complete = [](std::int64_t& value, std::int64_t own) {
    value = value == 0 ? own : value;
  };
  complete(g.v_head_dim, g.head_dim);
  complete(g.config_num_attention_heads, g.num_attention_heads);
  complete(g.config_num_key_value_heads, g.num_key_value_heads);
  complete(g.config_head_dim, g.head_dim);
  if (auto valid = validate(g); !valid) {
    return fail(valid.error());
  }
  return geometry;
}

std::string Engine::name() const {
  return data_->engine.contract().name;
}

std::string Engine::describes() const {
  return fmt::format("{} {}", data_->engine.contract().engine, data_->engine.contract().version);
}

Result<Engine> load_engine(const Configs& configs, const std::string& name) {
  const core::ConfigFolders folders{configs.root()};
  return core::load_engine(name, folders).map([&](core::LoadedEngine&& engine) {
    return core::Access::make(
        core::EngineData{std::move(engine), std::make_shared<const core::FaultNames>(folders)});
  });
}

std::string Report::text() const {
  core::ensure(data_ != nullptr, kNotMoved);
  return core::layout_text(data_->layers, 0, {}) + data_->numbers;
}

std::string Report::json() const {
  core::ensure(data_ != nullptr, kNotMoved);
  return core::layout_json(data_->layers, 0);
}

Result<Report> check(const Engine& engine, const Model& model, const LayerKind& kind,
                     const Serving& serving) {
  if (std::none_of(model.layer_kinds.begin(), model.layer_kinds.end(), [&](const LayerKind& one) {
        return one.kind == kind.kind && one.geometry == kind.geometry &&
               one.checkpoint == kind.checkpoint;
      })) {
    return fail(fmt::format("layer kind {} is not one of {}, expected one of its layer_kinds",
                            kind.kind, model.name));
  }
  if (!kind.geometry) {
    return fail(
        fmt::format("layer kind {} of {} has no qkv projection, expected one with a geometry: {}",
                    kind.kind, model.name, kind.why_no_qkv));
  }
  if (auto valid = validate(*kind.geometry); !valid) {
    return fail(valid.error());
  }
  Model one_kind = model;
  one_kind.layer_kinds = {kind};
  const core::EngineData& data = core::Access::of(engine);
  return case_on(engine, one_kind, serving).and_then([&](core::PreparedCase item) {
    item.spec.layer = model.layer_kinds.size() > 1 ? kind.kind : "";
    return report_on(std::move(item), *data.names);
  });
}

Result<Report> check(const Engine& engine, const QkvGeometry& geometry, const Serving& serving) {
  const core::EngineData& data = core::Access::of(engine);
  return core::serving_case(engine, geometry, serving).and_then([&](core::PreparedCase item) {
    return report_on(std::move(item), *data.names);
  });
}

Result<Report> check_case(const Configs& configs, const std::string& case_line, bool numbers) {
  const core::ConfigFolders folders{configs.root()};
  auto item = core::parse_case(case_line).and_then(
      [&](core::Case one) { return core::prepare(std::move(one), folders); });
  if (!item) {
    return fail(item.error());
  }
  item->numbers = numbers;
  return report_on(*std::move(item), core::FaultNames(folders));
}

Result<ProofResult> prove(const Engine& engine, const ProofRange& range, int jobs) {
  if (auto valid = validate(range); !valid) {
    return fail(valid.error());
  }
  if (jobs < 0 || jobs > kMaxJobs) {
    return fail(fmt::format("jobs {}: expected 0 to {}", jobs, kMaxJobs));
  }
  const core::EngineData& data = core::Access::of(engine);
  auto report = core::prove_engine(data.engine, range, jobs, *data.names);
  if (!report) {
    return fail(report.error());
  }
  return ProofResult{.claimed = plain(report->proof.claimed),
                     .unclaimed = plain(report->proof.unclaimed),
                     .other_adapters = plain(report->proof.other_adapters),
                     .other_numbers = plain(report->proof.other_numbers),
                     .holds = report->proof.holds(),
                     .counterexample = report_on(report->broken         ? report->broken
                                                 : report->other_broken ? report->other_broken
                                                                        : report->numbers_broken),
                     .smallest_crash = report_on(report->crash),
                     .text = core::proof_text(*report)};
}

}  // namespace tplora
