#include "verify/case/library.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/printable.hpp"
#include "sim/numerics/program.hpp"
#include "verify/case/slots.hpp"

namespace tplora::core {
namespace {

/// The rounding program is known, and pool.scale does not contradict where it multiplies by the
/// factor.
Result<void> check_program(const Contract& contract) {
  const RoundingProgram* program = find_program(contract.program);
  if (program == nullptr) {
    return fail(fmt::format("rounding program \"{}\" is not known, see `tplora list programs`",
                            contract.program),
                contract.file + "#/program");
  }
  const auto steps = program->load_b;
  const bool folds = std::find(steps.begin(), steps.end(), Step::scale) != steps.end();
  if (folds == (contract.pool.scale != PoolScale::table)) {
    return {};
  }
  return fail(fmt::format("rounding program {} multiplies by the scaling {}, expected {}",
                          contract.program, folds ? "when B is put into a slot" : "in its kernels",
                          folds ? R"("slot" or "cache")" : R"("table")"),
              contract.place_of("/pool/scale").text());
}

/// The contract with another rounding program; an empty name leaves its own.
Result<std::shared_ptr<const Contract>> rounded_by(const std::shared_ptr<const Contract>& contract,
                                                   const std::string& program) {
  if (program.empty()) {
    return contract;
  }
  if (find_program(program) == nullptr) {
    return fail(fmt::format("case line: program={}: expected one of `tplora list programs`",
                            excerpt(program)));
  }
  auto changed = std::make_shared<Contract>(*contract);
  changed->program = program;
  return check_program(*changed).map(
      [&] { return std::shared_ptr<const Contract>(std::move(changed)); });
}

/// An engine takes adapters in one form only; the case line must say which.
Result<void> check_adapters(const Case& one, const Contract& contract) {
  for (const AdapterSpec& adapter : one.adapters) {
    if (adapter.shared_a != contract.takes_fused_adapters()) {
      return fail(fmt::format(
          "adapter {}: engine {} takes {} adapters, expected {}:r{}:alpha{}:{}", adapter.name,
          contract.name, adapter.shared_a ? "separate" : "fused", adapter.name, adapter.lora_rank,
          alpha_text(adapter.lora_alpha, adapter.alpha_unit), adapter.shared_a ? "qkv" : "fused"));
    }
  }
  return {};
}

/// A matrix unit's operands are of the model's dtype (fp32 as tf32). A program that leaves what its
/// expand reads in fp32 computes it elsewhere, and no source says how.
Result<void> check_accumulator(const Case& one, const Contract& contract) {
  const RoundingProgram& program = *find_program(contract.program);
  const auto rounds = [](std::span<const Step> steps) {
    return std::find(steps.begin(), steps.end(), Step::round) != steps.end();
  };
  if (one.accumulator.rule == Accumulator::Rule::tensor_core && one.dtype != ScalarType::fp32 &&
      !rounds(program.shrink) && !rounds(program.expand_input)) {
    return fail(fmt::format(
        "accumulator {}: rounding program {} of engine {} expands fp32 values, expected fp32_chain "
        "or exact (base_accumulator may be a tensor_core all the same)",
        accumulator_name(one.accumulator), program.name, contract.name));
  }
  return {};
}

ModelTraits traits_of(const Model& model, const LayerKind& kind) {
  ModelTraits traits{
      .model_type = model.model_type, .architecture = model.architecture, .modules = {}};
  if (!traits.model_type.empty()) {
    std::string_view names = kind.checkpoint.tensors;
    names = names.substr(0, names.find(' '));  // "... or cross_attn...." has the same modules
    traits.modules = names.substr(names.rfind('.') + 1);
  }
  return traits;
}

}  // namespace

Result<std::shared_ptr<const Model>> Library::model(const std::string& argument) {
  const auto known = models_.find(argument);
  if (known != models_.end()) {
    return known->second;
  }
  auto model = load_model(argument, configs_.models()).map([](Model&& one) {
    return std::make_shared<const Model>(std::move(one));
  });
  return models_.emplace(argument, std::move(model)).first->second;
}

Result<std::vector<std::string>> Library::all_models() {
  if (!all_models_) {
    auto names = list_models(configs_.models());
    if (!names) {
      return fail(names.error());
    }
    all_models_ = *std::move(names);
  }
  return *all_models_;
}

Result<std::shared_ptr<const ContractSet>> Library::contract(const std::string& argument) {
  auto& entry = contracts_[argument];
  if (!entry) {
    auto contracts = load_contract_set(argument, configs_.root);
    if (!contracts) {
      return fail(contracts.error());
    }
    auto checked = check_program(*contracts->base());
    for (const ContractSet::Variant& variant : contracts->variants()) {
      checked = checked.and_then([&] { return check_program(*variant.contract); });
    }
    if (!checked) {
      return fail(checked.error());
    }
    entry = std::make_shared<const ContractSet>(*std::move(contracts));
  }
  return entry;
}

Result<std::shared_ptr<const BugRecord>> Library::bug_record(const std::string& argument) {
  if (const auto known = bug_records_.find(argument); known != bug_records_.end()) {
    return known->second;
  }
  auto record = find_contract(argument, configs_.root).and_then(read_bug_record);
  if (!record) {
    return fail(record.error());
  }
  auto& entry = bug_records_[argument];
  entry = *record ? std::make_shared<const BugRecord>(**std::move(record)) : nullptr;
  return entry;
}

Result<std::vector<PreparedCase>> Library::prepare(const Case& one) {
  const auto engine = this->engine(one.engine);
  const auto model = this->model(one.model);
  if (const auto error = first_error(engine, model)) {
    return fail(*error);
  }
  return prepare_layers(one, **model, *engine);
}

Result<LoadedEngine> Library::engine(const std::string& argument) {
  auto contracts = contract(argument);
  auto bug = bug_record(argument);
  if (const auto error = first_error(contracts, bug)) {
    return fail(*error);
  }
  return LoadedEngine{argument, *std::move(contracts), *std::move(bug)};
}

Result<LoadedEngine> load_engine(const std::string& argument, const ConfigFolders& configs) {
  return Library(configs).engine(argument);
}

Result<std::vector<PreparedCase>> prepare_layers(const Case& one, const Model& model,
                                                 const LoadedEngine& engine) {
  if (one.data == DataKind::file) {
    return fail(
        "case line: data=file is of a golden folder with tensors of its own (tplora golden "
        "--base), "
        "expected labels, integers or wide");
  }
  std::vector<PreparedCase> cases;
  for (const LayerKind& kind : model.layer_kinds) {
    if (!one.layer.empty() && kind.kind != one.layer) {
      continue;
    }
    ModelTraits traits = traits_of(model, kind);
    const auto rounded = rounded_by(engine.contracts->of(traits), one.program);
    if (!rounded) {
      return fail(rounded.error());
    }
    const std::shared_ptr<const Contract>& contract = *rounded;
    const auto chosen = check_adapters(one, *contract)
                            .and_then([&] { return check_accumulator(one, *contract); })
                            .and_then([&] { return choose_slots(one, contract->pool); });
    if (!chosen) {
      return fail(chosen.error());
    }
    PreparedCase prepared{.spec = *chosen,
                          .contract = contract,
                          .traits = std::move(traits),
                          .geometry = kind.geometry,
                          .kind = kind.kind,
                          .layers = kind.indices,
                          .why_no_qkv = kind.why_no_qkv,
                          .tensors = nullptr,
                          .checkpoint = kind.checkpoint,
                          .bug = engine.bug,
                          .numbers = false,
                          .expect = {},
                          .role = {}};
    prepared.spec.layer = model.layer_kinds.size() > 1 ? kind.kind : "";
    cases.push_back(std::move(prepared));
  }
  if (cases.empty()) {
    std::string kinds;
    for (const LayerKind& kind : model.layer_kinds) {
      kinds += (kinds.empty() ? "" : ", ") + kind.kind;
    }
    return fail(fmt::format("model {} has no layer kind \"{}\", expected one of: {}", one.model,
                            one.layer, kinds));
  }
  return cases;
}

Result<std::vector<PreparedCase>> prepare_all_layers(const Case& one,
                                                     const ConfigFolders& configs) {
  Library library(configs);
  return library.prepare(one);
}

Result<PreparedCase> prepare(Case one, const ConfigFolders& configs) {
  auto cases = prepare_all_layers(one, configs);
  if (!cases) {
    return fail(cases.error());
  }
  std::string kinds;
  const PreparedCase* only = nullptr;
  int with_qkv = 0;
  for (const PreparedCase& item : *cases) {
    kinds += (kinds.empty() ? "" : ", ") + item.spec.layer;
    if (item.geometry || only == nullptr) {
      only = &item;
    }
    with_qkv += item.geometry ? 1 : 0;
  }
  if (with_qkv > 1) {
    return fail(
        fmt::format("model {} has several layer kinds with a qkv projection, expected "
                    "layer=... with one of: {}",
                    one.model, kinds));
  }
  return *only;
}

void fit_to_engine(Case& one, const Contract& contract) {
  for (AdapterSpec& adapter : one.adapters) {
    adapter.shared_a = contract.takes_fused_adapters();
    if (adapter.shared_a) {
      adapter.targets = {true, true, true};
    }
  }
  const std::vector<int> tokens = one.tokens;
  while (contract.mentions(symbol::tokens) &&
         static_cast<std::int64_t>(one.tokens.size()) % one.tp_size != 0) {
    one.tokens.push_back(tokens[one.tokens.size() % tokens.size()]);
  }
}

}  // namespace tplora::core
