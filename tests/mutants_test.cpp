#include <fmt/format.h>

#include "tests/support.hpp"
#include "verify/mutants/score.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

std::vector<std::string> rewritten(const std::string& text) {
  SymbolTable names;
  for (const char* name : {"a", "b"}) {
    names.add(name);
  }
  auto formula = Formula::parse(text, {"test"}, names);
  REQUIRE(formula);
  auto list = formula_mutants(*formula, names, {0, 1});
  for (const std::string& each : list) {
    CAPTURE(each);
    CHECK(Formula::parse(each, {"test"}, names));
  }
  return list;
}

bool has(const std::vector<std::string>& list, const char* text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

TEST_CASE("a formula is rewritten in every way that is easily written by mistake", "[mutants]") {
  const auto product = rewritten("a*b + 2");
  for (const char* text :
       {"(b*b) + 2", "(a*a) + 2", "(a + b) + 2", "(a*b) - 2", "(a*b)*2", "(a*b) + 3", "(a*b) + 1",
        "a*b", "2", "a + 2", "b + 2", "((a*b) + 2) + 1", "((a*b) + 2) - 1"}) {
    CAPTURE(text);
    CHECK(has(product, text));
  }
  CHECK_FALSE(has(product, "(a*b) + 2"));
  const auto choice = rewritten("a >= b ? a//b : a % b");
  for (const char* text : {"(a > b) ? (a//b) : (a % b)", "(a >= b) ? (a % b) : (a//b)", "a//b",
                           "a % b", "(a >= b) ? (a/b) : (a % b)", "(a >= b) ? (a//b) : (a//b)"}) {
    CAPTURE(text);
    CHECK(has(choice, text));
  }
}

TEST_CASE("a formula prints as text that parses back to the same tree", "[mutants]") {
  Contract contract = test::contract("sglang");
  for (const Formula* formula : formulas_of(contract)) {
    const auto name = [&](int number) { return contract.symbols.name(number); };
    const std::string text = Formula::print(formula->nodes(), formula->root(), name);
    const auto again = Formula::parse(text, {"test"}, contract.symbols);
    REQUIRE(again);
    CHECK(Formula::print(again->nodes(), again->root(), name) == text);
  }
}

TEST_CASE("no mutant in a sample of every engine survives", "[mutants]") {
  std::map<Fate, std::int64_t> fates;
  std::int64_t total = 0;
  for (const auto& name : test::contracts_in("engines")) {
    const MutantScore score =
        score_mutants(test::contract(name), {.max_heads = 6, .max_tp_size = 6, .every = 37});
    total += score.total();
    for (const auto& [fate, count] : score.fates) {
      fates[fate] += count;
    }
    for (const auto& named : score.named) {
      CAPTURE(name, named.place, named.what, named.reason);
      CHECK(named.fate != Fate::survived);
    }
  }
  CHECK(total > 400);
  // The sample says something: most are caught, by laws above all, and each other fate occurs.
  CHECK(fates[Fate::law] > total / 2);
  for (const Fate fate : {Fate::verdict, Fate::bad_contract, Fate::equivalent}) {
    CAPTURE(fate_name(fate));
    CHECK(fates[fate] > 0);
  }
}

TEST_CASE("findings on a mutant name the place that it changes", "[mutants]") {
  std::map<Named, std::int64_t> blames;
  std::int64_t total = 0;
  for (const auto& name : test::contracts_in("engines")) {
    const MutantScore score = score_mutants(
        test::contract(name), {.max_heads = 4, .max_tp_size = 4, .every = 41, .blame = true});
    for (const auto& [named, count] : score.blames) {
      blames[named] += count;
      total += count;
    }
  }
  INFO(fmt::format("{} mutants: first {}, equivalent {}, later {}, never {}", total,
                   blames[Named::first], blames[Named::equivalent], blames[Named::later],
                   blames[Named::never]));
  CHECK(total > 300);
  CHECK(10 * (blames[Named::first] + blames[Named::equivalent]) >= 9 * total);
  CHECK(100 * blames[Named::never] <= total);
  CHECK(10 * blames[Named::first] >= 8 * total);
}

TEST_CASE("a mutant nobody could notice is told as such, with what differs", "[mutants]") {
  const Contract contract = test::contract("vllm");
  const Judge judge(contract, 6, 6);
  Contract longer = contract;
  const SymbolTable& names = contract.symbols;
  longer.lora_a.buffers[0].rows = *Formula::parse("R + 1", {"test"}, names);
  index_formulas(longer);
  CHECK(judge.judge(longer).fate == Fate::spare);
  CHECK(judge.judge(longer).reason == "the length of a lora_a buffer");
  Contract same = contract;
  same.owns.first_q = *Formula::parse("h*t", {"test"}, names);
  index_formulas(same);
  CHECK(judge.judge(same).fate == Fate::equivalent);
  Contract refuses = contract;
  refuses.checks[0].that = *Formula::parse("H % T == 1", {"test"}, names);
  index_formulas(refuses);
  CHECK(judge.judge(refuses).fate == Fate::verdict);
}
