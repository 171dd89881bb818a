#include "verify/case/suite.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sim/base/json.hpp"
#include "sim/model/model_source.hpp"
#include "sim/numerics/program.hpp"
#include "verify/case/pins.hpp"
#include "verify/case/slots.hpp"

namespace tplora {
namespace {

/// Far above any sweep in use: what is read and held before the first case runs. Strings and lists
/// of a case are of the order of its line.
constexpr std::size_t kMaxCases = 100'000;
constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;

/// Models and contracts, each read once.
class Library {
 public:
  explicit Library(const ConfigFolders& configs) : configs_(configs) {}

  Result<std::shared_ptr<const Model>> model(const std::string& argument) {
    auto& entry = models_[argument];
    if (!entry) {
      auto model = load_model(argument, configs_.models());
      if (!model) {
        return fail(model.error());
      }
      entry = std::make_shared<const Model>(std::move(*model));
    }
    return entry;
  }

  /// Names of all collected models.
  const std::vector<std::string>& all_models() {
    if (!all_models_) {
      all_models_ = list_models(configs_.models());
    }
    return *all_models_;
  }

  Result<std::shared_ptr<const Contract>> contract(const std::string& argument) {
    auto& entry = contracts_[argument];
    if (!entry) {
      auto contract = find_contract(argument, configs_.root).and_then(read_contract);
      if (!contract) {
        return fail(contract.error());
      }
      if (find_program(contract->program) == nullptr) {
        return fail(fmt::format("rounding program \"{}\" is not known, see `tplora list programs`",
                                contract->program),
                    contract->file + "#/program");
      }
      if (auto scale = check_scale(*contract); !scale) {
        return fail(scale.error());
      }
      entry = std::make_shared<const Contract>(std::move(*contract));
    }
    return entry;
  }

 private:
  /// The rounding program says where the factor is multiplied; pool.scale must not contradict it.
  static Result<void> check_scale(const Contract& contract) {
    const auto steps = find_program(contract.program)->load_b;
    const bool folds = std::find(steps.begin(), steps.end(), Step::scale) != steps.end();
    if (folds == (contract.pool.scale != PoolScale::table)) {
      return {};
    }
    return fail(
        fmt::format("rounding program {} multiplies by the scaling {}, expected {}",
                    contract.program, folds ? "when B is put into a slot" : "in its kernels",
                    folds ? R"("slot" or "cache")" : R"("table")"),
        contract.place_of("/pool/scale"));
  }

  const ConfigFolders& configs_;
  std::optional<std::vector<std::string>> all_models_;
  std::map<std::string, std::shared_ptr<const Model>> models_;
  std::map<std::string, std::shared_ptr<const Contract>> contracts_;
};

/// An engine takes adapters in one form only; the case line must say which.
Result<void> check_adapters(const Case& one, const Contract& contract) {
  for (const AdapterSpec& adapter : one.adapters) {
    if (adapter.shared_a != contract.takes_fused_adapters()) {
      return fail(fmt::format("adapter {}: engine {} takes {} adapters, expected {}:r{}:alpha{}:{}",
                              adapter.name, contract.name, adapter.shared_a ? "separate" : "fused",
                              adapter.name, adapter.lora_rank, adapter.lora_alpha,
                              adapter.shared_a ? "qkv" : "fused"));
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

Result<std::vector<PreparedCase>> prepare_layers(const Case& one, Library& library) {
  const auto contract = library.contract(one.engine);
  if (!contract) {
    return fail(contract.error());
  }
  const auto model = library.model(one.model);
  if (!model) {
    return fail(model.error());
  }
  if (auto adapters = check_adapters(one, **contract); !adapters) {
    return fail(adapters.error());
  }
  if (auto accumulator = check_accumulator(one, **contract); !accumulator) {
    return fail(accumulator.error());
  }
  const auto chosen = choose_slots(one, (*contract)->pool);
  if (!chosen) {
    return fail(chosen.error());
  }
  std::vector<PreparedCase> cases;
  for (const LayerKind& kind : (*model)->layer_kinds) {
    if (!one.layer.empty() && kind.kind != one.layer) {
      continue;
    }
    PreparedCase prepared{.one = *chosen,
                          .contract = *contract,
                          .geometry = kind.geometry,
                          .kind = kind.kind,
                          .layers = kind.indices,
                          .why_no_qkv = kind.why_no_qkv,
                          .checkpoint = kind.checkpoint,
                          .numbers = false,
                          .expect = {},
                          .role = {}};
    prepared.one.layer = (*model)->layer_kinds.size() > 1 ? kind.kind : "";
    cases.push_back(std::move(prepared));
  }
  if (cases.empty()) {
    std::string kinds;
    for (const LayerKind& kind : (*model)->layer_kinds) {
      kinds += (kinds.empty() ? "" : ", ") + kind.kind;
    }
    return fail(fmt::format("model {} has no layer kind \"{}\", expected one of: {}", one.model,
                            one.layer, kinds));
  }
  return cases;
}

/// Pins and cases of one file.
class SuiteReader {
 public:
  SuiteReader(const Json& json, const std::filesystem::path& file, const ConfigFolders& configs)
      : root_(json, file.string()), configs_(configs), library_(configs) {}

  Result<Suite> read() {
    if (auto keys = root_.only_keys({"format", "name", "about", "cases", "pins", "digest"});
        !keys) {
      return fail(keys.error());
    }
    const auto format = root_.at("format").and_then([](const JsonView& v) { return v.string(); });
    if (!format) {
      return fail(format.error());
    }
    if (*format != "tplora-suite/1") {
      return root_.find("format")->expected("\"tplora-suite/1\"");
    }
    const auto name = root_.at("name").and_then([](const JsonView& v) { return v.string(); });
    if (!name) {
      return fail(name.error());
    }
    suite_.name = *name;
    if (const auto digest = root_.find("digest")) {
      const auto text = digest->string();
      if (!text) {
        return fail(text.error());
      }
      suite_.digest = *text;
    }
    const auto list = root_.at("cases").and_then([](const JsonView& v) { return v.elements(); });
    if (!list) {
      return fail(list.error());
    }
    for (const JsonView& entry : *list) {
      if (auto added = add_entry(entry); !added) {
        return fail(added.error());
      }
    }
    if (auto pinned = apply_pins(root_, suite_); !pinned) {
      return fail(pinned.error());
    }
    return std::move(suite_);
  }

 private:
  struct Entry {
    std::vector<std::string> models, engines;
    std::vector<std::int64_t> tp_sizes;
    std::string line;
    bool numbers = false;
    std::optional<Formula> refused_when;
  };

  Result<void> add_entry(const JsonView& view) {
    auto keys =
        view.only_keys({"models", "engines", "bugs", "tp", "case", "numbers", "refused_when"});
    if (!keys) {
      return keys;
    }
    Entry entry;
    if (auto common = read_common(view, entry); !common) {
      return common;
    }
    if (const auto bugs = view.find("bugs")) {
      return add_bugs(*bugs, entry);
    }
    return read_grid(view, entry).and_then([&] { return add_grid(view, entry); });
  }

  Result<void> read_common(const JsonView& view, Entry& entry) {
    const auto line = view.at("case").and_then([](const JsonView& v) { return v.string(); });
    if (!line) {
      return fail(line.error());
    }
    entry.line = *line;
    if (const auto numbers = view.find("numbers")) {
      const auto value = numbers->boolean();
      if (!value) {
        return fail(value.error());
      }
      entry.numbers = *value;
    }
    if (const auto when = view.find("refused_when")) {
      const auto text = when->string();
      if (!text) {
        return fail(text.error());
      }
      auto formula = Formula::parse(*text, when->place(), predefined_symbols());
      if (!formula) {
        return fail(formula.error());
      }
      entry.refused_when = std::move(*formula);
    }
    return {};
  }

  Result<void> read_grid(const JsonView& view, Entry& entry) {
    const auto models = view.at("models").and_then([](const JsonView& v) { return v.strings(); });
    const auto engines = view.at("engines").and_then([](const JsonView& v) { return v.strings(); });
    const auto sizes = view.at("tp").and_then([](const JsonView& v) { return v.elements(); });
    if (const auto error = first_error(models, engines, sizes)) {
      return fail(*error);
    }
    for (const std::string& model : *models) {
      if (model == "*") {
        const auto& all = library_.all_models();
        entry.models.insert(entry.models.end(), all.begin(), all.end());
      } else {
        entry.models.push_back(model);
      }
      if (entry.models.size() > kMaxCases) {
        return too_many_cases(view);
      }
    }
    entry.engines = *engines;
    for (const JsonView& size : *sizes) {
      const auto value = size.positive_integer();
      if (!value) {
        return fail(value.error());
      }
      entry.tp_sizes.push_back(*value);
    }
    return {};
  }

  static tl::unexpected<Error> too_many_cases(const JsonView& where) {
    return where.error(
        fmt::format("found more than {} cases, expected at most that many in a suite", kMaxCases));
  }

  /// Before any of `cases` lines like `line` is parsed, whatever they come to.
  Result<void> make_room(const JsonView& where, std::size_t cases, const std::string& line) {
    if (cases > kMaxCases || suite_.cases.size() + cases > kMaxCases) {
      return too_many_cases(where);
    }
    line_bytes_ += cases * line.size();
    return line_bytes_ <= kMaxLineBytes
               ? Result<void>()
               : where.error(
                     fmt::format("found more than {} MiB of case lines, expected at most that "
                                 "many in a suite",
                                 kMaxLineBytes >> 20U));
  }

  Result<std::vector<PreparedCase>> cases_of(const JsonView& where, const Entry& entry,
                                             const std::string& model, const std::string& engine,
                                             std::int64_t tp_size) {
    const auto one =
        parse_case(fmt::format("model={} engine={} tp={} {}", model, engine, tp_size, entry.line));
    if (!one) {
      return where.error(one.error().text());
    }
    auto prepared = prepare_layers(*one, library_);
    if (!prepared) {
      return where.error(prepared.error().text());
    }
    for (PreparedCase& item : *prepared) {
      item.numbers = entry.numbers;
      item.expect.verdict = item.geometry ? Verdict::consistent : Verdict::not_applicable;
    }
    return prepared;
  }

  Result<void> add_grid(const JsonView& view, const Entry& entry) {
    // Each factor is below 2^20, a file's limit, so the product fits.
    const std::size_t count = entry.models.size() * entry.engines.size() * entry.tp_sizes.size();
    if (auto room = make_room(view, count, entry.line); !room) {
      return room;
    }
    for (const std::string& engine : entry.engines) {
      for (const std::string& model : entry.models) {
        for (const std::int64_t tp_size : entry.tp_sizes) {
          auto cases = cases_of(view, entry, model, engine, tp_size);
          if (!cases) {
            return fail(cases.error());
          }
          for (PreparedCase& item : *cases) {
            if (auto expected = expect_refusal(entry, item); !expected) {
              return expected;
            }
            suite_.cases.push_back(std::move(item));
          }
        }
      }
    }
    return {};
  }

  /// A contract that refuses everything keeps every law, so a suite says which refusals are right.
  static Result<void> expect_refusal(const Entry& entry, PreparedCase& item) {
    if (!entry.refused_when || !item.geometry) {
      return {};
    }
    const auto refused = evaluate_for(*entry.refused_when, item);
    if (!refused) {
      return fail(refused.error());
    }
    if (*refused != 0) {
      item.expect.verdict = Verdict::refused;
      item.expect.reason = entry.refused_when->text();
    }
    return {};
  }

  Result<void> add_bugs(const JsonView& view, const Entry& entry) {
    auto names = view.strings();
    if (!names) {
      return fail(names.error());
    }
    if (*names == std::vector<std::string>{"*"}) {
      names = list_contracts(configs_.root, "bugs");
    }
    for (const std::string& name : *names) {
      const auto contract = library_.contract(name);
      if (!contract) {
        return view.error(contract.error().text());
      }
      if (!(*contract)->bug) {
        return view.error(fmt::format("contract \"{}\" has no bug record", name));
      }
      for (const BugRecord::Expectation& expect : (*contract)->bug->expect) {
        if (auto added = add_bug_case(view, entry, name, *(*contract)->bug, expect); !added) {
          return added;
        }
      }
    }
    return {};
  }

  Result<void> add_bug_case(const JsonView& view, const Entry& entry, const std::string& name,
                            const BugRecord& bug, const BugRecord::Expectation& expect) {
    if (auto room = make_room(view, 1, entry.line); !room) {
      return room;
    }
    Entry own = entry;
    own.line = expect.case_line.empty() ? entry.line : expect.case_line;
    auto cases = cases_of(view, own, expect.model, name, expect.tp_size);
    if (!cases) {
      return fail(cases.error());
    }
    for (PreparedCase& item : *cases) {
      if (!item.geometry || (!expect.layer.empty() && item.one.layer != expect.layer)) {
        continue;
      }
      item.expect = {.verdict = *verdict_of(expect.verdict),
                     .shape_check = expect.shape_check,
                     .finding = expect.finding,
                     .reason = bug.symptom,
                     .link = bug.links.empty() ? "" : bug.links.front()};
      item.role = expect.role;
      suite_.cases.push_back(std::move(item));
    }
    return {};
  }

  JsonView root_;
  const ConfigFolders& configs_;
  Library library_;
  Suite suite_;
  std::size_t line_bytes_ = 0;
};

}  // namespace

Result<Suite> read_suite(const std::filesystem::path& file, const ConfigFolders& configs) {
  return read_text_file(file).and_then(
      [&](const std::string& text) { return parse_suite(text, file, configs); });
}

Result<Suite> parse_suite(std::string_view text, const std::filesystem::path& file,
                          const ConfigFolders& configs) {
  return parse_json(text, file.string()).and_then([&](const Json& json) {
    return SuiteReader(json, file, configs).read();
  });
}

Result<std::vector<PreparedCase>> prepare_all_layers(const Case& one,
                                                     const ConfigFolders& configs) {
  Library library(configs);
  return prepare_layers(one, library);
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
    kinds += (kinds.empty() ? "" : ", ") + item.one.layer;
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

}  // namespace tplora
