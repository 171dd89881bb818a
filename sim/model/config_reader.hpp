// From a Hugging Face config.json to the qkv geometry of each layer kind.
#pragma once

#include <string>

#include "sim/base/json.hpp"
#include "sim/base/result.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Reads a config. `model_type` (or, where that key is absent, `architectures`) selects one row of
/// the family table (family_rules.cpp); nothing depends on the model's name, which only labels the
/// result.
///
/// Post-condition: at least one layer kind; kinds have distinct names and disjoint indices; every
/// geometry passes `validate`. A model whose layers all look alike has one kind called "all".
///
/// Refused, with file, JSON pointer, what was found and what was expected: a family without a row
/// (never guessed, however complete its keys), a missing key that neither the family's model class
/// nor another key settles, wrong types, counts outside their range, more than kMaxLayers layers,
/// lists that do not fit the layer count, two spellings of one key that disagree.
[[nodiscard]] Result<Model> read_config(const JsonView& root, const std::string& name);

}  // namespace tplora::core
