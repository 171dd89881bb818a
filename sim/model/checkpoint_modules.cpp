#include "sim/model/checkpoint_modules.hpp"

#include <algorithm>
#include <string_view>

namespace tplora::core {

// The table writes them as one text: "self_attn.q_proj,k_proj,v_proj".
CheckpointModules modules_of(const CheckpointForm& form) {
  std::string_view tensors = form.tensors.substr(0, form.tensors.find(" or "));
  const auto comma = tensors.find(',');
  const auto dot = tensors.substr(0, comma).rfind('.');
  const std::string path(dot == std::string_view::npos ? "" : tensors.substr(0, dot + 1));
  std::string_view rest = tensors.substr(path.size());
  std::vector<std::string> names;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(','), rest.size());
    names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {path, names};
}

}  // namespace tplora::core
