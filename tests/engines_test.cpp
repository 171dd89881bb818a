#include <fmt/format.h>

#include <map>

#include "tests/support.hpp"
#include "verify/run/runner.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

/// Verdict of one engine on one geometry, laws and numbers both.
CaseOutcome outcome(const std::string& engine, const std::string& model, std::int64_t tp_size,
                    const std::string& more = "") {
  const bool fused = test::contract(engine).takes_fused_adapters();
  const std::string line = fmt::format(
      "model={} engine={} tp={} R=8 slots=2 adapters=a:r8:alpha16:{},b:r8:alpha8:{} "
      "tokens=a,b,-,a{}",
      model, engine, tp_size, fused ? "fused" : "qkv", fused ? "fused" : "qkv", more);
  CAPTURE(line);
  auto item =
      parse_case(line).and_then([](const Case& one) { return prepare(one, test::configs()); });
  if (!item) {
    FAIL(item.error().text());
  }
  item->numbers = true;
  const auto outcomes = run_cases({*item}, {});
  if (!outcomes) {
    FAIL(outcomes.error().text());
  }
  return outcomes->front();
}

/// A verdict for each of tp_size 1, 2, 4, 8.
struct Row {
  const char* engine;
  std::array<const char*, 4> verdicts;
};

}  // namespace

TEST_CASE("engines come out as their sources were read, at KV = 2", "[engines]") {
  constexpr const char* kGood = "consistent";
  const std::array<Row, 16> rows = {{
      {"sglang", {kGood, kGood, kGood, kGood}},
      {"sglang_fused", {kGood, kGood, kGood, kGood}},
      {"sglang_jax", {kGood, kGood, kGood, kGood}},
      {"vllm", {kGood, kGood, kGood, kGood}},
      {"vllm_single_slice", {kGood, kGood, kGood, kGood}},
      {"vllm_fully_sharded", {kGood, kGood, kGood, kGood}},
      {"megatron_bridge", {kGood, kGood, kGood, kGood}},
      {"megatron_bridge_canonical", {kGood, kGood, "silent", "crash"}},
      {"trtllm_separate", {kGood, kGood, "silent", "silent"}},
      {"trtllm_fused", {kGood, kGood, "crash", "crash"}},
      {"hf_tp_peft", {kGood, kGood, "crash", "crash"}},
      {"tpu_inference", {kGood, kGood, "silent", "silent"}},
      {"lorax", {kGood, kGood, "refused", "refused"}},
      {"llama_cpp", {kGood, kGood, "crash", "crash"}},
      {"padded_heads", {kGood, kGood, kGood, kGood}},
      {"uneven_ranks", {kGood, kGood, kGood, kGood}},
  }};
  CHECK(rows.size() == test::contracts_in("engines").size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < 4; ++i) {
      const std::int64_t tp_size = std::int64_t{1} << i;
      CAPTURE(row.engine, tp_size);
      const CaseOutcome found = outcome(row.engine, "H=8,KV=2,D=16,hidden=64", tp_size);
      CHECK(verdict_name(found.verdict) == row.verdicts[i]);
      // Numbers agree with the laws, and could have failed.
      const auto state = found.numbers.state;
      CHECK((state == NumericOutcome::State::equal) == (found.verdict == Verdict::consistent));
      CHECK((state == NumericOutcome::State::different) == (found.verdict == Verdict::silent));
    }
  }
}

TEST_CASE("an uneven split in units of KV heads keeps every law", "[engines]") {
  CHECK(verdict_name(outcome("llama_cpp", "H=8,KV=4,D=16,hidden=64", 3).verdict) == "consistent");
  // Three of a head's size: ceil chunks end on a head there, and leave the last rank empty.
  CHECK(verdict_name(outcome("hf_tp_peft", "H=4,KV=4,D=1,hidden=64", 3).verdict) == "consistent");
  CHECK(verdict_name(outcome("hf_tp_peft", "H=6,KV=3,D=16,hidden=64", 2).verdict) == "crash");
}

TEST_CASE("where tp_size divides no heads, ranks own what comes out", "[engines]") {
  // 12 query heads on 8 ranks: four ranks for each KV head, of two, two, two and no heads.
  CHECK(verdict_name(outcome("padded_heads", "H=12,KV=2,D=1,hidden=16", 8).verdict) ==
        "consistent");
  CHECK(verdict_name(outcome("padded_heads", "H=12,KV=2,D=1,hidden=16", 3).verdict) == "refused");
  for (const std::int64_t tp_size : {1, 2, 3, 5, 7, 8, 12, 13}) {
    for (const char* model : {"H=12,KV=4,D=3,hidden=32", "H=5,KV=5,D=2,hidden=32,gate=2",
                              "H=7,KV=1,D=4,hidden=32,bias=1"}) {
      CAPTURE(tp_size, model);
      const bool fits = tp_size <= std::stoi(std::string(model).substr(2));
      CHECK(verdict_name(outcome("uneven_ranks", model, tp_size).verdict) ==
            (fits ? "consistent" : "refused"));
    }
  }
}

TEST_CASE("under dp attention layers and buffers are built on the attention group", "[engines]") {
  for (const std::int64_t dp_size : {1, 2, 4, 8}) {
    const auto found =
        outcome("sglang", "H=8,KV=2,D=16,hidden=64", 8, fmt::format(" dp={}", dp_size));
    CAPTURE(dp_size);
    CHECK(verdict_name(found.verdict) == "consistent");
    CHECK(found.numbers.state == NumericOutcome::State::equal);
  }
}

TEST_CASE("a part the adapter does not target gets no delta where the engine allows that",
          "[engines]") {
  const std::string model = "H=8,KV=2,D=16,hidden=64";
  const auto verdict = [&](const std::string& engine, const std::string& targets) {
    const std::string line = fmt::format(
        "model={} engine={} tp=2 R=8 slots=2 adapters=a:r8:alpha16:{},z:r8:alpha8:qkv "
        "steps=load:z@0,evict:z,load:a@0 tokens=a,-",
        model, engine, targets);
    auto item =
        parse_case(line).and_then([](const Case& one) { return prepare(one, test::configs()); });
    REQUIRE(item);
    item->numbers = true;
    return std::string(verdict_name((*run_cases({*item}, {}))[0].verdict));
  };
  CHECK(verdict("sglang", "qv") == "consistent");
  CHECK(verdict("sglang", "qk") == "crash");
  for (const char* engine :
       {"vllm", "vllm_fully_sharded", "trtllm_separate", "hf_tp_peft", "sglang_jax", "llama_cpp"}) {
    CAPTURE(engine);
    CHECK(verdict(engine, "qk") == "consistent");
    CHECK(verdict(engine, "k") == "consistent");
  }
}

TEST_CASE("heads of their own width for V lie outside the claims of every engine that breaks there",
          "[engines]") {
  for (const std::string& name : test::contracts_in("engines")) {
    const auto found = outcome(name, "H=8,KV=2,D=16,Dv=8,hidden=64", 2);
    CAPTURE(name);
    const bool holds = name == "hf_tp_peft" || name == "megatron_bridge";
    CHECK((found.verdict == Verdict::consistent) == holds);
    CHECK(test::contract(name).claims.empty() == holds);
  }
}
