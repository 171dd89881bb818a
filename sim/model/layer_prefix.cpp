#include "sim/model/layer_prefix.hpp"

#include "sim/model/family.hpp"

namespace tplora::core {
namespace {

struct PrefixRow {
  std::string_view prefix;
  std::string_view model_types;
};

/// Names of the modules in the Hugging Face library's modeling files and, for remote code, in the
/// checkpoint's own.
constexpr PrefixRow kPrefixes[] = {
    {"transformer.h.",
     "bloom codegen exaone falcon gpt2 gpt_bigcode gpt_neo gptj jais openai-gpt "
     "qwen RefinedWeb RefinedWebModel"},
    {"transformer.encoder.layers.", "chatglm"},
    {"transformer.blocks.", "dbrx mpt"},
    {"transformer.layers.", "openelm"},
    {"gpt_neox.layers.", "gpt_neox gpt_neox_japanese"},
    {"model.decoder.layers.", "opt"},
    {"backbone.layers.", "nemotron_h mamba2"},
    {"biogpt.layers.", "biogpt"},
    {"language_model.model.layers.", "llama4"},
    {"model.transformer.blocks.", "molmo"},
    {"encoder.layers.", "intern_vit_6b"},
    {"transformer.h.", "phi-msft telechat"},
};

}  // namespace

std::string_view layer_prefix(std::string_view model_type, std::string_view architecture) {
  for (const PrefixRow& row : kPrefixes) {
    if (has_word(row.model_types, model_type)) {
      return row.prefix;
    }
  }
  // A decoder's own class may stand under the wrapper's model_type.
  const bool decoder = architecture.ends_with("ForCausalLM");
  for (const WrapperRule& rule : wrapper_rules()) {
    if (!decoder && has_word(rule.model_types, model_type)) {
      return "model.language_model.layers.";
    }
  }
  return "model.layers.";
}

}  // namespace tplora::core
