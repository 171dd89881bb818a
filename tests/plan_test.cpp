#include "sim/layout/plan.hpp"

#include <fmt/format.h>

#include "sim/layout/row_order.hpp"
#include "tests/support.hpp"

using namespace tplora;
using namespace tplora::core;
using test::geometry;

namespace {

/// Everything a load gave, as text to compare.
std::string text_of(const RankBuild& build, const RankLoad& load) {
  std::string text = fmt::format("{} {} {} {} {}\n", build.first_q, build.q_heads, build.first_kv,
                                 build.kv_heads, build.width);
  const auto maps = [&](const std::vector<IntervalMap>& list) {
    for (const IntervalMap& map : list) {
      for (const Segment& segment : map.segments()) {
        text += fmt::format("{} {} {} {}, ", segment.at, segment.rows, segment.space, segment.from);
      }
      text += "\n";
    }
  };
  maps(load.b_maps);
  maps(load.a_maps);
  for (const KernelLaunch& one : load.launches) {
    text += fmt::format("{} {} {} {} {} {} {} {} {}, ", one.entry, one.a, one.b, one.a_at, one.b_at,
                        one.out, one.rows, one.depth, one.b_stride);
  }
  for (const std::int64_t rows : load.slice_rows) {
    text += fmt::format("{}; ", rows);
  }
  return text + fmt::format("{}/{}", load.factors[0].numerator, load.factors[0].denominator);
}

std::vector<AdapterShape> adapters(bool shared_a) {
  std::vector<AdapterShape> list;
  for (int parts = 1; parts < 8; ++parts) {
    for (const std::int64_t lora_rank : {8, 16, 8}) {
      list.push_back({.lora_rank = lora_rank,
                      .lora_alpha = lora_rank * 2,
                      .targets = {(parts & 1) != 0, (parts & 2) != 0, (parts & 4) != 0},
                      .shared_a = shared_a});
    }
  }
  return list;
}

/// A contract that a test writes as edits of another.
Contract edited(const std::string& edits) {
  const test::TemporaryFolder folder;
  return *read_contract(folder.write("edited.json", edits), test::configs().root);
}

const Let& let_named(const Contract& contract, const std::string& name) {
  for (const Let& let : contract.lets) {
    if (contract.symbols.name(let.symbol) == name) {
      return let;
    }
  }
  FAIL("no let " << name);
  std::abort();
}

}  // namespace

TEST_CASE("a planner that has planned before plans what a new one does", "[plan]") {
  const QkvGeometry g = geometry({16, 2, 64});
  const Deployment deployment{.tp_size = 8, .max_lora_rank = 16};
  std::vector<Contract> contracts;
  for (const std::string kind : {"engines", "bugs"}) {
    for (const std::string& name : test::contracts_in(kind)) {
      contracts.push_back(test::contract(name));
    }
  }
  // No engine does these: a slice that follows the adapter, a group that follows the rank.
  contracts.push_back(edited(R"json({"format": "tplora-contract/1", "extends": "sglang",
      "replace": {"/lora_b/copies/0/from": "r", "/let/T": "tp_rank < 4 ? T/2 : T/4"}})json"));
  for (const Contract& contract : contracts) {
    Planner used(contract, g, deployment);
    RankBuild build, build_of_new;
    RankLoad load, load_of_new;
    for (std::int64_t rank = 0; rank < deployment.tp_size; ++rank) {
      const bool stopped = used.build(rank, build).has_value();
      for (const AdapterShape& adapter : adapters(contract.takes_fused_adapters())) {
        if (stopped) {
          continue;
        }
        Planner fresh(contract, g, deployment);
        REQUIRE(!fresh.build(rank, build_of_new));
        const auto a = used.load(adapter, build, load);
        const auto b = fresh.load(adapter, build_of_new, load_of_new);
        INFO(contract.name << " rank " << rank);
        REQUIRE((a ? a->sentence : "") == (b ? b->sentence : ""));
        if (!a) {
          REQUIRE(text_of(build, load) == text_of(build_of_new, load_of_new));
        }
      }
    }
  }
}

TEST_CASE("what a formula changes with is seen through lets", "[plan]") {
  const Contract contract =
      edited(R"json({"format": "tplora-contract/1", "extends": "sglang", "add": {
      "/let/of_layer": "H * D", "/let/of_rank": "of_layer + t",
      "/let/of_targets": "has_q + of_layer", "/let/of_adapter": "r + of_rank"}})json");
  const auto of = [&](const std::string& name) {
    const Dependence& on = contract.dependence(let_named(contract, name).formula);
    return fmt::format("{:d}{:d}{:d}{:d}", on.tp_rank, on.targets, on.adapter, on.index);
  };
  CHECK(of("of_layer") == "0000");
  CHECK(of("of_rank") == "1000");
  CHECK(of("of_targets") == "0100");
  CHECK(of("of_adapter") == "1010");
  CHECK(of("T") == "0000");
}

TEST_CASE("a let of the rank may take the place of t, and the next rank begins anew", "[plan]") {
  const Contract contract =
      edited(R"json({"format": "tplora-contract/1", "extends": "sglang", "replace": {
      "/let/T": "tp_size // 2", "/let/t": "tp_rank % 2"}})json");
  const QkvGeometry g = geometry({8, 8, 64});
  Planner planner(contract, g, {.tp_size = 4});
  RankBuild build;
  for (std::int64_t rank = 0; rank < 4; ++rank) {
    REQUIRE(!planner.build(rank, build));
    CHECK(build.group_size == 2);
    CHECK(build.group_rank == rank % 2);
  }
}

TEST_CASE("rows that a fused tensor does not have are not appended", "[plan]") {
  const QkvGeometry g = geometry({4, 2, 8});
  IntervalMap map;
  append_fused(g, FusedOrder::blocks, 0, g.total_rows(), 0, map);
  CHECK(map.segments().back().end() == g.total_rows());
  CHECK_THROWS(append_fused(g, FusedOrder::blocks, 1, g.total_rows(), 0, map));
  CHECK_THROWS(append_fused(g, FusedOrder::per_group, -1, 1, 0, map));
}
