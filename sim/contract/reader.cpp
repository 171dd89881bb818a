#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "sim/contract/contract.hpp"
#include "sim/contract/document.hpp"
#include "sim/contract/sites.hpp"

namespace tplora {
namespace {

/// Ten times what the largest contract in use has; names are searched for one by one.
constexpr int kMaxFormulas = 1024;

/// A closed list of words of the format, each with its meaning.
template <class Value>
struct Word {
  std::string_view word;
  Value value;
};

/// Compiles one merged document. The first Error wins and every later step does nothing, so the
/// steps read as a list.
class Compiler {
 public:
  explicit Compiler(const ContractDocument& document)
      : document_(document), root_(document.json(), "") {}

  Result<Contract> compile() {
    contract_.symbols = predefined_symbols();
    head();
    claims();
    lets();
    max_symbols_ = contract_.symbols.size();
    checks();
    owns();
    weight();
    lora_b();
    lora_a();
    kernel();
    pool();
    view();
    scaling();
    if (error_) {
      return fail(*error_);
    }
    contract_.value_count = max_symbols_;
    index_formulas(contract_);
    for (const WordSite& site : word_sites(contract_)) {
      contract_.written_at[site.pointer] = document_.place(site.pointer);
    }
    for (const ListSite& site : list_sites(contract_)) {
      contract_.written_at[site.pointer] = document_.place(site.pointer);
    }
    return std::move(contract_);
  }

 private:
  // --- errors, places, members -------------------------------------------------------------
  template <class T>
  T take(Result<T> result, T otherwise = {}) {
    if (result) {
      return std::move(*result);
    }
    refuse(result.error());
    return otherwise;
  }
  void take(Result<void> result) {
    if (!result) {
      refuse(result.error());
    }
  }
  /// Views know only the merged pointer ("#/lora_b/..."); the document knows who wrote it.
  void refuse(Error error) {
    if (error_) {
      return;
    }
    if (error.place.empty() || error.place.starts_with("#")) {
      error.place = document_.place(error.place.empty() ? "" : error.place.substr(1));
    }
    error_ = std::move(error);
  }
  [[nodiscard]] std::string place(const JsonView& view) const {
    return document_.place(view.pointer());
  }
  std::optional<JsonView> required(const JsonView& view, std::string_view key) {
    if (auto member = view.at(key)) {
      return *member;
    } else {
      refuse(member.error());
      return std::nullopt;
    }
  }
  std::string text(const JsonView& view, std::string_view key) {
    const auto member = required(view, key);
    return member ? take(member->string()) : std::string();
  }
  std::string optional_text(const JsonView& view, std::string_view key, std::string otherwise) {
    const auto member = view.find(key);
    return member ? take(member->string()) : std::move(otherwise);
  }
  template <class Value, std::size_t N>
  Value word(const JsonView& view, std::string_view key, const std::array<Word<Value>, N>& words,
             Value otherwise) {
    const auto member = view.find(key);
    if (!member) {
      return otherwise;
    }
    const std::string found = take(member->string());
    std::string list;
    for (const auto& [name, value] : words) {
      if (name == found) {
        return value;
      }
      list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", name);
    }
    take(Result<void>(member->expected("one of " + list)));
    return otherwise;
  }

  // --- formulas ----------------------------------------------------------------------------
  /// A formula is a JSON string, or an integer for a constant.
  Formula formula(const JsonView& view) {
    if (++formulas_ > kMaxFormulas) {
      take(Result<void>(
          view.error(fmt::format("found more than {} formulas in one contract, expected "
                                 "at most that many",
                                 kMaxFormulas))));
    }
    if (error_) {
      return {};
    }
    std::string source;
    if (view.json().is_number_integer()) {
      source = std::to_string(take(view.integer()));
    } else {
      source = take(view.string());
    }
    if (error_) {
      return {};
    }
    max_symbols_ = std::max(max_symbols_, contract_.symbols.size());
    return take(Formula::parse(std::move(source), place(view), contract_.symbols));
  }
  Formula formula(const JsonView& view, std::string_view key) {
    const auto member = required(view, key);
    return member ? formula(*member) : Formula();
  }

  // --- sections ----------------------------------------------------------------------------
  void head() {
    take(root_.only_keys({"format", "engine", "version", "source", "notes", "program", "claims",
                          "let", "checks", "owns", "weight", "lora_b", "lora_a", "kernel", "pool",
                          "view", "scaling", "bug"}));
    if (text(root_, "format") != "tplora-contract/1" && !error_) {
      take(Result<void>(root_.find("format")->expected("\"tplora-contract/1\"")));
    }
    contract_.engine = text(root_, "engine");
    contract_.version = optional_text(root_, "version", "");
    contract_.notes = optional_text(root_, "notes", "");
    contract_.program = text(root_, "program");
    if (const auto source = root_.find("source")) {
      contract_.source = take(source->strings());
    }
    if (const auto bug = root_.find("bug")) {
      bug_record(*bug);
    }
  }

  void bug_record(const JsonView& bug) {
    static constexpr std::array<Word<std::string_view>, 5> kVerdicts = {
        {{"refused", "refused"},
         {"crash", "crash"},
         {"silent", "silent"},
         {"consistent", "consistent"},
         {"not_applicable", "not_applicable"}}};
    static constexpr std::array<Word<std::string_view>, 2> kShapeChecks = {
        {{"pass", "pass"}, {"fail", "fail"}}};
    static constexpr std::array<Word<std::string_view>, 3> kRoles = {
        {{"published", "published"}, {"smallest", "smallest"}, {"invisible", "invisible"}}};
    take(bug.only_keys({"title", "links", "published", "symptom", "inferred", "lesson", "expect"}));
    BugRecord record;
    record.title = text(bug, "title");
    record.published = text(bug, "published");
    record.symptom = text(bug, "symptom");
    record.inferred = optional_text(bug, "inferred", "");
    record.lesson = text(bug, "lesson");
    if (const auto links = required(bug, "links")) {
      record.links = take(links->strings());
    }
    const auto expect = required(bug, "expect");
    for (const auto& item : expect ? take(expect->elements()) : std::vector<JsonView>()) {
      take(item.only_keys(
          {"role", "model", "layer", "tp_size", "case", "verdict", "shape_check", "finding"}));
      const auto tp_size = required(item, "tp_size");
      const auto finding = item.find("finding");
      record.expect.push_back(
          {.role = std::string(word(item, "role", kRoles, std::string_view())),
           .model = text(item, "model"),
           .layer = optional_text(item, "layer", ""),
           .tp_size = tp_size ? take(tp_size->positive_integer()) : 1,
           .case_line = optional_text(item, "case", ""),
           .verdict = std::string(word(item, "verdict", kVerdicts, std::string_view())),
           .shape_check = std::string(word(item, "shape_check", kShapeChecks, std::string_view())),
           .finding = finding ? take(finding->strings()) : std::vector<std::string>()});
    }
    contract_.bug = std::move(record);
  }

  // Read before `let`, so that only predefined names can stand in a claim: a claim is about model
  // and deployment, and must have a value where the contract's own formulas have none.
  void claims() {
    const auto section = root_.find("claims");
    for (const auto& item : section ? take(section->elements()) : std::vector<JsonView>()) {
      take(item.only_keys({"that", "say"}));
      Claim claim{.that = formula(item, "that"), .say = text(item, "say")};
      const auto& used = claim.that.used_symbols();
      const bool group = std::any_of(used.begin(), used.end(),
                                     [](const auto& each) { return each.symbol == symbol::T; });
      if (!error_ && (group || contract_.phase_of(claim.that) != Phase::deployment)) {
        take(
            Result<void>(item.error("a claim is about model and deployment, expected symbols that "
                                    "are the same on every tp_rank and for every adapter (tp_size "
                                    "for T)")));
      }
      contract_.claims.push_back(std::move(claim));
    }
  }

  void lets() {
    const auto section = root_.find("let");
    if (!section) {
      return;
    }
    for (const auto& [name, view] : take(section->members())) {
      if (!is_symbol_name(name)) {
        take(Result<void>(view.error(fmt::format("\"{}\" cannot name a symbol", name))));
        return;
      }
      Let let;
      let.formula = formula(view);
      if (error_) {
        explain_order(name, section->json());
        return;
      }
      let.phase = contract_.phase_of(let.formula);
      const auto existing = contract_.symbols.find(name);
      if (existing && *existing != symbol::T && *existing != symbol::t) {
        take(Result<void>(view.error(
            fmt::format("\"{}\" is defined already, expected a new name (or T or t)", name))));
        return;
      }
      let.symbol = existing ? *existing : contract_.symbols.add(name);
      contract_.lets.push_back(std::move(let));
    }
  }

  /// A name that `let` defines only here or further down is not unknown, it is too early.
  void explain_order(const std::string& at, const Json& section) {
    bool later = false;
    for (const auto& [name, value] : section.items()) {
      later = later || name == at;
      const auto quoted = fmt::format("unknown name \"{}\"", name);
      const auto found = error_->sentence.find(quoted);
      if (later && found != std::string::npos) {
        error_->sentence = fmt::format(
            "{}\"{}\" is defined {} in `let`, expected only names that stand above",
            error_->sentence.substr(0, found), name, name == at ? "right here" : "further down");
      }
    }
  }

  void checks() {
    static constexpr std::array<Word<Check::Else>, 2> kElse = {
        {{"refused", Check::Else::refused}, {"crash", Check::Else::crash}}};
    static constexpr std::array<Word<Check::When>, 2> kWhen = {
        {{"build", Check::When::build}, {"load", Check::When::load}}};
    const auto section = root_.find("checks");
    for (const auto& item : section ? take(section->elements()) : std::vector<JsonView>()) {
      take(item.only_keys({"that", "else", "when", "say"}));
      Check check{.that = formula(item, "that"),
                  .otherwise = word(item, "else", kElse, Check::Else::refused),
                  .when = word(item, "when", kWhen, Check::When::build),
                  .phase = Phase::deployment,
                  .say = text(item, "say")};
      check.phase = contract_.phase_of(check.that);
      if (!error_ && check.when == Check::When::build &&
          contract_.phase_of(check.that) == Phase::adapter) {
        take(
            Result<void>(item.error("a check at build time cannot use an adapter's symbols, "
                                    "expected \"when\": \"load\"")));
      }
      contract_.checks.push_back(std::move(check));
    }
  }

  void owns() {
    const auto section = required(root_, "owns");
    if (!section) {
      return;
    }
    take(section->only_keys({"q_heads", "kv_heads"}));
    const auto pair = [&](std::string_view key, Formula& first, Formula& count) {
      const auto member = required(*section, key);
      if (!member) {
        return;
      }
      if (!member->json().is_array() || member->json().size() != 2) {
        take(Result<void>(member->expected("a list of two formulas: first head, number of heads")));
        return;
      }
      first = formula(member->element(0));
      count = formula(member->element(1));
      for (const Formula* each : {&first, &count}) {
        if (!error_ && contract_.phase_of(*each) == Phase::adapter) {
          take(Result<void>(member->error("the heads a rank owns cannot depend on an adapter")));
        }
      }
    };
    pair("q_heads", contract_.owns.first_q, contract_.owns.q_heads);
    pair("kv_heads", contract_.owns.first_kv, contract_.owns.kv_heads);
  }

  std::vector<Loop> loops(const JsonView& item) {
    std::vector<Loop> list;
    const auto member = item.find("for");
    if (!member) {
      return list;
    }
    for (const auto& [name, view] : take(member->members())) {
      if (!is_symbol_name(name) || contract_.symbols.find(name)) {
        take(Result<void>(
            view.error(fmt::format("\"{}\" cannot name a loop index, expected a new name", name))));
        return list;
      }
      Formula count = formula(view);
      list.push_back({contract_.symbols.add(name), std::move(count)});
    }
    return list;
  }

  std::vector<Buffer> buffers(const JsonView& section) {
    std::vector<Buffer> list;
    const auto member = required(section, "buffers");
    for (const auto& [name, view] :
         member ? take(member->members()) : std::vector<std::pair<std::string, JsonView>>()) {
      list.push_back({name, formula(view)});
      if (!error_ && contract_.phase_of(list.back().rows) == Phase::adapter) {
        take(Result<void>(view.error("a buffer is allocated before any adapter is known")));
      }
    }
    if (member && list.empty() && !error_) {
      take(Result<void>(member->expected("at least one buffer")));
    }
    return list;
  }

  int buffer_number(const JsonView& item, std::string_view key, const std::vector<Buffer>& list) {
    const auto member = required(item, key);
    if (!member) {
      return 0;
    }
    const std::string name = take(member->string());
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].name == name) {
        return static_cast<int>(i);
      }
    }
    take(Result<void>(member->error(fmt::format("no buffer is called \"{}\"", name))));
    return 0;
  }

  enum class Section { weight, lora_b, lora_a };

  std::vector<Copy> copies(const JsonView& section, Section kind, const std::vector<Buffer>& list) {
    static constexpr std::array<Word<Source>, 5> kSources = {{{"q", Source::q},
                                                              {"k", Source::k},
                                                              {"v", Source::v},
                                                              {"fused", Source::fused},
                                                              {"shared", Source::shared}}};
    std::vector<Copy> result;
    const auto member = required(section, "copies");
    for (const auto& item : member ? take(member->elements()) : std::vector<JsonView>()) {
      if (kind == Section::weight) {
        take(item.only_keys({"src", "from", "rows", "at", "for"}));
      } else {
        take(item.only_keys({"src", "to", "from", "rows", "at", "for"}));
      }
      const int scope = contract_.symbols.size();
      Copy copy;
      copy.place = place(item);
      copy.loops = loops(item);
      text(item, "src");
      copy.source = word(item, "src", kSources, Source::fused);
      const bool misplaced =
          kind == Section::lora_a ? copy.source == Source::fused : copy.source == Source::shared;
      if (misplaced && !error_) {  // with an error, there may be no "src"
        take(Result<void>(item.find("src")->expected(kind == Section::lora_a
                                                         ? R"("q", "k", "v" or "shared")"
                                                         : R"("q", "k", "v" or "fused")")));
      }
      copy.buffer = kind == Section::weight ? 0 : buffer_number(item, "to", list);
      copy.from = formula(item, "from");
      copy.rows = formula(item, "rows");
      if (const auto at = item.find("at")) {
        copy.at = formula(*at);
      }
      for (const std::string_view key : {"from", "rows", "at"}) {
        const auto formula_view = item.find(key);
        if (kind == Section::weight && !error_ && formula_view &&
            contract_.phase_of(key == "from"   ? copy.from
                               : key == "rows" ? copy.rows
                                               : *copy.at) == Phase::adapter) {
          take(Result<void>(formula_view->error("the base weight cannot depend on an adapter")));
        }
      }
      contract_.symbols.shrink(scope);
      result.push_back(std::move(copy));
      if (error_) {
        break;
      }
    }
    if (member && result.empty() && !error_) {
      take(Result<void>(member->expected("at least one copy")));
    }
    if (member && !error_) {
      all_parts(*member, kind, result);
    }
    return result;
  }

  /// Each of q, k and v must be taken by some copy, or no geometry could ever be consistent.
  void all_parts(const JsonView& list, Section kind, const std::vector<Copy>& copies) {
    const Source whole = kind == Section::lora_a ? Source::shared : Source::fused;
    for (const Source part : {Source::q, Source::k, Source::v}) {
      const bool taken = std::any_of(copies.begin(), copies.end(), [&](const Copy& copy) {
        return copy.source == part || copy.source == whole;
      });
      if (!taken) {
        take(Result<void>(list.error(
            fmt::format(R"(no copy takes rows of {0}, expected one with "src": "{0}" or "{1}")",
                        source_name(part), source_name(whole)))));
        return;
      }
    }
  }

  static constexpr std::array<Word<FusedOrder>, 3> kOrders = {
      {{"blocks", FusedOrder::blocks},
       {"per_group", FusedOrder::per_group},
       {"per_group_halves", FusedOrder::per_group_halves}}};
  static constexpr std::array<Word<FusedBy>, 2> kFusedBy = {
      {{"engine", FusedBy::engine}, {"checkpoint", FusedBy::checkpoint}}};
  static constexpr std::array<Word<PastEnd>, 3> kPastEnd = {
      {{"clip", PastEnd::clip}, {"error", PastEnd::error}, {"zero", PastEnd::zero}}};

  void weight() {
    if (const auto section = required(root_, "weight")) {
      take(section->only_keys({"order", "fused_by", "past_end", "copies"}));
      contract_.weight = {.order = word(*section, "order", kOrders, FusedOrder::blocks),
                          .fused_by = word(*section, "fused_by", kFusedBy, FusedBy::engine),
                          .past_end = word(*section, "past_end", kPastEnd, PastEnd::error),
                          .copies = copies(*section, Section::weight, {})};
    }
  }

  void lora_b() {
    static constexpr std::array<Word<Fit>, 2> kFit = {
        {{"exact", Fit::exact}, {"corner", Fit::corner}}};
    if (const auto section = required(root_, "lora_b")) {
      take(section->only_keys({"order", "fused_by", "buffers", "fit", "past_end", "copies"}));
      auto& b = contract_.lora_b;
      b.order = word(*section, "order", kOrders, FusedOrder::blocks);
      b.fused_by = word(*section, "fused_by", kFusedBy, FusedBy::engine);
      b.fit = word(*section, "fit", kFit, Fit::exact);
      b.past_end = word(*section, "past_end", kPastEnd, PastEnd::clip);
      b.buffers = buffers(*section);
      b.copies = copies(*section, Section::lora_b, b.buffers);
    }
  }

  void lora_a() {
    static constexpr std::array<Word<Gather>, 2> kGather = {
        {{"none", Gather::none}, {"tp", Gather::tp}}};
    if (const auto section = required(root_, "lora_a")) {
      take(section->only_keys({"buffers", "gather", "past_end", "copies"}));
      auto& a = contract_.lora_a;
      a.gather = word(*section, "gather", kGather, Gather::none);
      a.past_end = word(*section, "past_end", kPastEnd, PastEnd::clip);
      a.buffers = buffers(*section);
      a.copies = copies(*section, Section::lora_a, a.buffers);
    }
  }

  void kernel() {
    const auto section = required(root_, "kernel");
    for (const auto& item : section ? take(section->elements()) : std::vector<JsonView>()) {
      take(item.only_keys({"a", "a_at", "b", "b_at", "out", "rows", "depth", "for"}));
      const int scope = contract_.symbols.size();
      auto list = loops(item);
      contract_.kernel.push_back({.a = buffer_number(item, "a", contract_.lora_a.buffers),
                                  .b = buffer_number(item, "b", contract_.lora_b.buffers),
                                  .a_at = formula(item, "a_at"),
                                  .b_at = formula(item, "b_at"),
                                  .out = formula(item, "out"),
                                  .rows = formula(item, "rows"),
                                  .depth = formula(item, "depth"),
                                  .loops = std::move(list),
                                  .place = place(item)});
      contract_.symbols.shrink(scope);
      if (error_) {
        return;
      }
    }
    if (section && contract_.kernel.empty() && !error_) {
      take(Result<void>(section->expected("at least one kernel entry")));
    }
  }

  void pool() {
    static constexpr std::array<Word<PoolClear>, 3> kClear = {
        {{"nothing", PoolClear::nothing}, {"tail", PoolClear::tail}, {"slot", PoolClear::slot}}};
    static constexpr std::array<Word<PoolCut>, 2> kCut = {
        {{"copy", PoolCut::copy}, {"in_place", PoolCut::in_place}}};
    static constexpr std::array<Word<PoolScale>, 3> kScale = {
        {{"table", PoolScale::table}, {"slot", PoolScale::slot}, {"cache", PoolScale::cache}}};
    static constexpr std::array<Word<PoolEvict>, 2> kEvict = {
        {{"lru", PoolEvict::lru}, {"fifo", PoolEvict::fifo}}};
    static constexpr std::array<Word<PoolBase>, 2> kBase = {
        {{"none", PoolBase::none}, {"slot", PoolBase::slot}}};
    static constexpr std::array<Word<PoolLookup>, 2> kLookup = {
        {{"current", PoolLookup::current}, {"first", PoolLookup::first}}};
    static constexpr std::array<Word<PoolAbsent>, 2> kAbsent = {
        {{"zero", PoolAbsent::zero}, {"keep", PoolAbsent::keep}}};
    if (const auto section = required(root_, "pool")) {
      take(section->only_keys({"clear", "absent", "cut", "scale", "lookup", "evict", "base"}));
      contract_.pool = {.clear = word(*section, "clear", kClear, PoolClear::nothing),
                        .absent = word(*section, "absent", kAbsent, PoolAbsent::zero),
                        .cut = word(*section, "cut", kCut, PoolCut::copy),
                        .scale = word(*section, "scale", kScale, PoolScale::table),
                        .lookup = word(*section, "lookup", kLookup, PoolLookup::current),
                        .evict = word(*section, "evict", kEvict, PoolEvict::lru),
                        .base = word(*section, "base", kBase, PoolBase::none)};
    }
  }

  void view() {
    static constexpr std::array<Word<ViewGather>, 2> kGather = {
        {{"none", ViewGather::none}, {"all", ViewGather::all}}};
    if (const auto section = required(root_, "view")) {
      take(section->only_keys({"gather", "order"}));
      contract_.view = {.gather = word(*section, "gather", kGather, ViewGather::none),
                        .order = word(*section, "order", kOrders, FusedOrder::blocks)};
    }
  }

  void scaling() {
    if (const auto section = required(root_, "scaling")) {
      take(section->only_keys({"num", "den"}));
      contract_.scaling_numerator = formula(*section, "num");
      contract_.scaling_denominator = formula(*section, "den");
    }
  }

  const ContractDocument& document_;
  JsonView root_;
  Contract contract_;
  int max_symbols_ = 0;
  int formulas_ = 0;
  std::optional<Error> error_;
};

}  // namespace

std::string_view source_name(Source source) {
  constexpr std::array<std::string_view, 5> kNames = {"q", "k", "v", "fused", "shared"};
  return kNames[static_cast<std::size_t>(source)];
}

Phase Contract::phase_of(const Formula& formula) const {
  Phase latest = Phase::deployment;
  for (const auto& used : formula.used_symbols()) {
    // A contract's own T or t takes the place of the predefined one.
    const auto let = std::find_if(lets.rbegin(), lets.rend(),
                                  [&](const Let& each) { return each.symbol == used.symbol; });
    if (let != lets.rend()) {
      latest = std::max(latest, let->phase);
    } else if (used.symbol < symbol::count) {
      latest = std::max(latest, predefined_phase(used.symbol));
    }
  }
  return latest;
}

bool Contract::takes_fused_adapters() const {
  return std::any_of(lora_a.copies.begin(), lora_a.copies.end(),
                     [](const Copy& copy) { return copy.source == Source::shared; });
}

namespace {

Result<Contract> compile(const ContractDocument& document, const std::filesystem::path& file) {
  auto contract = Compiler(document).compile();
  if (contract) {
    contract->name = file.stem().string();
    contract->file = file.string();
    contract->extends = document.extended();
  }
  return contract;
}

}  // namespace

Result<Contract> read_contract(const std::filesystem::path& file,
                               const std::filesystem::path& configs) {
  return ContractDocument::read(file, configs).and_then([&](const ContractDocument& document) {
    return compile(document, file);
  });
}

Result<Contract> parse_contract(std::string_view text, const std::filesystem::path& file,
                                const std::filesystem::path& configs) {
  return ContractDocument::parse(text, file, configs)
      .and_then([&](const ContractDocument& document) { return compile(document, file); });
}

namespace {

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".json") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::vector<std::string> list_contracts(const std::filesystem::path& configs,
                                        const std::string& kind) {
  return names_in(configs / kind);
}

Result<std::filesystem::path> find_contract(const std::string& argument,
                                            const std::filesystem::path& configs) {
  for (const auto* kind : {"engines", "bugs"}) {
    const auto names = names_in(configs / kind);
    if (std::find(names.begin(), names.end(), argument) != names.end()) {
      return configs / kind / (argument + ".json");
    }
  }
  if (argument.ends_with(".json") || argument.find('/') != std::string::npos) {
    return std::filesystem::path(argument);
  }
  return fail(
      fmt::format("engine \"{}\" is not known, expected a path to a contract file or one "
                  "of: {}, {}",
                  argument, fmt::join(names_in(configs / "engines"), ", "),
                  fmt::join(names_in(configs / "bugs"), ", ")));
}

Result<Contract> load_contract(const std::string& argument, const std::filesystem::path& configs) {
  return find_contract(argument, configs).and_then([&](const std::filesystem::path& file) {
    return read_contract(file, configs);
  });
}

}  // namespace tplora
