// An adapter as PEFT means it, and what engines make of its config.
#include <fmt/format.h>

#include <random>

#include "tests/brute_force.hpp"
#include "tests/case_support.hpp"
#include "verify/case/case_values.hpp"
#include "verify/report/finding_text.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

using test::edited;

CaseOutcome run(const std::string& engine, const std::string& adapters) {
  const char* second = adapters.find(",b:") == std::string::npos ? "a" : "b";
  return test::run(
      fmt::format("model=H=4,KV=2,D=4,hidden=16 engine={} tp=2 R=8 adapters={} tokens=a,{},a,-",
                  engine, adapters, second));
}

/// The verdict, which the numbers bear out.
Verdict verdict(const std::string& engine, const std::string& adapters) {
  using State = NumericOutcome::State;
  const CaseOutcome outcome = run(engine, adapters);
  CAPTURE(engine, adapters);
  CHECK((outcome.numbers.state == State::different) == (outcome.verdict == Verdict::silent));
  CHECK((outcome.numbers.state == State::equal) == (outcome.verdict == Verdict::consistent));
  return outcome.verdict;
}

std::string told(const CaseOutcome& outcome) {
  std::string text;
  for (const Finding& finding : outcome.findings) {
    text += message(finding) + "\n";
  }
  return text;
}

bool says(const std::string& text, const std::string& part) {
  CAPTURE(text, part);
  return text.find(part) != std::string::npos;
}

std::string error_of(const std::string& adapters) {
  const auto parsed = parse_adapters(adapters);
  return parsed ? "" : parsed.error().sentence;
}

/// A contract that scales as PEFT does.
constexpr const char* kPeft = R"("scaling": {"num": "part_alpha", "den": "rslora ? 1 : part_r",
                                             "root": "rslora ? part_r : 1"})";

}  // namespace

TEST_CASE("an adapter's config is read and printed", "[peft]") {
  for (const char* text :
       {"a:r16:alpha32:qkv", "a:r16:alpha22.5:qkv", "a:r16:alpha0.000001:q",
        "a:r16:alpha32:qkv:rslora", "a:r16:alpha32:fused:rslora", "a:r8:alpha16:none:rslora",
        "a:r16:alpha32:qkv:q_r8:k_alpha0.25:v_r4:v_alpha64:v_rows12",
        "a:r16:alpha32.125:qkv:rslora:q_alpha3,b:r2:alpha1048576:kv:k_rows64"}) {
    const auto parsed = parse_adapters(text);
    if (!parsed) {
      FAIL(parsed.error().text());
    }
    CHECK(print_adapters(*parsed) == text);
  }
  const auto parsed = parse_adapters("a:r16:alpha22.5:qkv:k_r4:k_alpha0.25");
  REQUIRE(parsed);
  const AdapterSpec& a = parsed->front();
  CHECK(a.alpha_unit == 100);
  CHECK(a.lora_alpha == 2250);
  CHECK(a.rank_of(Part::k) == 4);
  CHECK(a.rank_of(Part::v) == 16);
  CHECK(a.scaling(Part::q) == 22.5F / 16);
  CHECK(a.scaling(Part::k) == 0.0625F);
}

TEST_CASE("what an adapter's config cannot say is refused by name", "[peft]") {
  CHECK(says(error_of("a:r16:alpha32:qkv:dora"),
             "adapter a: found \"dora\", expected a plain or rsLoRA adapter: a DoRA adapter"));
  CHECK(says(error_of("a:r16:alpha32:qkv:lora_bias"), "found \"lora_bias\""));
  CHECK(says(error_of("a:r16:alpha32:qkv:fan_in_fan_out"), "found \"fan_in_fan_out\""));
  for (const char* wrong :
       {"a:r16:alpha32:qkv:rslora:rslora", "a:r16:alpha32:qkv:q_r8:rslora",
        "a:r16:alpha32:qkv:k_r8:q_r8", "a:r16:alpha32:qkv:q_r8:q_r8", "a:r16:alpha32:qv:k_r8",
        "a:r16:alpha32:fused:q_r8", "a:r16:alpha32:qkv:", "a:r16:alpha32:qkv:q_"}) {
    CAPTURE(wrong);
    CHECK(says(error_of(wrong), "expected rslora, then"));
  }
  for (const char* alpha :
       {"0", "0.0", "1.50", "1.", ".5", "1.1234567", "-1", "1048577", "1e3", "01", "1.-5"}) {
    CAPTURE(alpha);
    CHECK(says(error_of(fmt::format("a:r16:alpha{}:q", alpha)), "expected a decimal number above"));
    CHECK(says(error_of(fmt::format("a:r16:alpha1:q:q_alpha{}", alpha)), "q_alpha of a="));
  }
  CHECK(says(error_of("a:r16:alpha1:q:q_r0"), "q_r of a=0"));
  CHECK(says(error_of("a:r16:alpha1:q:q_rows0"), "q_rows of a=0"));
}

TEST_CASE("an engine that ignores use_rslora scales its delta wrongly", "[peft]") {
  const test::TemporaryFolder folder;
  const std::string adapters = "a:r4:alpha8:qkv:rslora,b:r4:alpha8:qkv";
  const CaseOutcome outcome = run("sglang", adapters);
  CHECK(outcome.verdict == Verdict::silent);
  CHECK(outcome.numbers.state == NumericOutcome::State::different);
  CHECK(says(told(outcome),
             "adapter a is scaled by (alpha = 8) / (r = 4), expected alpha / sqrt(lora_rank) = 8 / "
             "sqrt(4)"));
  CHECK_FALSE(told(outcome).find("adapter b") != std::string::npos);
  CHECK(verdict("sglang", "a:r4:alpha8:qkv") == Verdict::consistent);
  CHECK(verdict(edited(folder, "sglang", kPeft), adapters) == Verdict::consistent);
  // The square root of 2 is no quotient of two integers.
  CHECK(verdict(edited(folder, "sglang", kPeft), "a:r2:alpha3:qkv:rslora") == Verdict::consistent);
  // Where it is one, it may be written as one.
  CHECK(verdict(edited(folder, "sglang", R"("replace": {"/scaling/den": "2"})"), adapters) ==
        Verdict::silent);  // b's is not
  CHECK(verdict(edited(folder, "sglang", R"("replace": {"/scaling/den": "2"})"),
                "a:r4:alpha8:qkv:rslora") == Verdict::consistent);
}

TEST_CASE("an ignored use_rslora is named, an ignored alpha_pattern is not it", "[peft]") {
  const auto names = [](const std::string& adapter) {
    const auto laws = check_laws(test::prepared(
        "model=H=4,KV=2,D=4,hidden=16 engine=sglang tp=2 R=8 adapters=" + adapter + " tokens=a,-"));
    REQUIRE(laws);
    return name_faults(*laws, FaultNames(test::configs()))->same_as;
  };
  const std::vector<std::string> ignored = names("a:r4:alpha8:qkv:rslora");
  for (const char* bug : {"sglang-40835", "vllm-10798"}) {
    CAPTURE(bug);
    CHECK(std::find(ignored.begin(), ignored.end(), bug) != ignored.end());
  }
  CHECK(names("a:r4:alpha8:qkv:k_alpha2").empty());
}

TEST_CASE("a lora_alpha with decimals is that very number", "[peft]") {
  const test::TemporaryFolder folder;
  CHECK(verdict("sglang", "a:r4:alpha2.5:qkv") == Verdict::consistent);
  CHECK(verdict("vllm", "a:r4:alpha0.1:qkv,b:r3:alpha0.3:qkv") == Verdict::consistent);
  // int(alpha)
  CHECK(verdict(edited(folder, "sglang",
                       R"("replace": {"/scaling/num": "alpha//alpha_unit*alpha_unit"})"),
                "a:r4:alpha2.5:qkv") == Verdict::silent);
  CHECK(verdict(edited(folder, "sglang",
                       R"("replace": {"/scaling/num": "alpha//alpha_unit*alpha_unit"})"),
                "a:r4:alpha3:qkv") == Verdict::consistent);
}

TEST_CASE("alpha_pattern and rank_pattern give each part its factor and its rows of A", "[peft]") {
  const test::TemporaryFolder folder;
  const std::string adapters = "a:r4:alpha8:qkv:k_alpha2";
  const CaseOutcome outcome = run("sglang", adapters);
  CHECK(outcome.verdict == Verdict::silent);
  CHECK(outcome.numbers.state == NumericOutcome::State::different);
  for (const NumericDifference& difference : outcome.numbers.differences) {
    CHECK(difference.part == Part::k);
  }
  CHECK(says(told(outcome), "expected alpha / lora_rank = 2 / 4"));
  CHECK(verdict(edited(folder, "sglang", kPeft), adapters) == Verdict::consistent);
  CHECK(verdict("vllm", adapters) == Verdict::consistent);
  CHECK(verdict("vllm", "a:r4:alpha8:qkv:q_r8:v_r2,b:r8:alpha8:qkv:k_r1:k_alpha1") ==
        Verdict::consistent);
  CHECK(verdict("vllm", "a:r4:alpha8:qkv:rslora:q_r8:v_r2") == Verdict::consistent);
  CHECK(verdict("vllm_fully_sharded", "a:r4:alpha8:qkv:q_r8:v_r2") == Verdict::consistent);
  CHECK(verdict("sglang", "a:r4:alpha8:qkv:q_r8") == Verdict::crash);
  // A kernel that reads every part's rows over the config's r.
  CHECK(verdict(edited(folder, "vllm", R"("replace": {"/kernel/0/depth": "r"})"),
                "a:r4:alpha8:qkv:q_r8") == Verdict::silent);
  CHECK(verdict("vllm", "a:r4:alpha8:qkv:q_r9") == Verdict::refused);
}

TEST_CASE("another model's adapter must not be served", "[peft]") {
  const CaseOutcome clipped = run("vllm", "a:r4:alpha8:qkv:k_rows16,b:r4:alpha8:qkv");
  CHECK(clipped.verdict == Verdict::silent);
  CHECK(clipped.numbers.state == NumericOutcome::State::not_run);
  CHECK(
      says(told(clipped),
           "found a tensor of 16 k rows, expected the layer's 8 k rows: the adapter is of another "
           "model; law fit"));
  // No published bug is about that, even if it comes to the same.
  const auto laws = check_laws(test::prepared(
      "model=H=4,KV=2,D=4,hidden=16 engine=vllm tp=2 R=8 adapters=a:r4:alpha8:qkv:v_rows4 "
      "tokens=a,-"));
  REQUIRE(laws);
  CHECK(laws->analysis.verdict == Verdict::silent);
  CHECK(name_faults(*laws, FaultNames(test::configs()))->same_as.empty());
  CHECK_FALSE(says(told(clipped), "adapter b"));
  CHECK(run("vllm", "a:r4:alpha8:qkv:k_rows8").verdict == Verdict::consistent);
  // Where the engine asserts shapes it ends there.
  CHECK(run("sglang", "a:r4:alpha8:qkv:v_rows4").verdict == Verdict::crash);
}

TEST_CASE("laws, numbers and twin agree on every kind of adapter", "[peft]") {
  std::mt19937 random(11);  // a fixed seed: the same adapters everywhere
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const test::TemporaryFolder folder;
  std::map<Verdict, int> seen;
  for (int i = 0; i < 240; ++i) {
    const bool peft = pick(2) == 0;
    const std::string name =
        std::array{"sglang", "vllm", "vllm_fully_sharded"}.at(static_cast<std::size_t>(pick(3)));
    std::string adapters;
    for (const char* who : {"a", "b"}) {
      adapters +=
          fmt::format("{}{}:r{}:alpha{}:qkv{}", adapters.empty() ? "" : ",", who, 1 + pick(4),
                      std::array{"1", "2.5", "4"}.at(static_cast<std::size_t>(pick(3))),
                      pick(3) == 0 ? ":rslora" : "");
      for (const char part : {'q', 'k', 'v'}) {
        adapters += pick(3) == 0 ? fmt::format(":{}_r{}", part, 1 + pick(8)) : "";
        adapters += pick(4) == 0 ? fmt::format(":{}_alpha{}", part, 1 + pick(4)) : "";
        adapters += pick(20) == 0 ? fmt::format(":{}_rows{}", part, 4 * (1 + pick(4))) : "";
      }
    }
    const std::string engine = peft ? edited(folder, name, kPeft) : std::string(name);
    const auto one = parse_case(
        fmt::format("model=H=4,KV=2,D=4,hidden=16 engine={} tp={} R=8 adapters={} tokens=a,b,a,-",
                    engine, std::int64_t{1} << pick(3), adapters));
    REQUIRE(one);
    auto item = prepare(*one, test::configs());
    REQUIRE(item);
    CAPTURE(print_case(*one));
    const LayoutCase input = layout_case(item->spec, *item->geometry);
    const Analysis analysis = Analyser().run(*item->contract, input);
    const test::BruteResult slow = test::brute_force(*item->contract, input);
    CHECK(analysis.verdict == slow.verdict);
    std::set<Law> laws;
    for (const Violation& violation : analysis.violations) {
      laws.insert(law_of(violation));
    }
    laws.erase(Law::agreement);
    std::set<Law> expected = slow.broken;
    expected.erase(Law::agreement);
    CHECK(laws == expected);
    ++seen[analysis.verdict];
    item->numbers = true;
    const auto outcomes = run_cases({*item}, {});
    REQUIRE(outcomes);
    using State = NumericOutcome::State;
    const State state = outcomes->front().numbers.state;
    if (state != State::not_run) {
      CHECK((state == State::different) == (analysis.verdict == Verdict::silent));
    }
  }
  CHECK(seen[Verdict::consistent] > 20);
  CHECK(seen[Verdict::silent] > 20);
  CHECK(seen[Verdict::crash] > 20);
}

TEST_CASE("a kernel that is deeper than lora_rank cuts K elsewhere, on both sides", "[peft]") {
  const CaseOutcome outcome = test::run(
      "model=H=4,KV=4,D=2,hidden=48,bias=1 engine=vllm_fully_sharded tp=2 R=70 slots=1 "
      "adapters=a:r16:alpha11:qkv tokens=a,a,a,-,-,-,-,-,a,- dtype=fp32 "
      "accumulator=tensor_core:hopper,split=4,unit=8 data=wide seed=4294967301");
  CHECK(outcome.verdict == Verdict::consistent);
  CHECK(outcome.numbers.state == NumericOutcome::State::equal);
}
