#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/contract/contract.hpp"
#include "sim/contract/document.hpp"
#include "sim/contract/entry_reader.hpp"
#include "sim/contract/sites.hpp"

namespace tplora {
namespace {

/// Compiles one merged document. The first Error wins and every later step does nothing, so the
/// steps read as a list.
class Compiler {
 public:
  explicit Compiler(const ContractDocument& document)
      : document_(document),
        root_(document.json(), ""),
        fields_([&document](const std::string& pointer) { return document.place(pointer); }),
        entries_(fields_, contract_) {}

  Result<Contract> compile() {
    contract_.symbols = predefined_symbols();
    head();
    claims();
    lets();
    entries_.count_symbols();
    checks();
    owns();
    weight();
    lora_b();
    lora_a();
    kernel();
    pool();
    view();
    scaling();
    if (fields_.error()) {
      return fail(*fields_.error());
    }
    contract_.value_count = entries_.symbols_used();
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
  // --- sections ----------------------------------------------------------------------------
  void head() {
    fields_.take(root_.only_keys({"format", "engine", "version", "source", "notes", "program",
                                  "claims", "let", "checks", "owns", "weight", "lora_b", "lora_a",
                                  "kernel", "pool", "view", "scaling", "bug"}));
    if (fields_.text(root_, "format") != "tplora-contract/1" && !fields_.error()) {
      fields_.take(Result<void>(root_.find("format")->expected("\"tplora-contract/1\"")));
    }
    contract_.engine = fields_.text(root_, "engine");
    contract_.version = fields_.optional_text(root_, "version", "");
    contract_.notes = fields_.optional_text(root_, "notes", "");
    contract_.program = fields_.text(root_, "program");
    if (const auto source = root_.find("source")) {
      contract_.source = fields_.take(source->strings());
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
    fields_.take(
        bug.only_keys({"title", "links", "published", "symptom", "inferred", "lesson", "expect"}));
    BugRecord record;
    record.title = fields_.text(bug, "title");
    record.published = fields_.text(bug, "published");
    record.symptom = fields_.text(bug, "symptom");
    record.inferred = fields_.optional_text(bug, "inferred", "");
    record.lesson = fields_.text(bug, "lesson");
    if (const auto links = fields_.required(bug, "links")) {
      record.links = fields_.take(links->strings());
    }
    const auto expect = fields_.required(bug, "expect");
    for (const auto& item : expect ? fields_.take(expect->elements()) : std::vector<JsonView>()) {
      fields_.take(item.only_keys(
          {"role", "model", "layer", "tp_size", "case", "verdict", "shape_check", "finding"}));
      const auto tp_size = fields_.required(item, "tp_size");
      const auto finding = item.find("finding");
      record.expect.push_back(
          {.role = std::string(fields_.word(item, "role", kRoles, std::string_view())),
           .model = fields_.text(item, "model"),
           .layer = fields_.optional_text(item, "layer", ""),
           .tp_size = tp_size ? fields_.take(tp_size->positive_integer()) : 1,
           .case_line = fields_.optional_text(item, "case", ""),
           .verdict = std::string(fields_.word(item, "verdict", kVerdicts, std::string_view())),
           .shape_check =
               std::string(fields_.word(item, "shape_check", kShapeChecks, std::string_view())),
           .finding = finding ? fields_.take(finding->strings()) : std::vector<std::string>()});
    }
    contract_.bug = std::move(record);
  }

  // Read before `let`, so that only predefined names can stand in a claim: a claim is about model
  // and deployment, and must have a value where the contract's own formulas have none.
  void claims() {
    const auto section = root_.find("claims");
    for (const auto& item : section ? fields_.take(section->elements()) : std::vector<JsonView>()) {
      fields_.take(item.only_keys({"that", "say"}));
      Claim claim{.that = entries_.formula(item, "that"), .say = fields_.text(item, "say")};
      const auto& used = claim.that.used_symbols();
      const bool group = std::any_of(used.begin(), used.end(),
                                     [](const auto& each) { return each.symbol == symbol::T; });
      if (!fields_.error() && (group || contract_.phase_of(claim.that) != Phase::deployment)) {
        fields_.take(
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
    for (const auto& [name, view] : fields_.take(section->members())) {
      if (!is_symbol_name(name)) {
        fields_.take(Result<void>(view.error(fmt::format("\"{}\" cannot name a symbol", name))));
        return;
      }
      Let let;
      let.formula = entries_.formula(view);
      if (fields_.error()) {
        explain_order(name, section->json());
        return;
      }
      let.phase = contract_.phase_of(let.formula);
      const auto existing = contract_.symbols.find(name);
      if (existing && *existing != symbol::T && *existing != symbol::t) {
        fields_.take(Result<void>(view.error(
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
      const auto found = fields_.error()->sentence.find(quoted);
      if (later && found != std::string::npos) {
        fields_.reword(
            fmt::format("{}\"{}\" is defined {} in `let`, expected only names that stand above",
                        fields_.error()->sentence.substr(0, found), name,
                        name == at ? "right here" : "further down"));
      }
    }
  }

  void checks() {
    static constexpr std::array<Word<Check::Else>, 2> kElse = {
        {{"refused", Check::Else::refused}, {"crash", Check::Else::crash}}};
    static constexpr std::array<Word<Check::When>, 2> kWhen = {
        {{"build", Check::When::build}, {"load", Check::When::load}}};
    const auto section = root_.find("checks");
    for (const auto& item : section ? fields_.take(section->elements()) : std::vector<JsonView>()) {
      fields_.take(item.only_keys({"that", "else", "when", "say"}));
      Check check{.that = entries_.formula(item, "that"),
                  .otherwise = fields_.word(item, "else", kElse, Check::Else::refused),
                  .when = fields_.word(item, "when", kWhen, Check::When::build),
                  .phase = Phase::deployment,
                  .say = fields_.text(item, "say")};
      check.phase = contract_.phase_of(check.that);
      if (!fields_.error() && check.when == Check::When::build &&
          contract_.phase_of(check.that) == Phase::adapter) {
        fields_.take(
            Result<void>(item.error("a check at build time cannot use an adapter's symbols, "
                                    "expected \"when\": \"load\"")));
      }
      contract_.checks.push_back(std::move(check));
    }
  }

  void owns() {
    const auto section = fields_.required(root_, "owns");
    if (!section) {
      return;
    }
    fields_.take(section->only_keys({"q_heads", "kv_heads"}));
    const auto pair = [&](std::string_view key, Formula& first, Formula& count) {
      const auto member = fields_.required(*section, key);
      if (!member) {
        return;
      }
      if (!member->json().is_array() || member->json().size() != 2) {
        fields_.take(
            Result<void>(member->expected("a list of two formulas: first head, number of heads")));
        return;
      }
      first = entries_.formula(member->element(0));
      count = entries_.formula(member->element(1));
      for (const Formula* each : {&first, &count}) {
        if (!fields_.error() && contract_.phase_of(*each) == Phase::adapter) {
          fields_.take(
              Result<void>(member->error("the heads a rank owns cannot depend on an adapter")));
        }
      }
    };
    pair("q_heads", contract_.owns.first_q, contract_.owns.q_heads);
    pair("kv_heads", contract_.owns.first_kv, contract_.owns.kv_heads);
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
    if (const auto section = fields_.required(root_, "weight")) {
      fields_.take(section->only_keys({"order", "fused_by", "past_end", "copies"}));
      contract_.weight = {.order = fields_.word(*section, "order", kOrders, FusedOrder::blocks),
                          .fused_by = fields_.word(*section, "fused_by", kFusedBy, FusedBy::engine),
                          .past_end = fields_.word(*section, "past_end", kPastEnd, PastEnd::error),
                          .copies = entries_.copies(*section, CopySection::weight, {})};
    }
  }

  void lora_b() {
    static constexpr std::array<Word<Fit>, 2> kFit = {
        {{"exact", Fit::exact}, {"corner", Fit::corner}}};
    if (const auto section = fields_.required(root_, "lora_b")) {
      fields_.take(
          section->only_keys({"order", "fused_by", "buffers", "fit", "past_end", "copies"}));
      auto& b = contract_.lora_b;
      b.order = fields_.word(*section, "order", kOrders, FusedOrder::blocks);
      b.fused_by = fields_.word(*section, "fused_by", kFusedBy, FusedBy::engine);
      b.fit = fields_.word(*section, "fit", kFit, Fit::exact);
      b.past_end = fields_.word(*section, "past_end", kPastEnd, PastEnd::clip);
      b.buffers = entries_.buffers(*section);
      b.copies = entries_.copies(*section, CopySection::lora_b, b.buffers);
    }
  }

  void lora_a() {
    static constexpr std::array<Word<Gather>, 2> kGather = {
        {{"none", Gather::none}, {"tp", Gather::tp}}};
    if (const auto section = fields_.required(root_, "lora_a")) {
      fields_.take(section->only_keys({"buffers", "gather", "past_end", "copies"}));
      auto& a = contract_.lora_a;
      a.gather = fields_.word(*section, "gather", kGather, Gather::none);
      a.past_end = fields_.word(*section, "past_end", kPastEnd, PastEnd::clip);
      a.buffers = entries_.buffers(*section);
      a.copies = entries_.copies(*section, CopySection::lora_a, a.buffers);
    }
  }

  void kernel() {
    const auto section = fields_.required(root_, "kernel");
    for (const auto& item : section ? fields_.take(section->elements()) : std::vector<JsonView>()) {
      fields_.take(item.only_keys({"a", "a_at", "b", "b_at", "out", "rows", "depth", "for"}));
      const int scope = contract_.symbols.size();
      auto list = entries_.loops(item);
      contract_.kernel.push_back({.a = entries_.buffer_number(item, "a", contract_.lora_a.buffers),
                                  .b = entries_.buffer_number(item, "b", contract_.lora_b.buffers),
                                  .a_at = entries_.formula(item, "a_at"),
                                  .b_at = entries_.formula(item, "b_at"),
                                  .out = entries_.formula(item, "out"),
                                  .rows = entries_.formula(item, "rows"),
                                  .depth = entries_.formula(item, "depth"),
                                  .loops = std::move(list),
                                  .place = fields_.place(item)});
      contract_.symbols.shrink(scope);
      if (fields_.error()) {
        return;
      }
    }
    if (section && contract_.kernel.empty() && !fields_.error()) {
      fields_.take(Result<void>(section->expected("at least one kernel entry")));
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
    if (const auto section = fields_.required(root_, "pool")) {
      fields_.take(
          section->only_keys({"clear", "absent", "cut", "scale", "lookup", "evict", "base"}));
      contract_.pool = {.clear = fields_.word(*section, "clear", kClear, PoolClear::nothing),
                        .absent = fields_.word(*section, "absent", kAbsent, PoolAbsent::zero),
                        .cut = fields_.word(*section, "cut", kCut, PoolCut::copy),
                        .scale = fields_.word(*section, "scale", kScale, PoolScale::table),
                        .lookup = fields_.word(*section, "lookup", kLookup, PoolLookup::current),
                        .evict = fields_.word(*section, "evict", kEvict, PoolEvict::lru),
                        .base = fields_.word(*section, "base", kBase, PoolBase::none)};
    }
  }

  void view() {
    static constexpr std::array<Word<ViewGather>, 2> kGather = {
        {{"none", ViewGather::none}, {"all", ViewGather::all}}};
    if (const auto section = fields_.required(root_, "view")) {
      fields_.take(section->only_keys({"gather", "order"}));
      contract_.view = {.gather = fields_.word(*section, "gather", kGather, ViewGather::none),
                        .order = fields_.word(*section, "order", kOrders, FusedOrder::blocks)};
    }
  }

  void scaling() {
    if (const auto section = fields_.required(root_, "scaling")) {
      fields_.take(section->only_keys({"num", "den"}));
      contract_.scaling_numerator = entries_.formula(*section, "num");
      contract_.scaling_denominator = entries_.formula(*section, "den");
    }
  }

  const ContractDocument& document_;
  JsonView root_;
  Contract contract_;
  Fields fields_;
  EntryReader entries_;
};

}  // namespace

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

}  // namespace tplora
