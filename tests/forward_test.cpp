#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "tests/case_support.hpp"
#include "verify/reference/reference.hpp"
#include "verify/report/finding_text.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

using test::edited;
using test::prepared;
using test::run;

constexpr const char* kAdapters =
    " R=8 slots=2 adapters=a:r4:alpha8:qkv,b:r8:alpha8:qkv tokens=a,b,-,a";

}  // namespace

TEST_CASE("sharded outputs equal the unsharded reference bit for bit", "[ranks]") {
  for (const char* engine : {"sglang", "vllm_fully_sharded", "megatron_bridge"}) {
    const bool fused = std::string(engine) == "megatron_bridge";
    const std::string adapters =
        fused ? " R=8 adapters=a:r8:alpha16:fused,b:r8:alpha8:fused tokens=a,b,-,a" : kAdapters;
    for (const char* model : {"H=8,KV=2,D=6,hidden=40", "H=8,KV=4,D=8,hidden=33,gate=2,bias=1"}) {
      for (const char* dtype : {"bf16", "fp16", "fp32"}) {
        for (const char* data : {"wide", "integers"}) {
          for (const int tp_size : {1, 2, 4, 8}) {
            const CaseOutcome outcome =
                run(fmt::format("model={} engine={} tp={} dtype={} data={}{}", model, engine,
                                tp_size, dtype, data, adapters));
            CAPTURE(engine, model, dtype, data, tp_size, outcome.numbers.why_vacuous);
            CHECK(outcome.verdict == Verdict::consistent);
            CHECK(outcome.numbers.state == NumericOutcome::State::equal);
            CHECK(outcome.numbers.compared > 0);
          }
        }
      }
    }
  }
}

TEST_CASE("the reference is the plain formula with four roundings", "[reference]") {
  // Written again without panels: y = rnd(rnd(x W + bias) + rnd(scaling * (rnd(x A) B))).
  QkvGeometry g = test::geometry({4, 2, 5});
  g.hidden_size = 70;
  const Generator generator(
      {.kind = DataKind::wide, .dtype = ScalarType::bf16, .seed = 5, .geometry = g});
  AdapterSpec spec;
  spec.name = "a";
  spec.lora_rank = 3;
  spec.lora_alpha = 5;
  const std::vector<Adapter> adapters = {generator.adapter(spec, 0)};
  const std::vector<float> x = generator.x(2);
  Reference reference({.geometry = g,
                       .dtype = ScalarType::bf16,
                       .base_accumulator = Accumulator::fp32_chain,
                       .lora_accumulator = Accumulator::fp32_chain,
                       .program = find_program("sglang_triton"),
                       .x = x,
                       .adapter_of_token = {0, -1},
                       .adapters = adapters});
  const auto bf16 = [](float v) { return round_to(ScalarType::bf16, v); };
  for (const Part part : kParts) {
    Panel panel(1, 1);
    generator.fill_panel({Tensor::weight, part}, 0, g.rows(part), panel);
    const auto bias = generator.bias(part);
    reference.accept_panel(part, 0, panel, bias);
  }
  reference.finish({});
  for (const Part part : kParts) {
    Panel weight(1, 1);
    generator.fill_panel({Tensor::weight, part}, 0, g.rows(part), weight);
    const auto bias = generator.bias(part);
    for (std::size_t token = 0; token < 2; ++token) {
      const float* const row = x.data() + token * 70;
      for (std::int64_t n = 0; n < g.rows(part); ++n) {
        float y = 0;
        for (std::int64_t k = 0; k < 70; ++k) {
          y = std::fma(row[k], weight.at(n, k), y);
        }
        y = bf16(y + bias[static_cast<std::size_t>(n)]);
        float d = 0;
        for (std::int64_t q = 0; q < 3; ++q) {
          float u = 0;
          for (std::int64_t k = 0; k < 70; ++k) {
            u = std::fma(row[k], adapters[0].a(part)[static_cast<std::size_t>(q * 70 + k)], u);
          }
          d = std::fma(bf16(u), adapters[0].b(part)[static_cast<std::size_t>(n * 3 + q)], d);
        }
        const float expected = token == 0 ? bf16(y + bf16(static_cast<float>(5.0 / 3) * d)) : y;
        REQUIRE(same_bits(
            reference.output(
                part)[token * static_cast<std::size_t>(g.rows(part)) + static_cast<std::size_t>(n)],
            expected));
      }
    }
  }
}

TEST_CASE("the silent bug changes V only, on every rank, and the labels say to what", "[ranks]") {
  const std::string line =
      std::string("model=H=16,KV=2,D=8,hidden=64,gate=2 engine=sglang-24420 tp=4") + kAdapters;
  const CaseOutcome outcome = run(line);
  CHECK(outcome.verdict == Verdict::silent);
  CHECK(outcome.numbers.state == NumericOutcome::State::different);
  std::set<std::int64_t> ranks;
  for (const NumericDifference& difference : outcome.numbers.differences) {
    CHECK(difference.part == Part::v);
    CHECK(difference.first_row == difference.tp_rank / 2 * 8);
    CHECK(difference.last_row == difference.first_row + 7);
    CHECK(difference.bits.tokens == std::vector<std::int64_t>{0, 1, 3});
    ranks.insert(difference.tp_rank);
    REQUIRE(difference.sources.size() == 2);
    REQUIRE(difference.sources[0].from.size() == 1);
    const Provenance& first = difference.sources[0].from[0];
    CHECK(first.slot == 1);
    CHECK(first.found ==
          Content(LoraBRows{.adapter = 1, .part = Part::q, .first_row = difference.tp_rank * 64}));
    CHECK(difference.sources[0].from[0].rows == 8);
    CHECK(difference.sources[1].from[0].found == Content(Outside{}));
  }
  CHECK(ranks == std::set<std::int64_t>{0, 1, 2, 3});
}

TEST_CASE("with an empty neighbour slot the bug's V is the base output", "[ranks]") {
  const CaseOutcome outcome =
      run("model=H=16,KV=2,D=8,hidden=64 engine=sglang-24420 tp=4 R=4 slots=8 "
          "adapters=a:r4:alpha4:qkv tokens=a,a");
  CHECK(outcome.numbers.state == NumericOutcome::State::different);
  for (const NumericDifference& difference : outcome.numbers.differences) {
    CHECK(difference.part == Part::v);
    REQUIRE(difference.sources.size() == 1);
    CHECK(difference.sources[0].from[0].found == Content(Zeros{}));
    CHECK(difference.sources[0].from[0].slot == 1);
  }
}

TEST_CASE("what an earlier tenant left shows in the numbers where the contract reads it",
          "[pool]") {
  const test::TemporaryFolder folder;
  const std::string tail =
      " tp=2 R=8 slots=2 adapters=z:r8:alpha8:qkv,a:r4:alpha4:qv,b:r8:alpha8:qkv "
      "steps=load:z@0,evict:z,load:a@0,load:b@1 tokens=a,b,-,a";
  const auto verdict_of = [&](const std::string& engine) {
    const CaseOutcome outcome = run("model=H=4,KV=4,D=8,hidden=32 engine=" + engine + tail);
    const bool different = outcome.numbers.state == NumericOutcome::State::different;
    CHECK(different == (outcome.verdict == Verdict::silent));
    return outcome.verdict;
  };
  CHECK(verdict_of("sglang") == Verdict::consistent);
  CHECK(verdict_of("vllm_fully_sharded") == Verdict::consistent);
  // a lacks k: z's k rows stay when absent parts are kept.
  CHECK(verdict_of(edited(folder, "sglang", R"("pool": {"clear": "nothing", "absent": "keep"})")) ==
        Verdict::silent);
  CHECK(verdict_of(edited(folder, "sglang", R"("pool": {"clear": "slot", "absent": "keep"})")) ==
        Verdict::consistent);
  // k's kernel contracts over R: v's A rows meet columns r..R of B, which hold z's values.
  CHECK(verdict_of(edited(folder, "sglang", R"("replace": {"/kernel/1/depth": "R"})")) ==
        Verdict::silent);
}

TEST_CASE("a wrong scaling is found by the numbers", "[ranks]") {
  const test::TemporaryFolder folder;
  const std::string engine = edited(folder, "sglang", R"("replace": {"/scaling/den": "R"})");
  const CaseOutcome outcome =
      run("model=H=4,KV=2,D=8,hidden=32 engine=" + engine + " tp=2" + kAdapters);
  CHECK(outcome.verdict == Verdict::silent);
  CHECK(outcome.numbers.state == NumericOutcome::State::different);
}

TEST_CASE("a comparison that could not fail is vacuous and never a pass", "[ranks]") {
  const auto state = [](const std::string& rest) {
    return run("model=H=4,KV=2,D=64,hidden=32 engine=sglang tp=2 " + rest).numbers.state;
  };
  using State = NumericOutcome::State;
  CHECK(state("adapters=a:r4:alpha4:qkv tokens=a") == State::equal);
  CHECK(state("tokens=-,-") == State::vacuous);
  CHECK(state("adapters=a:r4:alpha4:qkv tokens=-") == State::vacuous);
  // One base token shows one digit: rows 256 apart look alike.
  CHECK(state("adapters=a:r4:alpha4:qkv tokens=-,a data=labels") == State::vacuous);
  CHECK(state("adapters=a:r4:alpha4:qkv tokens=-,a,-,a data=labels") == State::equal);
}

TEST_CASE("laws and numbers agree on every small world", "[ranks]") {
  const test::TemporaryFolder folder;
  std::vector<std::string> engines = {"sglang", "sglang-24420", "vllm_fully_sharded"};
  int number = 0;
  for (const char* edits :
       {R"("replace": {"/kernel/1/a_at": "R"})", R"("replace": {"/kernel/2/depth": "R"})",
        R"("replace": {"/lora_b/copies/1/from": "Q + t"})",
        R"("replace": {"/weight/copies/2/from": "(KV - n - g0)*Dv"})",
        R"("replace": {"/kernel/2/b_at": "h*gate*D"})", R"("add": {"/kernel/1/b_stride": "r"})",
        R"("add": {"/kernel/2/b_stride": "R + 1"})",
        R"("replace": {"/lora_a/copies/1/at": "0"})"}) {
    engines.push_back(
        folder.write(fmt::format("m{}.json", number++),
                     fmt::format(R"({{"extends": "{}", {}}})",
                                 (test::configs().root / "engines/sglang.json").string(), edits)));
  }
  std::map<Verdict, int> seen;
  for (const std::string& engine : engines) {
    for (const int H : {2, 4, 6, 8}) {
      for (const int KV : {1, 2, 4}) {
        for (const int tp_size : {1, 2, 4, 8}) {
          if (H % KV != 0) {
            continue;
          }
          const CaseOutcome outcome =
              run(fmt::format("model=H={},KV={},D=3,hidden=16,gate={} engine={} tp={} R=4 slots=2 "
                              "adapters=z:r4:alpha4:qkv,a:r2:alpha4:qkv,b:r4:alpha4:qv "
                              "steps=load:z@0,evict:z,load:a@0,load:b@1 tokens=a,b,-,a",
                              H, KV, 1 + KV % 2, engine, tp_size));
          CAPTURE(engine, H, KV, tp_size);
          ++seen[outcome.verdict];
          if (outcome.verdict == Verdict::consistent) {
            CHECK(outcome.numbers.state == NumericOutcome::State::equal);
          }
          if (outcome.verdict == Verdict::silent) {
            CHECK(outcome.numbers.state == NumericOutcome::State::different);
          }
        }
      }
    }
  }
  CHECK(seen[Verdict::consistent] > 50);
  CHECK(seen[Verdict::silent] > 30);
}

TEST_CASE("the thread count changes no bit", "[ranks]") {
  std::vector<PreparedCase> cases;
  for (const int tp_size : {1, 2, 4, 8}) {
    for (const char* model : {"H=8,KV=2,D=6,hidden=40", "H=8,KV=8,D=6,hidden=41"}) {
      cases.push_back(
          prepared(fmt::format("model={} engine=sglang tp={}{}", model, tp_size, kAdapters)));
    }
  }
  const auto digests = [&](int jobs) {
    RunOptions options;
    options.jobs = jobs;
    const auto outcomes = run_cases(cases, options);
    REQUIRE(outcomes);
    std::vector<std::uint64_t> list;
    for (const CaseOutcome& outcome : *outcomes) {
      list.push_back(outcome.numbers.digest);
    }
    return list;
  };
  const auto one = digests(1);
  CHECK(digests(2) == one);
  CHECK(digests(5) == one);
  CHECK(std::set<std::uint64_t>(one.begin(), one.end()).size() == one.size());
}

TEST_CASE("numbers speak where the laws are silent", "[ranks]") {
  // The laws are broken here: they are made to say nothing of a wrong K.
  const test::TemporaryFolder folder;
  const std::string wrong =
      edited(folder, "sglang", R"("replace": {"/lora_b/copies/1/from": "Q"})");
  auto laws = check_laws(prepared("model=H=8,KV=2,D=8,hidden=64 engine=" + wrong +
                                  " tp=2 R=4 adapters=a:r4:alpha4:qkv tokens=a,a"));
  REQUIRE(laws);
  REQUIRE(laws->analysis.verdict == Verdict::silent);
  laws->analysis.verdict = Verdict::consistent;
  laws->analysis.violations.clear();
  const auto numbers = run_numbers({&*laws});
  REQUIRE(numbers.front().state == NumericOutcome::State::different);
  CaseOutcome outcome;
  outcome.verdict = Verdict::consistent;
  outcome.numbers = numbers.front();
  reconcile(laws->item, outcome);
  CHECK(outcome.verdict == Verdict::silent);
  REQUIRE(outcome.findings.size() == 1);
  CHECK(cause_text(outcome.findings.front()) ==
        fmt::format("every law holds, and {} of {} outputs differ from the reference",
                    outcome.numbers.wrong, outcome.numbers.compared));
  CHECK(outcome.findings.front().cause_place.file == laws->item.contract->file);
  // Equal numbers leave a verdict as it is.
  CaseOutcome equal;
  equal.verdict = Verdict::consistent;
  equal.numbers.state = NumericOutcome::State::equal;
  reconcile(laws->item, equal);
  CHECK(equal.verdict == Verdict::consistent);
  CHECK(equal.findings.empty());
}
