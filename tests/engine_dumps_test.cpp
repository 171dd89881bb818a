// The contracts against what the engines' own code did: tests/engines/README.md.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "sim/base/json.hpp"
#include "sim/contract/variants.hpp"
#include "tests/support.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

std::vector<std::filesystem::path> dump_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(TPLORA_SOURCE_DIR "/tests/engines/dumps")) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Json read_dump(const std::filesystem::path& file) {
  auto dump = read_json_file(file);
  if (!dump) {
    FAIL(dump.error().text());
  }
  REQUIRE(dump->at("format") == "tplora-engine-dump/1");
  return std::move(*dump);
}

LayoutCase layout_case(const Json& item) {
  const auto number = [&](const char* key) { return item.at(key).get<std::int64_t>(); };
  QkvGeometry geometry =
      test::geometry({number("H"), number("KV"), number("D"), number("Dv"), number("gate")});
  geometry.hidden_size = number("hidden");
  geometry.config_num_attention_heads = item.value("config_H", number("H"));
  geometry.config_num_key_value_heads = item.value("config_KV", number("KV"));
  geometry.config_head_dim = item.value("config_D", number("D"));
  const auto targets = item.at("targets").get<std::string>();
  const bool fused = targets == "fused";
  const auto has = [&](char part) { return fused || targets.find(part) != std::string::npos; };
  return {.geometry = geometry,
          .deployment = {.tp_size = number("tp"),
                         .max_lora_rank = number("R"),
                         .slots = 2,
                         .tokens = number("tp")},
          .adapters = {{.lora_rank = number("r"),
                        .lora_alpha = number("r"),
                        .targets = {has('q'), has('k'), has('v')},
                        .shared_a = fused}},
          .steps = {{PoolStep::Kind::load, 0, 0}}};
}

/// Runs as a dump writes them: zeros and what was never written left out.
std::string runs(const IntervalMap& map, bool of_pool) {
  static constexpr std::array<const char*, 4> kParts = {"q", "k", "v", "shared"};
  std::string text;
  for (const Segment& segment : map.segments()) {
    if (segment.space >= 0) {
      const auto space = of_pool ? part_of_space(segment.space) : segment.space;
      text += fmt::format("[{},{},\"{}\",{}]", segment.at, segment.rows,
                          kParts.at(static_cast<std::size_t>(space)), segment.from);
    }
  }
  return text;
}

std::string runs(const Json& list) {
  std::string text;
  for (const Json& run : list) {
    text += run.dump();
  }
  return text;
}

/// Where one case of a dump and the contract part; empty where they agree.
std::string rank_difference(const Json& dumped, const RankState& rank) {
  std::string difference;
  const auto compare = [&](const std::string& what, const std::string& engine,
                           const std::string& ours) {
    if (engine != ours && difference.empty()) {
      difference = fmt::format("tp_rank {}, {}: the engine has {}, the contract {}",
                               rank.build.tp_rank, what, engine, ours);
    }
  };
  if (dumped.contains("columns")) {
    compare("columns", runs(dumped.at("columns")), runs(rank.build.columns, false));
  }
  const auto buffers = [&](const char* key, const std::vector<std::int64_t>& rows,
                           const auto& map_of) {
    compare(fmt::format("number of {} buffers", key), std::to_string(dumped.at(key).size()),
            std::to_string(rows.size()));
    for (std::size_t i = 0; i < rows.size() && difference.empty(); ++i) {
      const Json& buffer = dumped.at(key).at(i);
      compare(fmt::format("rows of {} {}", key, i), buffer.at("rows").dump(),
              std::to_string(rows[i]));
      compare(fmt::format("{} {}", key, i), runs(buffer.at("holds")), runs(map_of(i), true));
    }
  };
  const SlotMap& slot = rank.pool.slot(0);
  buffers("b", rank.build.b_rows,
          [&](std::size_t i) -> const IntervalMap& { return slot.b[i].front().rows; });
  buffers("a", rank.build.a_rows, [&](std::size_t i) -> const IntervalMap& { return slot.a[i]; });
  return difference;
}

std::string difference(const ContractSet& contracts, const Json& item) {
  // A case that names a class is judged by that class's rules.
  const ModelTraits traits{
      .model_type = item.value("model_type", std::string()), .architecture = {}, .modules = {}};
  const Contract& contract = *contracts.of(traits);
  const Analysis analysis = Analyser().run(contract, layout_case(item));
  const auto ends = item.at("ends").get<std::string>();
  const std::string ours = analysis.failures.empty()              ? "loaded"
                           : analysis.verdict == Verdict::refused ? "refused"
                                                                  : "crash";
  if (ends != ours) {
    return fmt::format("the engine ends with {} ({}), the contract with {} ({})", ends,
                       item.value("error", std::string("no error")), ours,
                       analysis.failures.empty() ? "" : analysis.failures.front().sentence);
  }
  if (ends != "loaded") {
    return "";
  }
  if (item.at("ranks").size() != analysis.ranks.size()) {
    return "another number of ranks";
  }
  for (std::size_t rank = 0; rank < analysis.ranks.size(); ++rank) {
    auto found = rank_difference(item.at("ranks").at(rank), analysis.ranks[rank]);
    if (!found.empty()) {
      return found;
    }
  }
  return "";
}

struct Outcome {
  std::map<std::string, int> ends;
  std::vector<std::string> differences;
};

Outcome replay(const Json& dump, const ContractSet& contracts) {
  Outcome outcome;
  for (const Json& item : dump.at("cases")) {
    ++outcome.ends[item.at("ends").get<std::string>()];
    if (const auto found = difference(contracts, item); !found.empty()) {
      outcome.differences.push_back(
          fmt::format("H={} KV={} D={} Dv={} gate={} tp={} r={} R={} {}: {}", item.at("H").dump(),
                      item.at("KV").dump(), item.at("D").dump(), item.at("Dv").dump(),
                      item.at("gate").dump(), item.at("tp").dump(), item.at("r").dump(),
                      item.at("R").dump(), item.at("targets").dump(), found));
    }
  }
  return outcome;
}

}  // namespace

TEST_CASE("contracts put every row where the engine's own code put it", "[engines]") {
  const auto files = dump_files();
  REQUIRE(!files.empty());
  for (const auto& file : files) {
    const Json dump = read_dump(file);
    const auto name = dump.at("contract").get<std::string>();
    const bool path = name.find('/') != std::string::npos;
    const auto contracts =
        load_contract_set(path ? TPLORA_SOURCE_DIR "/" + name : name, test::configs().root);
    if (!contracts) {
      FAIL(contracts.error().text());
    }
    const Outcome outcome = replay(dump, *contracts);
    INFO(file.filename().string());
    CHECK(outcome.ends.at("loaded") > 0);
    for (const std::string& one : outcome.differences) {
      UNSCOPED_INFO(one);
    }
    CHECK(outcome.differences.empty());
  }
}
