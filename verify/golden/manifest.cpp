#include "verify/golden/manifest.hpp"

#include "sim/base/fields.hpp"
#include "sim/base/json.hpp"
#include "sim/base/sha256.hpp"

namespace tplora::core {
namespace {

constexpr const char* kFormat = "tplora-golden/1";

Json geometry_json(const QkvGeometry& g) {
  return {{"hidden_size", g.hidden_size},
          {"num_attention_heads", g.num_attention_heads},
          {"num_key_value_heads", g.num_key_value_heads},
          {"head_dim", g.head_dim},
          {"v_head_dim", g.v_head_dim},
          {"q_multiplier", g.q_multiplier},
          {"qkv_bias", g.qkv_bias}};
}

Json adapter_json(const AdapterSpec& spec, const std::vector<int>& resident, int number) {
  Json parts = Json::object();
  for (const Part part : kParts) {
    if (spec.has(part)) {
      parts[std::string(part_name(part))] = {{"lora_rank", spec.rank_of(part)},
                                             {"scaling", spec.scaling(part)}};
    }
  }
  Json slot;
  for (std::size_t i = 0; i < resident.size(); ++i) {
    slot = resident[i] == number ? Json(i) : slot;
  }
  return {{"name", spec.name}, {"fused", spec.shared_a}, {"slot", slot}, {"parts", parts}};
}

Json rank_json(const ManifestRank& rank) {
  const OwnedHeads& own = rank.heads;
  Json columns = Json::array();
  for (const ColumnsOfPart& part : own.columns) {
    columns.push_back({{"at", part.at},
                       {"rows", part.rows},
                       {"part", part_name(part.part)},
                       {"first_row", part.first_row}});
  }
  Json tensors = Json::object();
  for (const GoldenTensor& tensor : rank.tensors) {
    tensors[tensor.name] = {{"dtype", tensor_type_name(tensor.type)}, {"shape", tensor.shape}};
  }
  return {{"tp_rank", own.tp_rank},
          {"file", "rank" + std::to_string(own.tp_rank) + ".safetensors"},
          {"q_heads", {{"first", own.first_q}, {"count", own.q_heads}}},
          {"kv_heads", {{"first", own.first_kv}, {"count", own.kv_heads}}},
          {"width", own.width},
          {"columns", columns},
          {"tensors", tensors}};
}

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  const Case& one = manifest.item.spec;
  Json tokens = Json::array();
  for (const int adapter : one.tokens) {
    tokens.push_back(adapter < 0 ? Json()
                                 : Json(one.adapters[static_cast<std::size_t>(adapter)].name));
  }
  Json adapters = Json::array();
  for (std::size_t i = 0; i < manifest.adapters.size(); ++i) {
    adapters.push_back(adapter_json(manifest.adapters[i], manifest.resident, static_cast<int>(i)));
  }
  Json ranks = Json::array();
  for (const ManifestRank& rank : manifest.ranks) {
    ranks.push_back(rank_json(rank));
  }
  Json files = Json::object();
  for (const GoldenFile& file : manifest.summary.files) {
    files[file.name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
  }
  const Json json = {
      {"format", kFormat},
      {"tplora", manifest.version},
      {"case", print_case(one)},
      {"identity", manifest.summary.identity},
      {"layer_kind", manifest.item.kind},
      {"geometry", geometry_json(*manifest.item.geometry)},
      {"tp_size", one.tp_size},
      {"dp_size", one.dp_size},
      {"dtype", scalar_type_name(one.dtype)},
      {"program", manifest.item.contract->program},
      {"accumulator", accumulator_name(one.accumulator)},
      {"base_accumulator", accumulator_name(one.base_accumulator.value_or(one.accumulator))},
      {"data", data_kind_name(one.data)},
      {"seed", one.seed},
      {"max_lora_rank", one.max_lora_rank},
      {"slots", one.slots},
      {"tokens", tokens},
      {"adapters", adapters},
      {"modules", {{"layer", manifest.modules.layer}, {"names", manifest.modules.modules}}},
      {"engine",
       {{"contract", manifest.item.contract->name},
        {"verdict", verdict_name(manifest.summary.engine_verdict)},
        {"pool", manifest.summary.pool}}},
      {"vacuous", manifest.vacuous},
      {"notes", manifest.summary.notes},
      {"ranks", ranks},
      {"files", files}};
  return json.dump(1) + "\n";
}

std::string identity_of(const std::string& case_line,
                        const std::map<std::string, std::string>& sums) {
  std::string text = case_line + "\n";
  for (const auto& [name, sum] : sums) {
    text += sum + "  " + name + "\n";
  }
  return sha256_of(text);
}

Result<ReadManifest> read_manifest(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "manifest.json";
  const auto json = read_json_file(file);
  if (!json) {
    return fail(json.error());
  }
  const JsonView view(*json, file.string());
  FirstError errors;
  const auto member = [&](const JsonView& object, const char* key) {
    auto found = object.at(key);
    if (!found) {
      errors.refuse(found.error());
    }
    return found;
  };
  ReadManifest read;
  if (const auto format = member(view, "format")) {
    const std::string word = errors.take(format->string());
    if (errors.none() && word != kFormat) {
      errors.refuse(format->expected(std::string("\"") + kFormat + "\""));
    }
  }
  if (const auto line = member(view, "case")) {
    read.case_line = errors.take(line->string());
  }
  if (const auto identity = member(view, "identity")) {
    read.identity = errors.take(identity->string());
  }
  if (const auto vacuous = member(view, "vacuous")) {
    read.vacuous = errors.take(vacuous->strings());
  }
  if (const auto modules = member(view, "modules")) {
    if (const auto layer = member(*modules, "layer")) {
      read.layer = errors.take(layer->string());
    }
  }
  if (const auto ranks = member(view, "ranks")) {
    for (const JsonView& rank : errors.take(ranks->elements())) {
      if (const auto number = member(rank, "tp_rank")) {
        read.ranks.push_back(errors.take(number->integer()));
      }
    }
  }
  if (const auto files = member(view, "files")) {
    for (const auto& [name, about] : errors.take(files->members())) {
      if (const auto sum = member(about, "sha256")) {
        read.sha256[name] = errors.take(sum->string());
      }
    }
  }
  if (errors.none() && identity_of(read.case_line, read.sha256) != read.identity) {
    errors.refuse(Error{"its identity is not that of its case and files: it was changed by hand",
                        file.string()});
  }
  return errors.result(std::move(read));
}

}  // namespace tplora::core
