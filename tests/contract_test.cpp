#include <stdexcept>

#include "sim/contract/sites.hpp"
#include "sim/layout/proof_points.hpp"
#include "sim/layout/prover.hpp"
#include "tests/support.hpp"
#include "verify/explain/finding.hpp"

using namespace tplora;
using namespace tplora::core;
using test::TemporaryFolder;

namespace {

std::string error_of(const TemporaryFolder& folder, const std::string& text) {
  auto contract = read_contract(folder.write("case.json", text));
  REQUIRE_FALSE(contract);
  return contract.error().text();
}

std::string extending(const std::string& rest) {
  return R"({"extends": ")" + (test::configs().root / "engines/sglang.json").string() + "\", " +
         rest + "}";
}

}  // namespace

TEST_CASE("every contract of the repository compiles", "[contract]") {
  for (const char* kind : {"engines", "bugs"}) {
    const auto names = test::contracts_in(kind);
    CHECK_FALSE(names.empty());
    for (const auto& name : names) {
      CHECK(test::contract(name).name == name);
    }
  }
}

TEST_CASE("a bug is its engine with formulas replaced", "[contract]") {
  const Contract fixed = test::contract("sglang");
  const Contract bug = test::contract("sglang-24420");
  CHECK(bug.engine == fixed.engine);
  CHECK(bug.lora_b.buffers[0].rows.text() == "width/T");
  CHECK(bug.lora_b.buffers[0].rows.place().text().ends_with(
      "sglang-24420.json#/replace/~1lora_b~1buffers~1B"));
  CHECK(bug.kernel[2].out.text() == fixed.kernel[2].out.text());
  CHECK(bug.kernel[2].out.place().text().ends_with("sglang.json#/kernel/2/out"));
}

TEST_CASE("a formula's phase is that of its latest symbol", "[contract]") {
  const Contract contract = test::contract("sglang");
  CHECK(contract.phase_of(contract.owns.first_q) == Phase::tp_rank);
  CHECK(contract.phase_of(contract.kernel[0].depth) == Phase::adapter);
}

TEST_CASE("extends adds, removes and replaces, and says where each value was written",
          "[contract]") {
  const TemporaryFolder folder;
  const auto file = folder.write(
      "mine.json",
      extending(R"("add": {"/let/extra": "h + 1", "/kernel/-": {"a": "A", "a_at": "0", "b": "B",
                "b_at": "0", "out": "0", "rows": "extra", "depth": "r"}},
                "remove": ["/checks/3"], "view": {"gather": "all", "order": "per_group"})"));
  const auto contract = read_contract(file);
  REQUIRE(contract);
  CHECK(contract->kernel.size() == 4);
  CHECK(contract->checks.size() == 6);
  CHECK(contract->view.gather == ViewGather::all);
  CHECK(contract->kernel[3].rows.place().text() == file.string() + "#/add/~1kernel~1-/rows");
}

TEST_CASE("a bad contract is refused with one sentence that names file and pointer", "[contract]") {
  const TemporaryFolder folder;
  const auto has = [&](const std::string& text, const std::string& part) {
    const std::string error = error_of(folder, text);
    CAPTURE(error);
    CHECK(error.find(part) != std::string::npos);
    CHECK(error.find("case.json") != std::string::npos);
    CHECK(error.find('\n') == std::string::npos);
  };
  has("{", "not valid JSON");
  has("[]", "expected an object");
  has("{}", "\"format\" is missing");
  has(R"({"format": "tplora-contract/9"})", "expected \"tplora-contract/1\"");
  has(R"({"a": 1, "a": 2})", "stands twice");
  has(extending(R"("surprise": 1)"), "unknown key \"surprise\"");
  has(extending(R"("replace": {"/lora_b/bufers": 1})"), "has no /lora_b/bufers");
  has(extending(R"("add": {"/let/h": "1"})"), "stands in the extended contract already");
  has(extending(R"("remove": ["/nothing"])"), "has no /nothing");
  has(extending(R"("replace": {"let": 1})"), "not a JSON pointer");
  has(extending(R"("add": {"/kernel/1000000000": {}})"), "nothing can stand at");
  has(extending(R"("add": {"/nowhere/x": {}})"), "nothing can stand at");
  has(extending(R"("remove": ["/kernel/99999999999999999999"])"), "has no /kernel/9999");
  has(extending(R"("replace": {"/let/h": "H/"})"), "#/replace/~1let~1h: column 3: found the end");
  has(extending(R"("replace": {"/let/h": "Kv + 1"})"), "unknown name \"Kv\"");
  has(extending(R"("replace": {"/let/h": "n"})"),
      "#/replace/~1let~1h: column 1: \"n\" is defined "
      "further down in `let`");
  has(extending(R"("replace": {"/let/h": "h/T"})"), "\"h\" is defined right here in `let`");
  has(extending(R"("replace": {"/weight/copies": [{"src": "q", "from": "0", "rows": "1"},
                                                  {"src": "k", "from": "0", "rows": "1"}]})"),
      "#/replace/~1weight~1copies: no copy takes rows of v");
  has(extending(R"("replace": {"/lora_a/copies": [{"src": "k", "to": "A", "from": "0", "rows": "r"},
                                                  {"src": "v", "to": "A", "from": "0", "rows": "r"}]})"),
      "no copy takes rows of q, expected one with \"src\": \"q\" or \"shared\"");
  has(extending(R"("replace": {"/kernel/0/b": "C"})"), "no buffer is called \"C\"");
  has(extending(R"("replace": {"/lora_b/fit": "loose"})"), "expected one of \"exact\", \"corner\"");
  has(extending(R"("replace": {"/lora_b/buffers/B": "3*r"})"), "before any adapter is known");
  has(extending(R"("replace": {"/weight/copies/0/rows": "r"})"), "cannot depend on an adapter");
  has(extending(R"("replace": {"/weight/copies": []})"), "expected at least one copy");
  CHECK(error_of(folder, extending(R"("remove": ["/owns"])")).find("\"owns\" is missing") !=
        std::string::npos);
  has(R"({"extends": "nowhere"})", "no contract \"nowhere\"");
  has(R"({"extends": "case"})", "`extends` leads back to this file");
}

TEST_CASE("an extends cycle over two files is refused", "[contract]") {
  const TemporaryFolder folder;
  folder.write("one.json", R"({"extends": "two"})");
  const auto contract = read_contract(folder.write("two.json", R"({"extends": "one"})"));
  REQUIRE_FALSE(contract);
  CHECK(contract.error().text().find("leads back") != std::string::npos);
}

TEST_CASE("what the language and the contract state of their callers is ensured", "[contract]") {
  SymbolTable table = predefined_symbols();
  CHECK_THROWS_AS(table.add("H"), std::logic_error);
  CHECK_THROWS_AS(table.name(table.size()), std::logic_error);
  CHECK_THROWS_AS(table.shrink(table.size() + 1), std::logic_error);

  const auto formula = Formula::parse("H / KV", {"file.json", "/x"}, table);
  REQUIRE(formula);
  const std::vector<std::int64_t> enough = {0, 4, 2};
  CHECK_THROWS_AS(formula->explain(enough), std::logic_error);  // it has a value
  CHECK_THROWS_AS(formula->is_undefined(enough), std::logic_error);
  const std::vector<std::int64_t> few = {0, 4};
  CHECK_THROWS_AS(formula->evaluate_tree(few), std::logic_error);
  CHECK_THROWS_AS(formula->used_values(few), std::logic_error);
  CHECK_THROWS_AS(Formula().evaluate_tree(enough), std::logic_error);
  CHECK_THROWS_AS(Formula::print({}, 0, {}), std::logic_error);

  Contract contract = test::contract("sglang");
  CHECK_THROWS_AS(contract.place_of("weight"), std::logic_error);
  for (const WordSite& site : word_sites(contract)) {
    CHECK_THROWS_AS(site.put(contract, site.words.size()), std::logic_error);
  }
  for (const ListSite& site : list_sites(contract)) {
    CHECK_THROWS_AS(site.erase(contract, site.size), std::logic_error);
    CHECK_THROWS_AS(site.swap(contract, site.size - 1), std::logic_error);
  }
}

TEST_CASE("entries behind a removed one keep the places at which they were written", "[contract]") {
  const TemporaryFolder folder;
  const auto contract = read_contract(folder.write(
      "case.json", extending(R"("replace": {"/checks/3/say": "mine"}, "remove": ["/checks/0"])")));
  REQUIRE(contract);
  const auto healthy = test::contract("sglang");
  REQUIRE(contract->checks.size() + 1 == healthy.checks.size());
  for (std::size_t i = 0; i < contract->checks.size(); ++i) {
    CHECK(contract->checks[i].that.text() == healthy.checks[i + 1].that.text());
    CHECK(contract->checks[i].that.place() == healthy.checks[i + 1].that.place());
  }
}

TEST_CASE("a section written anew is no longer the extended contract's, entry by entry",
          "[contract]") {
  const TemporaryFolder folder;
  folder.write("middle.json", extending(R"("replace": {"/scaling/num": "2*alpha"})"));
  const auto contract = read_contract(folder.write(
      "case.json", R"({"extends": "middle", "scaling": {"num": "alpha", "den": "r"}})"));
  REQUIRE(contract);
  CHECK(contract->scaling_numerator.place().text().ends_with("case.json#/scaling/num"));
  CHECK(contract->scaling_denominator.place().text().ends_with("case.json#/scaling/den"));
}

TEST_CASE("a contract of the user's own extends one of the configs folder by name", "[contract]") {
  const TemporaryFolder folder;
  const auto file = folder.write("mine.json", R"({"extends": "sglang-24420"})");
  CHECK_FALSE(read_contract(file));
  const auto contract = read_contract(file, test::configs().root);
  REQUIRE(contract);
  CHECK(contract->extends == std::vector<std::string>{"sglang-24420", "sglang"});
  const auto unknown =
      read_contract(folder.write("other.json", R"({"extends": "nobody"})"), test::configs().root);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().text().find(test::configs().root.string()) != std::string::npos);
}

namespace {

/// What a contract's own mistake comes out as at H = 4, KV = 2, tp 2.
Error bad_plan(const TemporaryFolder& folder, const std::string& rest) {
  const auto contract = read_contract(folder.write("case.json", extending(rest)));
  if (!contract) {
    FAIL(contract.error().text());
  }
  const LayoutCase input = proof_case(*contract, {.H = 4,
                                                  .KV = 2,
                                                  .D = 2,
                                                  .Dv = 2,
                                                  .gate = 1,
                                                  .tp_size = 2,
                                                  .lora_rank = 3,
                                                  .max_lora_rank = 4});
  const Analysis analysis = Analyser().run(*contract, input);
  return analysis.bad_contract.value_or(Error{"no mistake found", ""});
}

}  // namespace

TEST_CASE(
    "a contract that counts below zero or writes a column twice is bad, not an engine's "
    "refusal",
    "[contract]") {
  const TemporaryFolder folder;
  Error bad = bad_plan(folder, R"("replace": {"/lora_b/copies/1/rows": "n*D - 9"})");
  CHECK(bad.sentence.find("a copy of -7 rows") != std::string::npos);
  CHECK(bad.place.find("#/lora_b/copies/1") != std::string::npos);
  bad = bad_plan(folder, R"("replace": {"/kernel/2/depth": "r - 9"})");
  CHECK(bad.sentence.find("depth -5, expected counts from 0 on") != std::string::npos);
  CHECK(bad.place.find("#/kernel/2") != std::string::npos);
  bad = bad_plan(folder, R"("add": {"/weight/copies/1/at": "0"})");
  CHECK(bad.sentence.find("output columns from 0 on are written twice") != std::string::npos);
  CHECK(bad.place.find("#/weight/copies/1") != std::string::npos);
  bad = bad_plan(folder, R"("replace": {"/let/n": "KV // (T - 2) + 0"})");
  CHECK(bad.sentence.find("is divided by zero") != std::string::npos);
  CHECK(bad.place == (folder.path() / "case.json").string() + "#/replace/~1let~1n");
}

TEST_CASE("two kernel entries on one column, and a view that never covers, name their formula",
          "[contract]") {
  const TemporaryFolder folder;
  const auto blames = [&](const std::string& rest, const std::string& place, Law law) {
    const auto contract = read_contract(folder.write("case.json", extending(rest)));
    REQUIRE(contract);
    const LayoutCase input = proof_case(*contract, {.H = 4,
                                                    .KV = 2,
                                                    .D = 2,
                                                    .Dv = 2,
                                                    .gate = 1,
                                                    .tp_size = 2,
                                                    .lora_rank = 4,
                                                    .max_lora_rank = 4});
    const Analysis analysis = Analyser().run(*contract, input);
    CHECK(analysis.verdict == Verdict::silent);
    const auto findings = explain(*contract, input, analysis, {"a", "b", "z"});
    return std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
      return finding.law == law && finding.cause_place.text().find(place) != std::string::npos;
    });
  };
  CHECK(blames(R"("replace": {"/kernel/2/out": "h*gate*D"})", "case.json#/replace/~1kernel~12~1out",
               Law::identity));
  CHECK(blames(R"("replace": {"/owns/kv_heads/1": "0"})", "#/replace/~1owns~1kv_heads~11",
               Law::cover));
}
