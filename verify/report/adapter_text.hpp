// What becomes of a PEFT adapter under an engine.
#pragma once

#include <string>
#include <vector>

#include "verify/peft/peft_adapter.hpp"
#include "verify/run/laws.hpp"

namespace tplora::core {

struct AdapterKindReport {
  std::string kind;
  AdapterOnLayers on_layers;
  std::vector<LayerReport> sizes;  ///< by tp_size
};

struct AdapterReport {
  PeftAdapter adapter;
  std::string model, engine;
  std::vector<std::string> problems;  ///< with the model as a whole
  std::vector<PeftOption> refused;    ///< options that the engine refuses: then `kinds` is empty
  /// What of the adapter nothing is said about: options, and modules beside q, k and v that are of
  /// a larger lora_rank than the engine has.
  std::vector<std::string> unjudged;
  std::vector<std::string> other_modules;
  std::vector<AdapterKindReport> kinds;
};

[[nodiscard]] std::string adapter_text(const AdapterReport& report);

/// 0: served as PEFT means it wherever it is served; 1: it does not fit the model, or is served
/// wrongly or crashes somewhere; 3: nothing of q, k or v, refused everywhere, or something is not
/// judged.
[[nodiscard]] int adapter_exit_code(const AdapterReport& report);

}  // namespace tplora::core
