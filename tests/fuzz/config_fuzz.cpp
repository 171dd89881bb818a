#include <set>

#include "sim/base/json.hpp"
#include "sim/model/config_reader.hpp"
#include "tests/fuzz/target.hpp"

namespace tplora::fuzz {

using namespace core;

void config(std::string_view bytes) {
  const auto json = parse_json(bytes, "config.json");
  const auto model = json ? read_config(JsonView(*json, "config.json"), "fuzz")
                          : Result<Model>(fail(json.error()));
  if (!model) {
    return check_error(model.error(), "config.json");
  }
  check(!model->layer_kinds.empty(), "a model has a layer kind");
  std::set<std::string> names;
  std::set<std::int64_t> indices;
  for (const LayerKind& kind : model->layer_kinds) {
    check(names.insert(kind.kind).second, "layer kinds have distinct names");
    for (const std::int64_t index : kind.indices) {
      check(index >= 0 && indices.insert(index).second, "layer kinds have disjoint indices");
    }
    check(kind.geometry.has_value() == kind.why_no_qkv.empty(),
          "a kind has a geometry or says why it has none");
    check(!kind.geometry || validate(*kind.geometry).has_value(), "every geometry is valid");
  }
}

}  // namespace tplora::fuzz
