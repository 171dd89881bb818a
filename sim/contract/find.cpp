#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "sim/contract/contract.hpp"

namespace tplora::core {
namespace {

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".json") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::vector<std::string> list_contracts(const std::filesystem::path& configs,
                                        const std::string& kind) {
  return names_in(configs / kind);
}

Result<std::filesystem::path> find_contract(const std::string& argument,
                                            const std::filesystem::path& configs) {
  for (const auto* kind : {"engines", "bugs"}) {
    const auto names = names_in(configs / kind);
    if (std::find(names.begin(), names.end(), argument) != names.end()) {
      return configs / kind / (argument + ".json");
    }
  }
  if (argument.ends_with(".json") || argument.find('/') != std::string::npos) {
    return std::filesystem::path(argument);
  }
  return fail(
      fmt::format("engine \"{}\" is not known, expected a path to a contract file or one "
                  "of: {}, {}",
                  argument, fmt::join(names_in(configs / "engines"), ", "),
                  fmt::join(names_in(configs / "bugs"), ", ")));
}

Result<Contract> load_contract(const std::string& argument, const std::filesystem::path& configs) {
  return find_contract(argument, configs).and_then([&](const std::filesystem::path& file) {
    return read_contract(file, configs);
  });
}

}  // namespace tplora::core
