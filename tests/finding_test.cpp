// What findings say of contracts with one known fault.
#include "verify/explain/finding.hpp"

#include <fmt/format.h>

#include <set>

#include "tests/support.hpp"
#include "verify/explain/story.hpp"
#include "verify/report/finding_text.hpp"

using namespace tplora;
using namespace tplora::core;
using test::geometry;

namespace {

Contract edited(const std::string& engine, const std::string& edits) {
  const test::TemporaryFolder folder;
  auto contract = read_contract(folder.write(
      "edited.json",
      fmt::format(R"({{"extends": "{}", {}}})",
                  (test::configs().root / ("engines/" + engine + ".json")).string(), edits)));
  if (!contract) {
    FAIL(contract.error().text());
  }
  return *contract;
}

/// Dummy query heads at the end of each KV group, whose first KV head is `first_kv`.
Contract padded(const std::string& first_kv) {
  return edited("vllm", fmt::format(R"json("let": {{"n": "T >= KV ? 1 : KV/T",
    "rep": "T >= KV ? T/KV : 1", "g0": "t//rep*n", "G": "H/KV", "P": "ceil_div(G, rep)",
    "i": "t % rep", "h0": "g0*G + min(i*P, G)", "h": "rep == 1 ? n*G : min(P, G - min(i*P, G))"}},
    "checks": [{{"that": "r <= R", "else": "refused", "when": "load", "say": "rank"}}],
    "owns": {{"q_heads": ["h0", "h"], "kv_heads": ["{}", "n"]}},
    "replace": {{"/weight/copies/0/from": "h0*gate*D", "/lora_b/copies/0/from": "h0*gate*D"}})json",
                                    first_kv));
}

/// One adapter of full rank in slot 0.
LayoutCase one_adapter(const QkvGeometry& geometry, std::int64_t tp_size) {
  return {.geometry = geometry,
          .deployment = {.tp_size = tp_size, .max_lora_rank = 4, .slots = 2},
          .adapters = {{.lora_rank = 4, .lora_alpha = 4}},
          .steps = {{PoolStep::Kind::load, 0, 0}}};
}

struct Checked {
  Verdict verdict;
  std::vector<Finding> findings;
};

Checked check(const Contract& contract, const LayoutCase& input) {
  Analyser analyser;
  const Analysis& analysis = analyser.run(contract, input);
  return {analysis.verdict, explain(contract, input, analysis, {"a"})};
}

/// The places blamed, each by the end of its name.
std::set<std::string> blamed(const Checked& checked) {
  std::set<std::string> places;
  for (const Finding& finding : checked.findings) {
    places.insert("#" + finding.cause_place.pointer);
  }
  return places;
}

}  // namespace

// With H/KV = 6 query heads on four ranks, the last of each group is left without any.
TEST_CASE("a rank without query heads owes nothing", "[finding]") {
  const Checked checked = check(padded("g0"), one_adapter(geometry({12, 2, 1}), 8));
  CHECK(checked.verdict == Verdict::consistent);
  CHECK(checked.findings.empty());
  // The same layout with one KV head too far on the ranks that do have query heads.
  const Checked told = check(padded("1 - g0"), one_adapter(geometry({12, 2, 1}), 8));
  CHECK(told.verdict == Verdict::silent);
  REQUIRE_FALSE(told.findings.empty());
  for (const Finding& finding : told.findings) {
    CHECK(finding.tp_rank % 4 < 3);  // ranks 3 and 7 have no query head
  }
}

TEST_CASE("columns behind the output row are no rows of a part", "[finding]") {
  const Contract over =
      edited("sglang", R"("replace": {"/kernel/0/out": "h*gate*D + n*D + n*Dv"})");
  const Checked checked = check(over, one_adapter(geometry({8, 2, 16}), 2));
  CHECK(checked.verdict == Verdict::silent);
  bool told = false;
  for (const Finding& finding : checked.findings) {
    CHECK(finding.part != Part::v);
    if (finding.law == Law::bounds) {
      told = true;
      CHECK_FALSE(finding.part);
      CHECK_FALSE(finding.rows);
      CHECK(finding.columns == Range{96, 159});  // 4*16 + 16 + 16 columns are the rank's own
      CHECK(found_text(finding) == "a delta behind the end of the output row");
      CHECK(finding.cause_place.pointer.find("kernel~10~1out") != std::string::npos);
    }
  }
  CHECK(told);
}

TEST_CASE("what is behind the last violation that is looked at is told as such", "[finding]") {
  const Contract wrong = edited("sglang", R"("replace": {"/kernel/2/a_at": "3*r"})");
  const LayoutCase input = one_adapter(geometry({8, 2, 16}), 2);
  Analysis analysis = Analyser().run(wrong, input);
  REQUIRE_FALSE(analysis.violations.empty());
  analysis.violations.resize(kMaxViolations, analysis.violations.back());
  const auto findings = explain(wrong, input, analysis, {"a"});
  REQUIRE(findings.size() == kMaxViolations + 1);
  CHECK(cause_text(findings.back()) ==
        "laws are broken at 262144 places and more, which are not looked at");
  CHECK_FALSE(findings.back().violation);
  CHECK(message(findings.back()).find("and more") != std::string::npos);
}

TEST_CASE("ranks whose figures differ are not told in one sentence", "[finding]") {
  // A slice that is longer by the rank's number: each rank has its own figure.
  const Contract wrong =
      edited("sglang", R"("replace": {"/lora_b/copies/0/rows": "h*gate*D + t"})");
  const Checked checked = check(wrong, one_adapter(geometry({8, 4, 16}), 4));
  REQUIRE(checked.verdict == Verdict::crash);
  std::size_t ranks = 0;
  for (const FindingGroup& group : group_findings(checked.findings)) {
    for (const Story& story : group.stories) {
      ranks += story.ranks.size();
      CHECK(story.ranks.size() == 1);
      const std::int64_t rows = 64 + story.ranks[0];
      CHECK(cause_text(story.first).find(fmt::format("the slice has {}", rows)) !=
            std::string::npos);
    }
  }
  CHECK(ranks == 3);
}

TEST_CASE("rows that no column holds are the rank's own", "[finding]") {
  const Contract narrow =
      edited("sglang", R"("replace": {"/weight/copies/0/rows": "h*gate*D - 4"})");
  const Checked checked = check(narrow, one_adapter(geometry({8, 2, 16}), 2));
  CHECK(checked.verdict == Verdict::silent);
  bool told = false;
  for (const Finding& finding : checked.findings) {
    // Four columns too few: the last four rows of v have none.
    if (finding.law == Law::cover && finding.tp_rank == 1 && finding.columns &&
        finding.columns->first == 92) {
      told = true;
      CHECK(finding.part == Part::v);
      CHECK(finding.heads == Range{1, 1});
      CHECK(finding.rows == Range{28, 31});
    }
  }
  CHECK(told);
}

TEST_CASE("a short slice is blamed on the formula that the derived contract changed", "[finding]") {
  const Contract wrong = edited("sglang", R"("replace": {"/let/K": "n*D*T"})");
  const Checked checked = check(wrong, one_adapter(geometry({8, 2, 16}), 4));
  CHECK(checked.verdict == Verdict::crash);
  CHECK(blamed(checked) == std::set<std::string>{"#/replace/~1let~1K"});
}

TEST_CASE("words of a contract are causes like formulas", "[finding]") {
  const auto places = [](const std::string& engine, const std::string& pointer,
                         const std::string& word, QkvGeometry g, std::int64_t tp_size) {
    const Contract wrong =
        edited(engine, fmt::format(R"("replace": {{"{}": "{}"}})", pointer, word));
    LayoutCase input = one_adapter(g, tp_size);
    input.adapters[0].shared_a = wrong.takes_fused_adapters();
    const Checked checked = check(wrong, input);
    CHECK(checked.verdict != Verdict::consistent);
    return blamed(checked);
  };
  CHECK(places("vllm_fully_sharded", "/lora_a/gather", "none", geometry({8, 2, 16}), 2) ==
        std::set<std::string>{"#/replace/~1lora_a~1gather"});
  CHECK(places("hf_tp_peft", "/view/order", "per_group", geometry({8, 4, 16}), 2) ==
        std::set<std::string>{"#/replace/~1view~1order"});
  QkvGeometry grouped = geometry({8, 2, 16});
  grouped.fused_order = RowOrder::per_group;
  CHECK(places("megatron_bridge", "/lora_b/order", "blocks", grouped, 2) ==
        std::set<std::string>{"#/replace/~1lora_b~1order"});
}

TEST_CASE("a word of the pool is blamed for what an earlier tenant left", "[finding]") {
  const Contract wrong = edited("sglang", R"("replace": {"/pool/absent": "keep"})");
  LayoutCase input = one_adapter(geometry({8, 2, 16}), 2);
  input.adapters = {{.lora_rank = 4, .lora_alpha = 4, .targets = {true, false, true}},
                    {.lora_rank = 4, .lora_alpha = 4}};
  input.steps = {
      {PoolStep::Kind::load, 1, 0}, {PoolStep::Kind::evict, 1, 0}, {PoolStep::Kind::load, 0, 0}};
  Analyser analyser;
  const Analysis& analysis = analyser.run(wrong, input);
  REQUIRE(analysis.verdict == Verdict::silent);
  const Checked checked{analysis.verdict, explain(wrong, input, analysis, {"a", "z"})};
  CHECK(blamed(checked) == std::set<std::string>{"#/replace/~1pool~1absent"});
}

TEST_CASE("base weight and adapter are each judged against the model", "[finding]") {
  // The base weight takes another KV head than the rank owns; the adapter is right.
  const Contract wrong = edited("vllm", R"("replace": {
    "/weight/copies/1/from": "(T >= KV ? t % KV : g0)*D",
    "/weight/copies/2/from": "(T >= KV ? t % KV : g0)*Dv"})");
  const Checked checked = check(wrong, one_adapter(geometry({8, 2, 16}), 4));
  CHECK(checked.verdict == Verdict::silent);
  CHECK(blamed(checked) == std::set<std::string>{"#/replace/~1weight~1copies~11~1from",
                                                 "#/replace/~1weight~1copies~12~1from"});
  for (const Finding& finding : checked.findings) {
    CHECK_FALSE(finding.delta);
  }
  const auto first = std::find_if(checked.findings.begin(), checked.findings.end(),
                                  [](const Finding& one) { return one.law == Law::cover; });
  REQUIRE(first != checked.findings.end());
  CHECK(expected_text(*first) == "k rows 0-15 (head 0) of the base weight");
  CHECK(found_text(*first) == "k rows 16-31 (head 1) of the base weight");
}

TEST_CASE("two formulas that are wrong together are named together", "[finding]") {
  const Contract bug = test::contract("sglang-24420");
  const Checked checked = check(bug, one_adapter(geometry({16, 2, 256, 0, 2}), 4));
  CHECK(checked.verdict == Verdict::silent);
  CHECK(blamed(checked) == std::set<std::string>{"#/replace/~1let~1K"});
  for (const Finding& finding : checked.findings) {
    CHECK(finding.together_with->text().ends_with("#/replace/~1lora_b~1buffers~1B"));
  }
}

TEST_CASE("A rows stand beside A rows, and the copy that left the hole is blamed", "[finding]") {
  const Contract wrong = edited("vllm_fully_sharded", R"json("replace": {
    "/lora_a/copies/0/from": "t*(r/T)", "/lora_a/copies/0/rows": "r/T"})json");
  LayoutCase input = one_adapter(geometry({2, 2, 1}), 2);
  input.adapters[0].lora_rank = input.adapters[0].lora_alpha = 2;
  const Checked checked = check(wrong, input);
  CHECK(checked.verdict == Verdict::silent);
  REQUIRE_FALSE(checked.findings.empty());
  const Finding& first = checked.findings.front();
  CHECK(found_text(first) == "zeros in slot 0");
  CHECK(expected_text(first) == "adapter a's A row 1");
  CHECK(first.cause_place.text().ends_with("#/replace/~1lora_a~1copies~10~1rows"));
}

TEST_CASE("a read past the slot is law bounds in A as in B", "[finding]") {
  LayoutCase input = one_adapter(geometry({8, 2, 16}), 2);
  input.adapters.push_back(input.adapters.front());
  input.steps.push_back({PoolStep::Kind::load, 1, 1});
  for (const char* edit : {R"("replace": {"/kernel/2/a_at": "3*r"})",
                           R"("replace": {"/kernel/2/b_at": "(h*gate + 2*n)*D"})"}) {
    const Contract wrong = edited("sglang", edit);
    Analyser analyser;
    const Analysis& analysis = analyser.run(wrong, input);
    const auto findings = explain(wrong, input, analysis, {"a", "b"});
    REQUIRE_FALSE(findings.empty());
    for (const Finding& finding : findings) {
      CHECK(finding.law == Law::bounds);
    }
    CHECK(found_text(findings.front()).find("of slot 1, read past the end of slot 0") !=
          std::string::npos);
  }
}

TEST_CASE("each rank's scaling and each head's owners are told with their own figures",
          "[finding]") {
  const auto stories = [](const Contract& contract, std::int64_t tp_size) {
    std::vector<Story> all;
    const Checked checked = check(contract, one_adapter(geometry({8, 2, 16}), tp_size));
    for (const FindingGroup& group : group_findings(checked.findings)) {
      all.insert(all.end(), group.stories.begin(), group.stories.end());
    }
    return all;
  };
  int scaled = 0;
  for (const Story& story :
       stories(edited("vllm", R"("replace": {"/scaling/num": "alpha*t"})"), 4)) {
    if (story.first.law == Law::scaling) {
      ++scaled;
      REQUIRE(story.ranks.size() == 1);
      CHECK(cause_text(story.first).find(fmt::format("alpha*t = {}", 4 * story.ranks[0])) !=
            std::string::npos);
    }
  }
  CHECK(scaled == 3);  // rank 1 is right
  std::set<std::vector<std::int64_t>> heads;
  for (const Story& story :
       stories(edited("sglang", R"("replace": {"/owns/kv_heads/0": "0"})"), 2)) {
    if (story.first.violation && std::holds_alternative<WrongOwners>(*story.first.violation)) {
      heads.insert(story.heads);
    }
  }
  CHECK(heads == std::set<std::vector<std::int64_t>>{{0}, {1}});  // two owners, and none
}

// Formulas that divide exactly, or not at all, hide the value that a let should have.
TEST_CASE("a let that a derived contract changed is blamed at every tp_size", "[finding]") {
  struct Edit {
    const char* let;
    const char* text;
  };
  for (const auto& [let, text] :
       {Edit{"width", "(H*gate + KV)*D"}, Edit{"width", "(H*gate + 2*KV)*D//2"},
        Edit{"width", "(H*gate + 2*KV)*D - 1"}, Edit{"rep", "T >= KV ? 2*T/KV : 1"},
        Edit{"rep", "1"}, Edit{"g0", "t*n"}, Edit{"n", "T >= KV ? 2 : KV/T"}}) {
    const Contract wrong =
        edited("sglang", fmt::format(R"("replace": {{"/let/{}": "{}"}})", let, text));
    for (const std::int64_t tp_size : {2, 4, 8}) {
      CAPTURE(let, text, tp_size);
      const Checked checked = check(wrong, one_adapter(geometry({8, 2, 16}), tp_size));
      if (checked.verdict != Verdict::consistent) {
        CHECK(blamed(checked) == std::set<std::string>{fmt::format("#/replace/~1let~1{}", let)});
      }
    }
  }
}

// Ranks that may own unequal numbers of heads: what one of them owns follows from the others.
TEST_CASE("a let that deals heads out wrongly is blamed, all else in the same file", "[finding]") {
  struct Edit {
    const char* engine;
    const char* let;
    const char* text;
    std::int64_t kv_heads, tp_size;
  };
  for (const Edit& edit : {
           Edit{"uneven_ranks", "n", "1", 4, 3},
           Edit{"uneven_ranks", "n", "ceil_div(KV, T)", 4, 3},
           Edit{"uneven_ranks", "rep", "T >= KV ? T/KV + 1 : 1", 2, 6},
           Edit{"uneven_ranks", "rep", "T >= KV ? ceil_div((g0 + 1)*T, KV) : 1", 2, 3},
           Edit{"uneven_ranks", "h", "T >= KV ? (i + 1)*G//rep - before : n*n", 4, 3},
           Edit{"uneven_ranks", "before", "0", 2, 6},
           Edit{"uneven_ranks", "g0", "KV//T", 8, 3},  // no t: one number for all ranks
           Edit{"padded_heads", "before", "rep == 1 ? 0 : min(G, t % rep)", 2, 6},
           Edit{"padded_heads", "h", "share", 1, 3},
           Edit{"llama_cpp", "n", "KV//T", 8, 3},
       }) {
    const Contract right = test::contract(edit.engine);
    Contract wrong = right;
    wrong.extends.clear();
    auto let = std::find_if(wrong.lets.begin(), wrong.lets.end(), [&](const Let& one) {
      return wrong.symbols.name(one.symbol) == edit.let;
    });
    REQUIRE(let != wrong.lets.end());
    const Place place = let->formula.place();
    let->formula = *Formula::parse(edit.text, place, wrong.symbols);
    index_formulas(wrong);
    const LayoutCase input = one_adapter(geometry({8, edit.kv_heads, 3}), edit.tp_size);
    CAPTURE(edit.engine, edit.let, edit.text);
    CHECK(check(right, input).verdict == Verdict::consistent);
    const Checked checked = check(wrong, input);
    CHECK(checked.verdict != Verdict::consistent);
    REQUIRE(!checked.findings.empty());
    const Finding& first = checked.findings.front();
    const bool named = first.cause_place == place ||
                       std::any_of(first.other_places.begin(), first.other_places.end(),
                                   [&](const Place& other) { return other == place; });
    CAPTURE(first.cause_place.text());
    CHECK(named);
  }
}

TEST_CASE("what a check refuses is blamed on nothing else", "[finding]") {
  const Contract contract = edited("sglang", R"("remove": [])");
  const Checked checked = check(contract, one_adapter(geometry({8, 2, 16}), 3));
  CHECK(checked.verdict == Verdict::refused);
  CHECK(blamed(checked) == std::set<std::string>{"#/checks/0/that"});
}

TEST_CASE("replicas that disagree are told as a consequence of the wrong one", "[finding]") {
  const auto bug = load_contract("sglang-24420", test::configs().root);
  REQUIRE(bug);
  LayoutCase input = one_adapter(geometry({8, 2, 16}), 4);
  input.adapters.push_back(input.adapters.front());
  input.steps.push_back({PoolStep::Kind::load, 1, 1});
  Analyser analyser;
  const Analysis& analysis = analyser.run(*bug, input);
  const Checked checked{analysis.verdict, explain(*bug, input, analysis, {"a", "b"})};
  CHECK(checked.verdict == Verdict::silent);
  std::set<bool> consequence;
  for (const Finding& finding : checked.findings) {
    CHECK(finding.consequence == (finding.law == Law::agreement));
    CHECK((message(finding).find("law agreement, in consequence") != std::string::npos) ==
          finding.consequence);
    consequence.insert(finding.consequence);
  }
  CHECK(consequence == std::set{false, true});
}

TEST_CASE("a kernel with a stride of its own is told by it", "[finding]") {
  const Contract wrong = edited("sglang", R"("add": {"/kernel/1/b_stride": "r"})");
  LayoutCase input = one_adapter(geometry({8, 2, 16}), 2);
  CHECK(check(wrong, input).verdict == Verdict::consistent);  // lora_rank is max_lora_rank
  input.adapters[0].lora_rank = 2;
  const Checked checked = check(wrong, input);
  CHECK(checked.verdict == Verdict::silent);
  REQUIRE_FALSE(checked.findings.empty());
  for (const Finding& finding : checked.findings) {
    CHECK(finding.part == Part::k);
    CHECK(finding.cause_place.text().ends_with("#/add/~1kernel~11~1b_stride"));
  }
  // k begins at row 64 of the buffer, where a stride of 2 of 4 elements reaches row 32 of q.
  CHECK(found_text(checked.findings.front()) ==
        "rows of B read 2 elements apart, from adapter a's q row 32 (head 2) in slot 0 on");
  CHECK(expected_text(checked.findings.front()) ==
        "adapter a's k row 0 (head 0), 4 elements apart");
}

TEST_CASE("what a file changes is wrong where the contract that it extends is right", "[finding]") {
  // Right only all three together: a repair of one, or of two, still does not fit.
  const Contract wrong = edited("sglang", R"json("replace": {
    "/lora_b/copies/0/rows": "h*gate*D - 1", "/lora_b/copies/1/rows": "n*D - 1",
    "/lora_b/copies/2/rows": "n*Dv - 1"})json");
  const Checked crash = check(wrong, one_adapter(geometry({8, 4, 4}), 2));
  CHECK(crash.verdict == Verdict::crash);
  REQUIRE_FALSE(crash.findings.empty());
  for (const Finding& finding : crash.findings) {
    CHECK(finding.cause_place.file == wrong.file);
    CHECK(finding.cause_place.pointer.empty());
    CHECK_THAT(cause_text(finding),
               Catch::Matchers::Contains("sglang, which it extends, is right"));
  }
}

TEST_CASE("a base that is silently wrong by itself hides no crash", "[finding]") {
  const test::TemporaryFolder folder;
  folder.write("silent.json",
               fmt::format(R"json({{"extends": "{}", "replace": {{"/let/g0": "t"}}}})json",
                           (test::configs().root / "engines/vllm.json").string()));
  const auto wrong = read_contract(folder.write("crash.json", R"json({"extends": "silent",
    "replace": {"/lora_b/buffers/Bq": "h*gate*D - 1"}})json"));
  REQUIRE(wrong);
  REQUIRE(wrong->base() != nullptr);
  const LayoutCase input = one_adapter(geometry({8, 4, 4}), 2);
  CHECK(check(*wrong->base(), input).verdict == Verdict::silent);
  const Checked crash = check(*wrong, input);
  CHECK(crash.verdict == Verdict::crash);
  for (const Finding& finding : crash.findings) {
    CHECK(finding.cause_place.file.ends_with("crash.json"));
    CHECK(finding.cause_place.pointer == "/replace/~1lora_b~1buffers~1Bq");
  }
}

TEST_CASE("two formulas exchanged in one file are named together", "[finding]") {
  Contract wrong = test::contract("vllm");
  const Formula first = wrong.kernel[0].out;
  const Formula second = wrong.kernel[1].out;
  wrong.kernel[0].out = *Formula::parse(second.text(), first.place(), wrong.symbols);
  wrong.kernel[1].out = *Formula::parse(first.text(), second.place(), wrong.symbols);
  index_formulas(wrong);
  const Checked checked = check(wrong, one_adapter(geometry({8, 4, 4}), 2));
  CHECK(checked.verdict == Verdict::silent);
  CHECK(blamed(checked) == std::set<std::string>{"#/kernel/0/out"});
  for (const Finding& finding : checked.findings) {
    CHECK(finding.together_with->pointer == "/kernel/1/out");
  }
}

TEST_CASE("of replicas that disagree the wrong one is told", "[finding]") {
  const Contract wrong = edited("vllm", R"json("replace": {
    "/lora_b/copies/1/from": "tp_rank == 0 ? (KV - 1)*D : g0*D"})json");
  const Checked checked = check(wrong, one_adapter(geometry({8, 2, 4}), 4));
  std::int64_t told = 0;
  for (const Finding& finding : checked.findings) {
    CHECK(finding.tp_rank == 0);
    told += finding.law == Law::agreement ? 1 : 0;
  }
  CHECK(told == 1);
}
