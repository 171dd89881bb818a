// From a merged contract document to a contract: the sections in the order in which names come to
// be defined.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "sim/base/printable.hpp"
#include "sim/contract/contract.hpp"
#include "sim/contract/document.hpp"
#include "sim/contract/sections.hpp"
#include "sim/contract/sites.hpp"
#include "sim/contract/variants.hpp"
#include "sim/contract/words.hpp"

namespace tplora::core {
namespace {

void read_head(const Fields& root, Contract& contract) {
  root.format("tplora-contract/1");
  contract.engine = root.text("engine");
  contract.version = root.text("version", Need::optional);
  contract.notes = root.text("notes", Need::optional);
  contract.program = root.text("program");
  contract.source = root.texts("source", Need::optional);
}

void read_owns(const Fields& root, FormulaReader& formulas, Contract& contract) {
  const auto section = root.find("owns");
  if (!section) {
    return;
  }
  FirstError& errors = formulas.errors();
  const Fields fields(*section, errors, {"q_heads", "kv_heads"});
  const auto pair = [&](std::string_view key, Formula& first, Formula& count) {
    const auto list = fields.find(key);
    if (!list) {
      return;
    }
    if (!list->json().is_array() || list->json().size() != 2) {
      errors.refuse(list->expected("a list of two formulas: first head, number of heads"));
      return;
    }
    first = formulas.read(list->element(0));
    count = formulas.read(list->element(1));
    if (contract.phase_of(first) >= Phase::adapter || contract.phase_of(count) >= Phase::adapter) {
      errors.refuse(list->error("the heads a rank owns cannot depend on an adapter"));
    }
  };
  pair("q_heads", contract.owns.first_q, contract.owns.q_heads);
  pair("kv_heads", contract.owns.first_kv, contract.owns.kv_heads);
}

void read_pool(const Fields& root, FirstError& errors, Contract& contract) {
  if (const auto section = root.find("pool")) {
    const Fields fields(*section, errors,
                        {"fresh", "clear", "absent", "cut", "scale", "lookup", "evict", "base"});
    contract.pool = {.fresh = fields.word("fresh", words::kFresh, PoolFresh::nothing),
                     .clear = fields.word("clear", words::kClear, PoolClear::nothing),
                     .absent = fields.word("absent", words::kAbsent, PoolAbsent::zero),
                     .cut = fields.word("cut", words::kCut, PoolCut::copy),
                     .scale = fields.word("scale", words::kScale, PoolScale::table),
                     .lookup = fields.word("lookup", words::kLookup, PoolLookup::current),
                     .evict = fields.word("evict", words::kEvict, PoolEvict::lru),
                     .base = fields.word("base", words::kBase, PoolBase::none)};
  }
}

void read_peft(const Fields& root, FirstError& errors, Contract& contract) {
  const auto section = root.find("peft", Need::optional);
  if (!section) {
    return;
  }
  const Fields fields(*section, errors, {"refuses", "saved_modules"});
  contract.peft = {.refuses = fields.texts("refuses"),
                   .saved_modules = fields.texts("saved_modules", Need::optional)};
  for (const std::string& option : contract.peft.refuses) {
    if (std::find(kPeftOptions.begin(), kPeftOptions.end(), option) == kPeftOptions.end()) {
      errors.refuse(section->error(fmt::format("refuses: found \"{}\", expected some of {}",
                                               excerpt(option), fmt::join(kPeftOptions, ", "))));
    }
  }
}

void read_view(const Fields& root, FormulaReader& formulas, Contract& contract) {
  const auto section = root.find("view");
  if (!section) {
    return;
  }
  FirstError& errors = formulas.errors();
  const Fields fields(*section, errors, {"gather", "order", "copies"});
  contract.view = {.gather = fields.word("gather", words::kViewGather, ViewGather::none),
                   .order = fields.word("order", words::kOrder, FusedOrder::blocks),
                   .copies = {}};
  if (!fields.find("copies", Need::optional)) {
    return;
  }
  const auto list = fields.find("copies");
  if (list && list->json().is_array() && list->json().empty()) {
    errors.refuse(list->expected("at least one copy"));
    return;
  }
  const auto formula = [&](const Fields& entry, std::string_view key) {
    const auto field = entry.find(key);
    return field ? formulas.read_before_load(*field,
                                             "what attention looks at cannot depend on an "
                                             "adapter")
                 : Formula();
  };
  for (const JsonView& view : fields.entries("copies")) {
    const Fields entry(view, errors, {"from", "rows", "for"});
    ViewCopy copy;
    copy.place = formulas.place(view);
    copy.loops = formulas.open_loops(entry);
    copy.from = formula(entry, "from");
    copy.rows = formula(entry, "rows");
    formulas.close_loops(copy.loops);
    contract.view.copies.push_back(std::move(copy));
    if (!errors.none()) {
      return;
    }
  }
}

void read_scaling(const Fields& root, FormulaReader& formulas, Contract& contract) {
  if (const auto section = root.find("scaling")) {
    const Fields fields(*section, formulas.errors(), {"num", "den", "root"});
    contract.scaling_numerator = formulas.read(fields, "num");
    contract.scaling_denominator = formulas.read(fields, "den");
    if (fields.find("root", Need::optional)) {
      contract.scaling_root = formulas.read(fields, "root");
    }
  }
}

/// Only a factor is of one part: rows and launches are of whatever parts they are.
void refuse_part_symbols(Contract& contract, FirstError& errors) {
  for (const Formula* formula : formulas_of(contract)) {
    const bool factor = formula == &contract.scaling_numerator ||
                        formula == &contract.scaling_denominator ||
                        (contract.scaling_root && formula == &*contract.scaling_root);
    for (const Formula::Used& used : formula->used_symbols()) {
      if (!factor && (used.symbol == symbol::part_r || used.symbol == symbol::part_alpha)) {
        errors.refuse(Error{
            fmt::format("\"{}\" is known in `scaling` only", contract.symbols.name(used.symbol)),
            formula->place().text()});
      }
    }
  }
}

/// Views know only the merged pointer ("#/lora_b/..."); the document knows who wrote it.
Error where_written(const Error& error, const ContractDocument& document) {
  const bool merged = error.place.empty() || error.place.starts_with('#');
  return {error.sentence,
          merged ? document.place(error.place.empty() ? "" : error.place.substr(1)).text()
                 : error.place};
}

Result<Contract> read_sections(const ContractDocument& document) {
  FirstError errors;
  Contract contract;
  contract.symbols = predefined_symbols();
  FormulaReader formulas(document, contract, errors);
  // `bug` is read by those who keep published bugs.
  const Fields root(JsonView(document.json(), ""), errors,
                    {"format", "engine", "version", "source", "notes",  "program", "claims",
                     "let",    "checks", "owns",    "weight", "lora_b", "lora_a",  "kernel",
                     "pool",   "view",   "scaling", "peft",   "bug",    "variants"});
  read_head(root, contract);
  read_claims(root, formulas, contract);
  read_lets(root, formulas, contract);
  read_checks(root, formulas, contract);
  read_owns(root, formulas, contract);
  read_weight(root, formulas, contract);
  read_lora_b(root, formulas, contract);
  read_lora_a(root, formulas, contract);
  read_kernel(root, formulas, contract);
  read_peft(root, errors, contract);
  read_pool(root, errors, contract);
  read_view(root, formulas, contract);
  read_scaling(root, formulas, contract);
  refuse_part_symbols(contract, errors);
  contract.value_count = formulas.value_count();
  return errors.result(std::move(contract));
}

std::string rules_of(const Json& document) {
  Json rules = document;
  for (const char* told :
       {"format", "engine", "version", "source", "notes", "peft", "bug", "variants"}) {
    rules.erase(told);
  }
  return rules.dump();
}

Result<Contract> compile(const ContractDocument& document) {
  const std::filesystem::path& file = document.file();
  auto contract = read_sections(document);
  if (!contract) {
    return fail(where_written(contract.error(), document));
  }
  contract->name = file.stem().string();
  contract->rules = rules_of(document.json());
  contract->file = file.string();
  contract->extends = document.extended();
  index_formulas(*contract);
  for (const WordSite& site : word_sites(*contract)) {
    contract->written_at[site.pointer] = document.place(site.pointer);
  }
  for (const ListSite& site : list_sites(*contract)) {
    contract->written_at[site.pointer] = document.place(site.pointer);
    for (std::size_t i = 0; i < site.size; ++i) {
      const std::string source = fmt::format("{}/{}/src", site.pointer, i);
      contract->written_at[source] = document.place(source);
    }
  }
  return contract;
}

/// Far more than an engine has kinds of classes; each is compiled.
constexpr std::size_t kMostVariants = 64;

/// An entry of `variants`, but for what it changes.
struct VariantHead {
  VariantCondition condition;
  std::string say;
  std::vector<std::string> source;
};

VariantHead read_variant(const JsonView& entry, FirstError& errors) {
  const Fields fields(
      entry, errors,
      {"model_types", "architectures", "modules", "say", "source", "replace", "add", "remove"});
  VariantHead head{.condition = {.model_types = fields.texts("model_types", Need::optional),
                                 .architectures = fields.texts("architectures", Need::optional),
                                 .modules = fields.texts("modules", Need::optional)},
                   .say = fields.text("say"),
                   .source = fields.texts("source", Need::optional)};
  const VariantCondition& on = head.condition;
  if (on.model_types.empty() && on.architectures.empty() && on.modules.empty()) {
    errors.refuse(
        entry.error("a variant without model_types, architectures and modules would hold for "
                    "every layer, expected one of the three with at least one name"));
  }
  return head;
}

Result<std::vector<VariantHead>> read_variants(const ContractDocument& document) {
  FirstError errors;
  const JsonView root(document.json(), "");
  std::vector<VariantHead> heads;
  if (const auto list = root.find("variants")) {
    const auto entries = list->elements();
    if (!entries) {
      return fail(where_written(entries.error(), document));
    }
    if (entries->size() > kMostVariants) {
      errors.refuse(list->error(
          fmt::format("{} variants, expected at most {}", entries->size(), kMostVariants)));
    }
    for (const JsonView& entry : *entries) {
      VariantHead head = read_variant(entry, errors);
      if (std::any_of(heads.begin(), heads.end(),
                      [&](const VariantHead& one) { return one.say == head.say; })) {
        errors.refuse(entry.error(fmt::format(
            "an earlier variant says \"{}\" too, expected words that tell them apart", head.say)));
      }
      heads.push_back(std::move(head));
    }
  }
  if (!errors.none()) {
    return fail(where_written(errors.result().error(), document));
  }
  return heads;
}

/// The document's contracts, without what they extend.
Result<ContractSet> compile_alone(const ContractDocument& document) {
  auto base = compile(document);
  if (!base) {
    return fail(base.error());
  }
  const auto heads = read_variants(document);
  if (!heads) {
    return fail(heads.error());
  }
  std::vector<ContractSet::Variant> variants;
  for (std::size_t i = 0; i < heads->size(); ++i) {
    const VariantHead& head = (*heads)[i];
    const auto changed = document.variant(i);
    if (!changed) {
      return fail(where_written(changed.error(), document));
    }
    auto contract = compile(*changed);
    if (!contract) {
      return fail(contract.error());
    }
    contract->variant = head.say;
    contract->source.insert(contract->source.end(), head.source.begin(), head.source.end());
    variants.push_back({head.condition, std::make_shared<const Contract>(*std::move(contract))});
  }
  return ContractSet(std::make_shared<const Contract>(*std::move(base)), std::move(variants));
}

/// Whether both tell the same classes of models apart.
bool same_classes(const ContractSet& a, const ContractSet& b) {
  return std::equal(
      a.variants().begin(), a.variants().end(), b.variants().begin(), b.variants().end(),
      [](const auto& one, const auto& other) { return one.condition == other.condition; });
}

Result<ContractSet> compile_set(const ContractDocument& document);

/// What a document extends, compiled once, when it is first asked for.
class Extended {
 public:
  explicit Extended(std::shared_ptr<const ContractDocument> document)
      : document_(std::move(document)) {}

  /// For those whose `set` tells the same classes of models apart, the contract for one of them.
  /// nullptr: there is none; what is extended need not be a contract by itself.
  std::shared_ptr<const Contract> with(const ContractSet& set, const VariantCondition* condition) {
    std::call_once(compiled_, [&] { set_.emplace(compile_set(*document_)); });
    if (!*set_ || !same_classes(set, **set_)) {
      return nullptr;
    }
    return condition == nullptr ? (*set_)->base() : (*set_)->with(*condition);
  }

 private:
  std::shared_ptr<const ContractDocument> document_;
  std::once_flag compiled_;
  std::optional<Result<ContractSet>> set_;
};

/// What a contract's `base` looks at, behind one pointer: an explanation copies its contract
/// thousands of times.
struct BaseOf {
  std::shared_ptr<Extended> extended;
  std::shared_ptr<const ContractSet> set;
  std::optional<VariantCondition>
      condition;  ///< of the variant; nothing: of no class in particular

  [[nodiscard]] std::shared_ptr<const Contract> get() const {
    return extended->with(*set, condition ? &*condition : nullptr);
  }
};

Result<ContractSet> compile_set(const ContractDocument& document) {
  auto alone = compile_alone(document);
  if (!alone || document.base() == nullptr) {
    return alone;
  }
  const auto extended = std::make_shared<Extended>(document.base());
  const auto set = std::make_shared<const ContractSet>(*alone);
  const auto on_base = [&](const Contract& contract, std::optional<VariantCondition> condition) {
    Contract derived = contract;
    const auto of = std::make_shared<const BaseOf>(BaseOf{extended, set, std::move(condition)});
    derived.base = [of] { return of->get(); };
    return std::make_shared<const Contract>(std::move(derived));
  };
  std::vector<ContractSet::Variant> variants;
  for (const ContractSet::Variant& variant : alone->variants()) {
    variants.push_back({variant.condition, on_base(*variant.contract, variant.condition)});
  }
  return ContractSet(on_base(*alone->base(), std::nullopt), std::move(variants));
}

}  // namespace

Result<ContractSet> read_contract_set(const std::filesystem::path& file,
                                      const std::filesystem::path& configs) {
  return ContractDocument::read(file, configs).and_then(compile_set);
}

Result<Contract> read_contract(const std::filesystem::path& file,
                               const std::filesystem::path& configs) {
  return read_contract_set(file, configs).map([](const ContractSet& set) { return *set.base(); });
}

Result<ContractSet> parse_contract_set(std::string_view text, const std::filesystem::path& file,
                                       const std::filesystem::path& configs) {
  return ContractDocument::parse(text, file, configs).and_then(compile_set);
}

}  // namespace tplora::core
