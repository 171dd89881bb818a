// The contracts, with the variant of each model's class, against what the engines' own model
// classes did with an adapter of qkv: tests/engines/README.md.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <map>

#include "sim/base/json.hpp"
#include "sim/layout/claims.hpp"
#include "tests/support.hpp"
#include "verify/case/library.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

constexpr const char* kFolder = TPLORA_SOURCE_DIR "/tests/engines/models";

/// What came of every (layer kind of a model, tp_size) of a dump.
struct Measure {
  int compared = 0;
  std::vector<std::string> different;
  std::map<std::string, int> not_compared;  ///< by reason
};

/// Rows of each buffer, in the contract's order.
using Rows = std::vector<std::int64_t>;

/// One row of a layer: [tp_size, ends, error, buffer rows, slice rows ..].
struct Outcome {
  std::int64_t tp_size;
  std::string ends;
  std::string error;
  std::vector<Rows> rows;  ///< of the buffers, then of the slices of the first rank, and of the
                           ///< last where they are others; empty unless loaded
};

std::string error_text(const Json& dump, const Json& number) {
  const auto place = number.get<std::int64_t>();
  return place < 0 ? "" : dump.at("errors").at(static_cast<std::size_t>(place)).get<std::string>();
}

/// A number stands for the one buffer that there is.
Rows rows_of(const Json& value) {
  return value.is_array() ? value.get<Rows>() : Rows{value.get<std::int64_t>()};
}

Outcome outcome(const Json& dump, const Json& row) {
  Outcome found{
      row.at(0).get<std::int64_t>(), row.at(1).get<std::string>(), error_text(dump, row.at(2)), {}};
  for (std::size_t i = 3; i < row.size(); ++i) {
    found.rows.push_back(rows_of(row.at(i)));
  }
  return found;
}

/// The contract for adapters of the modules that a checkpoint has, and a case of it.
std::string case_line(const std::string& model, const Json& item, const Json& dump) {
  const bool one_module = item.at("modules").get<std::string>().find(',') == std::string::npos;
  return fmt::format("model={} engine={} tp=1 R=1 slots=2 adapters=a:r1:alpha1:{} tokens=a,-",
                     model, dump.at(one_module ? "fused" : "contract").get<std::string>(),
                     one_module ? "fused" : "qkv");
}

/// Where the layer that the engine built and the one that the config reader finds part.
std::string layer_difference(const Json& layer, const QkvGeometry& geometry) {
  for (const Part part : kParts) {
    const auto engine = layer.at("rows").at(static_cast<std::size_t>(part)).get<std::int64_t>();
    if (engine != geometry.rows(part)) {
      return fmt::format("{} has {} rows in the engine's layer, {} in ours", part_name(part),
                         engine, geometry.rows(part));
    }
  }
  return "";
}

std::string difference(const Outcome& engine, const Analysis& ours) {
  if (engine.ends == "not wrapped") {  // the adapter is loaded, and the layer knows nothing of it
    return ours.verdict == Verdict::silent
               ? ""
               : fmt::format("the engine leaves the layer without LoRA, the contract says {}",
                             verdict_name(ours.verdict));
  }
  const bool loaded = engine.ends == "loaded";
  if (loaded != ours.failures.empty()) {
    return fmt::format("the engine ends with {} ({}), the contract with {} ({})", engine.ends,
                       engine.error, verdict_name(ours.verdict),
                       ours.failures.empty() ? "" : ours.failures.front().sentence);
  }
  if (!loaded) {
    return "";
  }
  for (const RankState* rank : {&ours.ranks.front(), &ours.ranks.back()}) {
    const Rows& rows = rank->build.b_rows;
    const Rows& slices = rank->loads.at(0).slice_rows;
    const Rows& cut = rank == &ours.ranks.front() ? engine.rows.at(1) : engine.rows.back();
    if (engine.rows.at(0) != rows || cut != slices) {
      return fmt::format("buffers of {} rows and slices of {}, the contract has {} and {}",
                         fmt::join(engine.rows.at(0), ","), fmt::join(cut, ","),
                         fmt::join(rows, ","), fmt::join(slices, ","));
    }
  }
  return "";
}

void measure_layer(const Json& dump, const Json& layer, const PreparedCase& prepared,
                   Measure& measure) {
  const auto wrong = layer_difference(layer, *prepared.geometry);
  if (!wrong.empty()) {
    measure.different.push_back(prepared.spec.model + ": " + wrong);
    return;
  }
  LayoutCase input = layout_case(prepared.spec, *prepared.geometry);
  Analyser analyser;
  for (const Json& row : layer.at("tp")) {
    const Outcome engine = outcome(dump, row);
    input.deployment.tp_size = engine.tp_size;
    if (const auto claim = unmet_claim(*prepared.contract, input.geometry, input.deployment)) {
      ++measure.not_compared["not claimed: " + claim->claim->say];
      continue;
    }
    ++measure.compared;
    const auto found = difference(engine, analyser.run(*prepared.contract, input));
    if (!found.empty()) {
      measure.different.push_back(fmt::format("{} {} tp_size {}: {}", prepared.spec.model,
                                              prepared.kind, engine.tp_size, found));
    }
  }
}

/// The case of the layer kind that a layer of the dump is of.
const PreparedCase* case_of_layer(const std::vector<PreparedCase>& cases, const Json& layer) {
  const auto index = layer.at("layer").get<std::int64_t>();
  for (const PreparedCase& one : cases) {
    const bool named = one.layers.empty() && layer.at("kind") == one.kind;
    if (one.geometry &&
        (named || std::find(one.layers.begin(), one.layers.end(), index) != one.layers.end())) {
      return &one;
    }
  }
  return nullptr;
}

void measure_model(const Json& dump, const std::string& name, const Json& item, Library& library,
                   Measure& measure) {
  const bool path = name.find(".json") != std::string::npos;
  const std::string model = path ? TPLORA_SOURCE_DIR "/" + name : name;
  const auto one = parse_case(case_line(model, item, dump));
  REQUIRE(one);
  const auto cases = library.prepare(*one);
  if (!cases) {
    FAIL(cases.error().text());
  }
  for (const Json& layer : item.at("layers")) {
    const PreparedCase* prepared = case_of_layer(*cases, layer);
    if (prepared == nullptr) {
      measure.different.push_back(name + ": we see no qkv projection in layer " +
                                  layer.at("layer").dump());
      continue;
    }
    measure_layer(dump, layer, *prepared, measure);
    if (const auto elsewhere = item.at("elsewhere").size(); elsewhere > 0) {
      measure.not_compared["another part of the model refuses the tp_size"] +=
          static_cast<int>(elsewhere);
    }
  }
}

/// As tests/engines/measure.json has it, which docs/engines.md quotes.
Json figures(const Measure& measure) {
  return {{"compared", measure.compared},
          {"different", measure.different.size()},
          {"not_compared", measure.not_compared}};
}

Measure measure_dump(const Json& dump) {
  const auto configs = test::configs();
  Library library(configs);
  Measure measure;
  for (const auto& [name, item] : dump.at("models").items()) {
    measure_model(dump, name, item, library, measure);
  }
  return measure;
}

}  // namespace

TEST_CASE("contracts end where the engines' own model classes end", "[engines]") {
  const auto measures = read_json_file(TPLORA_SOURCE_DIR "/tests/engines/measure.json");
  REQUIRE(measures);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    ++files;
    const auto dump = read_json_file(entry.path());
    REQUIRE(dump);
    REQUIRE(dump->at("format") == "tplora-engine-models/1");
    const Measure measure = measure_dump(*dump);
    INFO(entry.path().filename().string());
    CHECK(measure.compared > 3000);
    for (const std::string& one : measure.different) {
      UNSCOPED_INFO(one);
    }
    CHECK(measure.different.empty());
    CHECK(figures(measure) == measures->at(entry.path().stem().string()));
  }
  CHECK(files > 0);
}
