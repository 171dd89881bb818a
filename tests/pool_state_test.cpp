// What a sequence of steps leaves in the pool, and what the laws say of it.
#include <fmt/format.h>

#include <random>

#include "tests/brute_force.hpp"
#include "tests/case_support.hpp"
#include "verify/report/finding_text.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

using test::edited;

CaseOutcome run(const std::string& engine, const std::string& rest) {
  const CaseOutcome outcome =
      test::run("model=H=4,KV=2,D=2,hidden=16 engine=" + engine + " tp=4 R=4 " + rest);
  // The numbers are an independent witness: they differ exactly where a law is broken.
  using State = NumericOutcome::State;
  const State state = outcome.numbers.state;
  CHECK((state == State::different) == (outcome.verdict == Verdict::silent));
  CHECK(state != State::vacuous);
  return outcome;
}

std::string told(const CaseOutcome& outcome) {
  std::string text;
  for (const Finding& finding : outcome.findings) {
    text += message(finding) + "\n";
  }
  return text;
}

bool has(const std::string& text, const std::string& part) {
  CAPTURE(text, part);
  return text.find(part) != std::string::npos;
}

const std::string kAgain =
    "slots=1 adapters=a:r2:alpha4:qkv,b:r4:alpha4:qkv steps=load:a@0,load:b@0,activate:a@0 "
    "tokens=a,a,a,a";

}  // namespace

TEST_CASE("a host's copy that is cut in place is cut again at the next use", "[state]") {
  const test::TemporaryFolder folder;
  CHECK(run("vllm", kAgain).verdict == Verdict::consistent);
  const std::string engine = edited(folder, "vllm", R"("add": {"/pool/cut": "in_place"})");
  const CaseOutcome outcome = run(engine, kAgain);
  CHECK(outcome.verdict == Verdict::silent);
  CHECK(outcome.shape_check);
  CHECK(has(told(outcome), "tp_rank 1, q head 1, rows 2-3 of adapter a (slot 0): found zeros"));
  CHECK(has(told(outcome), "the host's copy of adapter a was cut for this rank before"));
  CHECK(has(told(outcome), engine + "#/add/~1pool~1cut]"));  // where the word was written
  CHECK(!has(told(outcome), "tp_rank 0, "));                 // whose cut is the front, and stays
  // One use is not enough to see it, and reading the adapter afresh mends it.
  CHECK(run(engine, "slots=1 adapters=a:r2:alpha4:qkv tokens=a,a,a,a").verdict ==
        Verdict::consistent);
  CHECK(run(engine,
            "slots=1 adapters=a:r2:alpha4:qkv,b:r4:alpha4:qkv "
            "steps=load:a@0,load:b@0,load:a@0 tokens=a,a,a,a")
            .verdict == Verdict::consistent);
}

TEST_CASE("a factor multiplied into the host's copy arrives once for each use", "[state]") {
  const test::TemporaryFolder folder;
  const CaseOutcome outcome =
      run(edited(folder, "vllm", R"("replace": {"/pool/scale": "cache"})"), kAgain);
  CHECK(outcome.verdict == Verdict::silent);
  CHECK(has(told(outcome),
            "adapter a is scaled by (part_alpha = 4) / (rslora ? 1 : part_r = 2 (rslora = 0, "
            "part_r = 2)) times (part_alpha = 4)"));
  CHECK(has(told(outcome), "once for each of its 2 uses"));
}

TEST_CASE("a sentence on scaling shows a few factors, however many there are", "[state]") {
  const test::TemporaryFolder folder;
  std::string steps = "slots=1 adapters=a:r2:alpha4:qkv tokens=a,a,a,a steps=load:a@0";
  for (int i = 0; i < 100; ++i) {
    steps += ",evict:a,activate:a@0";
  }
  const CaseOutcome outcome =
      run(edited(folder, "vllm", R"("replace": {"/pool/scale": "cache"})"), steps);
  CHECK(has(told(outcome), " times ..., once for each of its 101 uses"));
  CHECK(message(outcome.findings.front()).size() < 2000);
}

TEST_CASE("a rescale reaches a table at once and a slot at the next use", "[state]") {
  const std::string steps = "slots=2 adapters=a:r2:alpha4:qkv tokens=a,a,a,a steps=load:a@0,";
  CHECK(run("sglang", steps + "rescale:a:alpha16").verdict == Verdict::consistent);
  const CaseOutcome late = run("vllm", steps + "rescale:a:alpha16");
  CHECK(late.verdict == Verdict::silent);
  CHECK(has(told(late), "scaled by (part_alpha = 4) / (rslora ? 1 : part_r = 2"));
  CHECK(has(told(late), "expected alpha / lora_rank = 16 / 2"));
  CHECK(run("vllm", steps + "rescale:a:alpha16,evict:a,activate:a@1").verdict ==
        Verdict::consistent);
}

TEST_CASE("a wrong scaling formula is a broken law, whatever the numbers round to", "[state]") {
  const test::TemporaryFolder folder;
  const CaseOutcome outcome = run(edited(folder, "sglang", R"("replace": {"/scaling/den": "1"})"),
                                  "adapters=a:r4:alpha16:qkv tokens=a,a,a,a");
  CHECK(outcome.verdict == Verdict::silent);
  CHECK(outcome.findings.size() == 4);  // one a rank
  CHECK(has(told(outcome),
            "adapter a is scaled by (alpha = 16) / (1), expected alpha / "
            "lora_rank = 16 / 4"));
}

TEST_CASE("columns behind a smaller lora_rank keep the earlier tenant unless cleared", "[state]") {
  const test::TemporaryFolder folder;
  const std::string steps =
      "slots=1 adapters=a:r2:alpha2:qkv,z:r4:alpha4:qkv steps=load:z@0,load:a@0 tokens=a,a,a,a";
  const std::string deep = R"("replace": {"/kernel/0/depth": "R", "/kernel/1/depth": "R",
                              "/kernel/2/depth": "R", "/kernel/1/a_at": "R", "/kernel/2/a_at": "2*R",
                              "/lora_a/copies/1/at": "R", "/lora_a/copies/2/at": "2*R"%})";
  const auto with = [&](const std::string& more) {
    std::string text = deep;
    text.replace(text.find('%'), 1, more);
    return run(edited(folder, "sglang", text), steps);
  };
  const CaseOutcome stale = with("");
  CHECK(stale.verdict == Verdict::silent);
  CHECK(has(told(stale), "law residue"));
  CHECK(with(R"(, "/pool/clear": "tail")").verdict == Verdict::consistent);
  CHECK(with(R"(, "/pool/clear": "slot")").verdict == Verdict::consistent);
}

TEST_CASE("tokens that read the slot where their adapter was read another adapter", "[state]") {
  const test::TemporaryFolder folder;
  const std::string steps =
      "slots=2 adapters=a:r2:alpha4:qkv,b:r2:alpha2:qkv "
      "steps=load:a@0,evict:a,load:b@0,activate:a@1 tokens=a,a,b,b";
  CHECK(run("sglang", steps).verdict == Verdict::consistent);
  const CaseOutcome outcome =
      run(edited(folder, "sglang", R"("add": {"/pool/lookup": "first"})"), steps);
  CHECK(outcome.verdict == Verdict::silent);
  CHECK(
      has(told(outcome), "of adapter a (slot 0): found adapter b's q rows 0-1 (head 0) in slot 0"));
  CHECK(has(told(outcome), "adapter a is in slot 1 now, and its tokens still read slot 0"));
}

TEST_CASE("an adapter with more columns than the pool has is a crash, whatever the contract checks",
          "[state]") {
  const test::TemporaryFolder folder;
  for (const char* clear : {"nothing", "tail", "slot"}) {
    const std::string engine =
        edited(folder, "sglang",
               fmt::format(R"("remove": ["/checks/2"], "replace": {{"/lora_a/buffers/A": "3*64",
                              "/pool/clear": "{}"}})",
                           clear));
    const CaseOutcome outcome = run(engine, "adapters=a:r4:alpha4:qkv,b:r64:alpha16:qkv");
    CHECK(outcome.verdict == Verdict::crash);
    CHECK(has(told(outcome),
              "buffer B has R = 4 columns and the slice has the adapter's "
              "lora_rank, 64"));
  }
}

TEST_CASE("a factor that fits no 64 bits is a wrong factor, and none is asked of no delta",
          "[state]") {
  const test::TemporaryFolder folder;
  for (const char* num : {"4611686018427387904", "0 - 9223372036854775807 - 1"}) {
    const CaseOutcome outcome = run(
        edited(folder, "sglang", fmt::format(R"("replace": {{"/scaling/num": "{}")", num) + "}"),
        "adapters=a:r2:alpha16:qkv,b:r1:alpha1:qkv tokens=a,a,b,b");
    CHECK(outcome.verdict == Verdict::silent);
  }
  const auto one =
      parse_case("model=H=4,KV=2,D=2,hidden=16 engine=" +
                 edited(folder, "sglang", R"("replace": {"/scaling/num": "alpha + 1"})") +
                 " tp=4 adapters=a:r2:alpha16:none tokens=a,a,a,a");
  REQUIRE(one);
  const auto item = prepare(*one, test::configs());
  REQUIRE(item);
  const auto laws = check_laws(*item);
  REQUIRE(laws);
  CHECK(laws->analysis.verdict == Verdict::consistent);
}

TEST_CASE("a thousand uses of one adapter take no time and blame nobody", "[state]") {
  std::string steps = "slots=1 adapters=a:r2:alpha2:qkv tokens=a,a,a,a steps=load:a@0";
  for (int i = 0; i < 1000; ++i) {
    steps += ",evict:a,activate:a@0";
  }
  const auto one = parse_case("model=H=4,KV=2,D=2,hidden=16 engine=vllm-20873 tp=2 R=4 " + steps);
  REQUIRE(one);
  const auto item = prepare(*one, test::configs());
  REQUIRE(item);
  const auto laws = check_laws(*item);
  REQUIRE(laws);
  CHECK(laws->analysis.verdict == Verdict::silent);
}

TEST_CASE("memory that nothing wrote is zero where the engine says so, and nobody's elsewhere",
          "[state]") {
  const test::TemporaryFolder folder;
  // q's kernel contracts over R: behind the adapter's lora_rank it meets what no load wrote.
  const auto outcome = [&](const std::string& edits) {
    return run(edited(folder, "sglang", R"("replace": {"/kernel/0/depth": "R")" + edits),
               "slots=1 adapters=a:r2:alpha2:qkv tokens=a,a,a,-");
  };
  CHECK(outcome("}").verdict == Verdict::consistent);  // SGLang allocates zeros
  const CaseOutcome nothing = outcome(R"(, "/pool/fresh": "nothing"})");
  CHECK(nothing.verdict == Verdict::silent);
  REQUIRE_FALSE(nothing.findings.empty());
  CHECK(nothing.findings.front().law == Law::residue);
  CHECK(found_text(nothing.findings.front()) == "nothing that was loaded in slot 0");
  // It is nobody's even where it meets A's zeros, those of a k that the adapter leaves out.
  const CaseOutcome zeros = run(
      edited(folder, "sglang", R"("replace": {"/kernel/0/depth": "R", "/pool/fresh": "nothing"})"),
      "slots=1 adapters=a:r2:alpha2:qv tokens=a,a,a,-");
  CHECK(zeros.verdict == Verdict::silent);
  REQUIRE_FALSE(zeros.numbers.differences.empty());
  for (const NumericDifference& difference : zeros.numbers.differences) {
    REQUIRE(difference.sources.size() == 1);
    REQUIRE_FALSE(difference.sources[0].from.empty());
    CHECK(difference.sources[0].from[0].found == Content(NeverWritten{}));
  }
  // An engine that says nothing promises nothing.
  CHECK(outcome(R"(}, "remove": ["/pool/fresh"])").verdict == Verdict::silent);
  // A load that clears its slot leaves zeros, whatever stood there.
  CHECK(outcome(R"(, "/pool/fresh": "nothing", "/pool/clear": "slot"})").verdict ==
        Verdict::consistent);
}

TEST_CASE("laws and twin agree on random sequences of steps", "[state]") {
  const test::TemporaryFolder folder;
  std::mt19937 random(7);  // a fixed seed: the same sequences everywhere
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const std::vector<std::string> clear = {"nothing", "tail", "slot"};
  const std::vector<std::string> scale = {"table", "slot", "cache"};
  int silent = 0, consistent = 0;
  for (int i = 0; i < 600; ++i) {
    const auto name = i % 2 == 0 ? "sglang" : "vllm_fully_sharded";
    Contract contract = test::contract(name);
    contract.pool.fresh = static_cast<PoolFresh>(pick(2));
    contract.pool.clear = static_cast<PoolClear>(pick(3));
    contract.pool.absent = static_cast<PoolAbsent>(pick(2));
    contract.pool.cut = static_cast<PoolCut>(pick(2));
    contract.pool.scale = static_cast<PoolScale>(pick(3));
    contract.pool.lookup = static_cast<PoolLookup>(pick(2));
    LayoutCase input{.geometry = test::geometry({4, 2, 2}),
                     .deployment = {.tp_size = std::int64_t{1} << pick(3),
                                    .max_lora_rank = 4,
                                    .slots = 2,
                                    .tokens = 4},
                     .adapters = {},
                     .steps = {}};
    for (int a = 0; a < 3; ++a) {
      input.adapters.push_back({.lora_rank = 1 + pick(4),
                                .lora_alpha = 1 + pick(3),
                                .targets = {true, pick(2) == 0, true}});
    }
    std::vector<bool> loaded(3, false);
    for (int step = 0; step < 5; ++step) {
      const int adapter = pick(3);
      const bool known = loaded[static_cast<std::size_t>(adapter)];
      const int kind = known ? pick(3) : 0;
      loaded[static_cast<std::size_t>(adapter)] = true;
      input.steps.push_back({.kind = kind == 0   ? PoolStep::Kind::load
                                     : kind == 1 ? PoolStep::Kind::activate
                                                 : PoolStep::Kind::rescale,
                             .adapter = adapter,
                             .slot = kind == 2 ? -1 : pick(2),
                             .lora_alpha = 1 + pick(3)});
      if (kind < 2) {  // as parse_case asks: it is in one slot at a time
        auto& steps = input.steps;
        const PoolStep last = steps.back();
        steps.pop_back();
        for (const LiveAdapter& live : live_adapters(input.adapters, steps)) {
          if (live.adapter == adapter) {
            steps.push_back({PoolStep::Kind::evict, adapter, live.slot});
          }
        }
        steps.push_back(last);
      }
    }
    const Analysis analysis = Analyser().run(contract, input);
    const test::BruteResult slow = test::brute_force(contract, input);
    CAPTURE(i, name, static_cast<int>(contract.pool.cut));
    CHECK(analysis.verdict == slow.verdict);
    std::set<Law> laws;
    for (const Violation& violation : analysis.violations) {
      laws.insert(law_of(violation));
    }
    laws.erase(Law::agreement);
    std::set<Law> expected = slow.broken;
    expected.erase(Law::agreement);
    CHECK(laws == expected);
    silent += analysis.verdict == Verdict::silent ? 1 : 0;
    consistent += analysis.verdict == Verdict::consistent ? 1 : 0;
  }
  CHECK(silent > 100);
  CHECK(consistent > 100);
}
