#include "verify/golden/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "sim/base/ensure.hpp"
#include "sim/base/json.hpp"
#include "sim/model/checkpoint_modules.hpp"
#include "sim/model/layer_prefix.hpp"
#include "sim/model/model_source.hpp"
#include "verify/golden/module_rows.hpp"

namespace tplora::core {
namespace {

/// Weight rows made at a time.
constexpr std::int64_t kRows = 64;

/// [rows, hidden_size] of the base weight, in the order of `runs`, made while it is written.
TensorToWrite weight_tensor(const std::string& name, const PreparedCase& item,
                            const LogicalTensors& logical, const std::vector<RowRun>& runs) {
  const std::int64_t hidden = item.geometry->hidden_size;
  const ScalarType dtype = item.spec.dtype;
  const auto produce = [=, &logical](const TakeBytes& take) -> Result<void> {
    std::vector<float> block(static_cast<std::size_t>(kRows * hidden));
    for (const RowRun& run : runs) {
      for (std::int64_t row = 0; row < run.rows; row += kRows) {
        const std::int64_t some = std::min(kRows, run.rows - row);
        logical.weight_rows(run.part, run.first + row, some, block.data());
        const auto made =
            std::span<const float>(block).first(static_cast<std::size_t>(some * hidden));
        if (auto taken = put_values(dtype, made, take); !taken) {
          return taken;
        }
      }
    }
    return {};
  };
  return {name, stored_type(dtype), {count_rows(runs), hidden}, produce};
}

/// The same, [hidden_size, rows]: a column of it is a row of ours.
TensorToWrite transposed_weight(const std::string& name, const PreparedCase& item,
                                const LogicalTensors& logical, const std::vector<RowRun>& runs) {
  const std::int64_t hidden = item.geometry->hidden_size;
  const std::int64_t rows = count_rows(runs);
  std::vector<float> whole(static_cast<std::size_t>(rows * hidden));
  std::vector<float> one(static_cast<std::size_t>(hidden));
  std::int64_t column = 0;
  for (const RowRun& run : runs) {
    for (std::int64_t row = run.first; row < run.first + run.rows; ++row, ++column) {
      logical.weight_rows(run.part, row, 1, one.data());
      for (std::int64_t k = 0; k < hidden; ++k) {
        whole[static_cast<std::size_t>(k * rows + column)] = one[static_cast<std::size_t>(k)];
      }
    }
  }
  return tensor_of(name, item.spec.dtype, {hidden, rows}, std::move(whole));
}

/// Rows of by-part tensors with `cols` columns, in the order of `runs`.
std::vector<float> gather(const std::vector<RowRun>& runs, std::int64_t cols,
                          const std::function<const std::vector<float>&(Part)>& rows_of) {
  std::vector<float> all;
  for (const RowRun& run : runs) {
    const std::vector<float>& rows = rows_of(run.part);
    all.insert(all.end(), rows.begin() + run.first * cols,
               rows.begin() + (run.first + run.rows) * cols);
  }
  return all;
}

/// A Llama's config with the numbers of a geometry.
Json llama_config(const QkvGeometry& g, const Case& one) {
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"hidden_size", g.hidden_size},
                 {"num_attention_heads", g.num_attention_heads},
                 {"num_key_value_heads", g.num_key_value_heads},
                 {"head_dim", g.head_dim},
                 {"num_hidden_layers", 1},
                 {"intermediate_size", 4 * g.hidden_size},
                 {"vocab_size", 256},
                 {"attention_bias", g.qkv_bias}};
  config["torch_dtype"] = one.dtype == ScalarType::bf16   ? "bfloat16"
                          : one.dtype == ScalarType::fp16 ? "float16"
                                                          : "float32";
  if (g.v_head_dim != g.head_dim) {
    config["v_head_dim"] = g.v_head_dim;
  }
  if (g.q_multiplier != 1) {
    config["attn_output_gate"] = true;
  }
  return config;
}

Json adapter_config(const AdapterSpec& spec, const std::vector<std::string>& modules,
                    const std::map<std::string, Part>& part_of_module, bool transposed) {
  Json ranks = Json::object();
  Json alphas = Json::object();
  for (const auto& [module, part] : part_of_module) {
    const auto i = static_cast<std::size_t>(part);
    if (spec.part_ranks[i] != 0) {
      ranks[module] = spec.part_ranks[i];
    }
    if (spec.part_alphas[i] != 0) {
      alphas[module] =
          static_cast<double>(spec.part_alphas[i]) / static_cast<double>(spec.alpha_unit);
    }
  }
  Json config = {{"peft_type", "LORA"},
                 {"task_type", "CAUSAL_LM"},
                 {"base_model_name_or_path", "checkpoint"},
                 {"inference_mode", true},
                 {"r", spec.lora_rank}};
  const bool whole = spec.lora_alpha % spec.alpha_unit == 0;
  config["lora_alpha"] =
      whole ? Json(spec.lora_alpha / spec.alpha_unit)
            : Json(static_cast<double>(spec.lora_alpha) / static_cast<double>(spec.alpha_unit));
  config.update({{"use_rslora", spec.rslora},
                 {"rank_pattern", ranks},
                 {"alpha_pattern", alphas},
                 {"target_modules", modules},
                 {"lora_dropout", 0.0},
                 {"bias", "none"},
                 {"use_dora", false},
                 {"lora_bias", false},
                 {"fan_in_fan_out", transposed},
                 {"modules_to_save", nullptr}});
  return config;
}

}  // namespace

ModuleNames module_names(const PreparedCase& item, const std::string& prefix) {
  const auto [path, names] = modules_of(item.checkpoint);
  const std::int64_t layer = item.layers.empty() ? 0 : item.layers.front();
  ModuleNames found;
  found.layer = fmt::format(
      "{}{}.",
      prefix.empty() ? layer_prefix(item.traits.model_type, item.traits.architecture) : prefix,
      layer);
  for (const std::string& name : names) {
    found.modules.push_back(path + name);
  }
  if (found.modules.empty()) {
    found.modules = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  }
  return found;
}

std::vector<TensorToWrite> checkpoint_tensors(const PreparedCase& item,
                                              const LogicalTensors& logical,
                                              const ModuleNames& names) {
  const QkvGeometry& g = *item.geometry;
  const auto parts = parts_of_modules(item.checkpoint.fusion);
  ensure(parts.size() == names.modules.size(), "a checkpoint names each of its modules");
  std::vector<TensorToWrite> tensors;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto runs = rows_of_tensor(g, item.checkpoint, parts[i]);
    const std::string name = names.layer + names.modules[i];
    tensors.push_back(item.checkpoint.transposed
                          ? transposed_weight(name + ".weight", item, logical, runs)
                          : weight_tensor(name + ".weight", item, logical, runs));
    if (g.qkv_bias) {
      std::map<Part, std::vector<float>> biases;
      for (const Part part : parts[i]) {
        biases[part] = logical.bias(part);
      }
      tensors.push_back(tensor_of(
          name + ".bias", item.spec.dtype, {count_rows(runs)},
          gather(runs, 1, [&](Part part) -> const std::vector<float>& { return biases[part]; })));
    }
  }
  return tensors;
}

Result<std::string> checkpoint_config(const PreparedCase& item,
                                      const std::filesystem::path& models) {
  if (const auto file = model_file(item.spec.model, models)) {
    return read_text_file(*file);
  }
  return llama_config(*item.geometry, item.spec).dump(2) + "\n";
}

AdapterFiles adapter_files(const PreparedCase& item, const Adapter& adapter,
                           const ModuleNames& names) {
  const QkvGeometry& g = *item.geometry;
  const AdapterSpec& spec = adapter.spec();
  const std::string path = names.modules.front().substr(0, names.modules.front().rfind('.') + 1);
  const auto last = [](const std::string& module) { return module.substr(module.rfind('.') + 1); };
  const bool separate = item.checkpoint.fusion == Fusion::separate;
  std::vector<std::string> modules;
  std::map<std::string, Part> part_of_module;
  AdapterFiles files;
  const auto add = [&](const std::string& module, std::int64_t lora_rank,
                       const std::vector<float>& a, std::vector<float> b) {
    const std::string name = "base_model.model." + names.layer + path + module;
    const auto rows = static_cast<std::int64_t>(b.size()) / lora_rank;
    files.tensors.push_back(
        tensor_of(name + ".lora_A.weight", item.spec.dtype, {lora_rank, g.hidden_size}, a));
    files.tensors.push_back(
        tensor_of(name + ".lora_B.weight", item.spec.dtype, {rows, lora_rank}, std::move(b)));
    modules.push_back(module);
  };
  const auto b_of = [&](Part part) -> const std::vector<float>& { return adapter.b(part); };
  if (spec.shared_a) {
    add(separate ? "qkv_proj" : last(names.modules.front()), spec.lora_rank, adapter.a(Part::q),
        gather(rows_of_fused_b(g, item.checkpoint), spec.lora_rank, b_of));
  } else {
    for (const Part part : kParts) {
      if (!spec.has(part)) {
        continue;
      }
      const std::string module = separate ? last(names.modules[static_cast<std::size_t>(part)])
                                          : std::string(part_name(part)) + "_proj";
      const bool own_rows = spec.part_rows[static_cast<std::size_t>(part)] != 0;
      std::vector<RowRun> runs =
          own_rows ? std::vector<RowRun>{{part, 0, spec.part_rows[static_cast<std::size_t>(part)]}}
                   : rows_of_part_b(g, item.checkpoint, part);
      add(module, spec.rank_of(part), adapter.a(part), gather(runs, spec.rank_of(part), b_of));
      part_of_module[module] = part;
    }
  }
  files.config =
      adapter_config(spec, modules, part_of_module, item.checkpoint.transposed).dump(2) + "\n";
  return files;
}

}  // namespace tplora::core
