// What the simulator asks of its own code: mistakes at its borders stop, whatever the build.
#include "sim/base/ensure.hpp"

#include <array>
#include <limits>
#include <vector>

#include "sim/base/checked.hpp"
#include "sim/layout/law_delta.hpp"
#include "sim/layout/row_order.hpp"
#include "sim/layout/view.hpp"
#include "sim/pool/flat_pool.hpp"
#include "sim/ranks/tp_group.hpp"
#include "tests/support.hpp"

using namespace tplora;
using namespace tplora::core;
using Kind = PoolStep::Kind;

namespace {

constexpr int kA = 0;
constexpr int kB = 1;

/// Two adapters in two slots on two ranks: something that works.
LayoutCase two_ranks() {
  return {.geometry = test::geometry({4, 2, 2}),
          .deployment = {.tp_size = 2, .max_lora_rank = 4, .slots = 2, .tokens = 4},
          .adapters = {{.lora_rank = 4, .lora_alpha = 4}, {.lora_rank = 2, .lora_alpha = 2}},
          .steps = {{Kind::load, kA, 0}, {Kind::load, kB, 1}}};
}

Analysis analysed(const LayoutCase& input) {
  return Analyser().run(test::contract("sglang"), input);
}

std::vector<LiveAdapter> live_after(const std::vector<PoolStep>& steps) {
  return live_adapters(two_ranks().adapters, steps);
}

std::vector<PoolEvent> events_of(const std::vector<PoolStep>& steps) {
  return pool_events(two_ranks().adapters, steps);
}

/// Rows that are all ones.
class Ones final : public AdapterRows<float> {
 public:
  [[nodiscard]] const float* a_row(std::int32_t /*space*/, std::int64_t /*row*/) const override {
    return row_.data();
  }
  [[nodiscard]] const float* b_row(std::int32_t /*space*/, std::int64_t /*row*/) const override {
    return row_.data();
  }

 private:
  std::array<float, 16> row_ = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
};

}  // namespace

TEST_CASE("what must hold is told with its place", "[ensure]") {
  CHECK_NOTHROW(ensure(true, "nothing"));
  CHECK_THROWS_WITH(ensure(false, "two is one"),
                    Catch::Matchers::StartsWith("internal error: must hold: two is one ("));
}

TEST_CASE("what costs is checked where a build asks for it, and else not even evaluated",
          "[ensure]") {
  int calls = 0;
  const auto fails = [&] {
    ensure_checked(
        [&] {
          ++calls;
          return false;
        },
        "nothing");
  };
  if (kChecked) {
    CHECK_THROWS(fails());
  } else {
    CHECK_NOTHROW(fails());
  }
  CHECK(calls == (kChecked ? 1 : 0));
}

TEST_CASE("a division has a divisor, and a quotient that fits 64 bits", "[ensure]") {
  CHECK(floor_div(-7, 2) == -4);
  if (kChecked) {
    CHECK_THROWS(floor_div(1, 0));
    CHECK_THROWS(floor_mod(std::numeric_limits<std::int64_t>::min(), -1));
    CHECK_THROWS(ceil_div(1, 0));
  }
}

TEST_CASE("steps name adapters that there are, and slots where they write", "[ensure]") {
  CHECK(live_after(two_ranks().steps).size() == 2);
  for (const int adapter : {-1, 2}) {
    CHECK_THROWS(events_of({{Kind::load, adapter, 0}}));
    CHECK_THROWS(live_after({{Kind::load, adapter, 0}}));
  }
  CHECK_THROWS(events_of({{Kind::load, kA, PoolStep::kEnginesChoice}}));
  CHECK_THROWS(live_after({{Kind::load, kA, PoolStep::kEnginesChoice}}));
  CHECK_THROWS(events_of({{Kind::load, kA, 0}, {Kind::rescale, kA, -1, 0}}));
  LayoutCase input = two_ranks();
  input.steps[1].slot = 2;
  CHECK_THROWS(analysed(input));
}

TEST_CASE("an adapter is loaded before it is used again, and leaves the slot that it is in",
          "[ensure]") {
  CHECK_THROWS(events_of({{Kind::activate, kA, 0}}));
  CHECK_THROWS(events_of({{Kind::rescale, kA, -1, 8}}));
  CHECK_THROWS(live_after({{Kind::evict, kA, 0}}));
  CHECK_THROWS(live_after({{Kind::load, kA, 0}, {Kind::evict, kA, 1}}));
  CHECK_THROWS(live_after({{Kind::load, kA, 0}, {Kind::evict, kB, 0}}));
  CHECK_THROWS(live_after({{Kind::load, kA, 0}, {Kind::load, kA, 1}}));
  CHECK(live_after({{Kind::load, kA, 0}, {Kind::evict, kA, 0}, {Kind::activate, kA, 1}}).size() ==
        1);
}

TEST_CASE("factors are those of events that there are, of one adapter", "[ensure]") {
  const auto events = events_of(two_ranks().steps);
  CHECK(scaling_events(PoolScale::cache, events, 1, 1) == std::vector<int>{1});
  CHECK_THROWS(scaling_events(PoolScale::cache, events, -1, 0));
  CHECK_THROWS(scaling_events(PoolScale::table, events, 0, 2));
  CHECK_THROWS(scaling_events(PoolScale::table, events, 0, 1));
  CHECK_THROWS(scaling_events(PoolScale::table, events, 1, 0));
}

TEST_CASE("maps of a pool are of slots that it has, and of loads that fit", "[ensure]") {
  const Contract contract = test::contract("sglang");
  const LayoutCase input = two_ranks();
  Analysis analysis = analysed(input);
  REQUIRE(analysis.verdict == Verdict::consistent);
  RankState& rank = analysis.ranks[1];
  const auto load = [&](const RankLoad& one, const AdapterShape& shape, int adapter,
                        std::int64_t slot) {
    rank.pool.load(contract, rank.build, one, shape, adapter, slot);
  };
  const RankLoad good = rank.load(kA);
  CHECK_NOTHROW(load(good, input.adapters[kA], kA, 1));
  for (const std::int64_t slot : {-1, 2}) {
    CHECK_THROWS(rank.pool.slot(slot));
    CHECK_THROWS(load(good, input.adapters[kA], kA, slot));
  }
  CHECK_THROWS(load(good, input.adapters[kA], -1, 0));
  CHECK_THROWS(load(good, {.lora_rank = 5}, kA, 0));
  RankLoad long_one = good;
  ++long_one.slice_rows[0];
  CHECK_THROWS(load(long_one, input.adapters[kA], kA, 0));
  RankLoad short_one = good;
  short_one.a_maps.pop_back();
  CHECK_THROWS(load(short_one, input.adapters[kA], kA, 0));
  CHECK_THROWS(PoolMap().reset(contract, rank.build, {.slots = 0}));
  CHECK_THROWS(rank.load(2));
}

TEST_CASE("flat memory is loaded at slots that it has, with what fits", "[ensure]") {
  const Contract contract = test::contract("sglang");
  const LayoutCase input = two_ranks();
  const Analysis analysis = analysed(input);
  const RankState& rank = analysis.ranks[0];
  FlatPool<float> pool(rank.build, input.deployment, 16, -1, 0);
  CHECK_NOTHROW(pool.load(contract, rank.load(kA), input.adapters[kA], Ones(), 1));
  for (const std::int64_t slot : {-1, 2}) {
    CHECK_THROWS(pool.load(contract, rank.load(kA), input.adapters[kA], Ones(), slot));
  }
  CHECK_THROWS(pool.load(contract, rank.load(kA), {.lora_rank = 5}, Ones(), 0));
  CHECK_THROWS(pool.load(contract, rank.load(kA), {.lora_rank = 0}, Ones(), 0));
  CHECK_THROWS(pool.load(contract, RankLoad{}, input.adapters[kA], Ones(), 0));
  RankLoad far = rank.load(kA);
  far.b_maps[0].append(rank.build.b_rows[0], 1, 0, 0);
  CHECK_THROWS(pool.load(contract, far, input.adapters[kA], Ones(), 0));
  CHECK_THROWS(pool.a(-1));
  CHECK_THROWS(pool.a(static_cast<int>(rank.build.a_rows.size())));
}

TEST_CASE("a planner is asked for its ranks, and loads on the one that it built last", "[ensure]") {
  const Contract contract = test::contract("sglang");
  const LayoutCase input = two_ranks();
  Planner planner(contract, input.geometry, input.deployment);
  RankBuild build;
  RankLoad load;
  CHECK_THROWS(planner.build(-1, build));
  CHECK_THROWS(planner.build(2, build));
  REQUIRE(!planner.build(0, build));
  REQUIRE(!planner.load(input.adapters[kA], build, load));
  CHECK_THROWS(planner.load(input.adapters[kA], build, load, &load));
  CHECK_THROWS(planner.load({.lora_rank = 0}, build, load));
  RankBuild other;
  REQUIRE(!planner.build(1, other));
  CHECK_THROWS(planner.load(input.adapters[kA], build, load));
  const auto events = pool_events(input.adapters, input.steps);
  CHECK_THROWS(plan_event(planner, contract, events, 2, other, load));
}

TEST_CASE("a group's let that fails on one rank is evaluated on the next all the same",
          "[ensure]") {
  const test::TemporaryFolder folder;
  const auto contract = read_contract(folder.write("t.json", R"json({
      "format": "tplora-contract/1", "extends": "sglang",
      "replace": {"/let/t": "tp_rank % t"}})json"),
                                      test::configs().root);
  REQUIRE(contract);
  CHECK(Analyser().run(*contract, two_ranks()).bad_contract);
}

TEST_CASE("a deployment that no case line can have is not planned", "[ensure]") {
  const QkvGeometry g = test::geometry({4, 2, 2});
  CHECK_NOTHROW(symbol_values(g, {.tp_size = 4, .dp_size = 2}));
  CHECK_THROWS(symbol_values(g, {.tp_size = 3, .dp_size = 2}));
  CHECK_THROWS(symbol_values(g, {.slots = 0}));
  CHECK_THROWS(symbol_values(g, {.tokens = -1}));
  CHECK_THROWS(symbol_values(test::geometry({4, 3, 2}), {}));
  LayoutCase input = two_ranks();
  input.deployment.tp_size = 0;
  CHECK_THROWS(analysed(input));
}

TEST_CASE("an input that is analysed again has the ranks and events of the one before",
          "[ensure]") {
  const Contract contract = test::contract("sglang");
  const LayoutCase input = two_ranks();
  Analyser fresh(Detail::verdicts);
  CHECK_THROWS(fresh.run_again(contract, input));
  Analyser analyser(Detail::verdicts);
  analyser.run(contract, input);
  LayoutCase more = input;
  more.steps.push_back({Kind::rescale, kA, -1, 8});
  CHECK_THROWS(analyser.run_again(contract, more));
}

TEST_CASE("rows, heads and columns that do not exist are not due", "[ensure]") {
  const Contract contract = test::contract("sglang");
  const QkvGeometry g = test::geometry({4, 2, 2});
  IntervalMap map;
  CHECK_THROWS(append_q_heads(g, FusedOrder::blocks, 3, 2, 0, map));
  CHECK_THROWS(append_q_heads(g, FusedOrder::blocks, -1, 1, 0, map));
  append_q_heads(g, FusedOrder::blocks, 2, 2, 0, map);
  CHECK_THROWS(append_fused(g, FusedOrder::blocks, 0, 1, 0, map));
  std::vector<RankState> group(1);
  group[0].build.first_q = 2;
  group[0].build.q_heads = 3;
  CHECK_THROWS(set_due_columns(contract, g, group));
  group[0].build.q_heads = 2;
  CHECK_NOTHROW(set_due_columns(contract, g, group));
  CHECK_THROWS(owned_rows(contract, g, group, 1));
}

TEST_CASE("query heads that a contract puts anywhere have KV heads, or none", "[ensure]") {
  const QkvGeometry g = test::geometry({4, 2, 2});
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  RankBuild build;
  build.first_q = kMost;
  build.q_heads = 2;
  CHECK(due_kv_heads(g, build).count == 0);
  build.first_q = 2;
  CHECK(due_kv_heads(g, build).first == 1);
  CHECK(due_kv_heads(g, build).count == 1);
  build.q_heads = -kMost - 1;
  CHECK(due_kv_heads(g, build).count == 0);
}

TEST_CASE("a delta is looked at in a slot of the deployment", "[ensure]") {
  const Contract contract = test::contract("sglang");
  const LayoutCase input = two_ranks();
  const Analysis analysis = analysed(input);
  std::vector<Violation> violations;
  LiveAdapter live = analysis.live[0];
  CHECK_NOTHROW(check_delta(contract, input.deployment, analysis.ranks[0], live, {}, violations));
  CHECK(violations.empty());
  live.slot = 2;
  CHECK_THROWS(check_delta(contract, input.deployment, analysis.ranks[0], live, {}, violations));
  live.slot = 0;
  live.event = 7;
  CHECK_THROWS(check_delta(contract, input.deployment, analysis.ranks[0], live, {}, violations));
}

TEST_CASE("ranks run a batch with the adapters that were analysed, once", "[ensure]") {
  const Contract contract = test::contract("sglang");
  LayoutCase input = two_ranks();
  const Analysis analysis = analysed(input);
  const RoundingProgram program = {};
  Arithmetic arithmetic{.base = {}, .lora = {}, .program = &program};
  const std::vector<float> x(64, 1);
  Batch batch{.x = x, .hidden_size = 16, .adapter_of_token = {0, 1, -1, 0}};
  const auto make = [&] {
    return TpGroup(contract, input.deployment, analysis, arithmetic, batch);
  };
  TpGroup group = make();
  CHECK(!group.base_output(1).empty());
  CHECK_THROWS(group.base_output(2));
  CHECK_THROWS(group.base_output(-1));
  CHECK_THROWS(group.output(0));
  CHECK_THROWS(group.finish());
  CHECK_THROWS(group.load_adapters({}));
  const Panel panel(4, 8);
  CHECK_THROWS(group.accept_panel(Part::q, 0, panel, {}));
  batch.x = batch.x.first(48);
  CHECK_THROWS(make());
  batch.x = x;
  arithmetic.program = nullptr;
  CHECK_THROWS(make());
  arithmetic.program = &program;
  input.deployment.tp_size = 4;
  CHECK_THROWS(make());
}

TEST_CASE("names are those of verdicts and laws", "[ensure]") {
  CHECK_THROWS(verdict_name(static_cast<Verdict>(5)));
  CHECK_THROWS(law_name(static_cast<Law>(kLawCount)));
}
