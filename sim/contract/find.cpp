#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "sim/base/json.hpp"
#include "sim/base/printable.hpp"
#include "sim/contract/contract.hpp"

namespace tplora::core {
namespace {

/// What stands in a sentence about names that are not known; empty where there are none.
std::string known_names(const std::filesystem::path& configs) {
  std::vector<std::string> all;
  for (const char* kind : {"engines", "bugs"}) {
    const auto names = list_contracts(configs, kind);
    if (names) {
      all.insert(all.end(), names->begin(), names->end());
    }
  }
  return fmt::format("{}", fmt::join(all, ", "));
}

}  // namespace

Result<std::vector<std::string>> list_contracts(const std::filesystem::path& configs,
                                                const std::string& kind) {
  return json_files_in(configs / kind)
      .and_then(
          [&](const std::vector<std::filesystem::path>& files) -> Result<std::vector<std::string>> {
            if (files.empty()) {
              return fail(fmt::format("no {} here, expected *.json", kind),
                          (configs / kind).string());
            }
            std::vector<std::string> names;
            for (const auto& file : files) {
              names.push_back(file.stem().string());
            }
            std::sort(names.begin(), names.end());
            return names;
          });
}

Result<std::filesystem::path> find_contract(const std::string& argument,
                                            const std::filesystem::path& configs) {
  const bool name = !argument.empty() && argument.find('/') == std::string::npos;
  for (const auto* kind : {"engines", "bugs"}) {
    std::error_code unreadable;
    const auto file = configs / kind / (argument + ".json");
    if (name && std::filesystem::exists(std::filesystem::symlink_status(file, unreadable))) {
      return file;
    }
  }
  if (argument.ends_with(".json") || argument.find('/') != std::string::npos) {
    return std::filesystem::path(argument);
  }
  return fail(
      fmt::format("engine \"{}\" is not known, expected a path to a contract file or one of: {}",
                  excerpt(argument), known_names(configs)));
}

Result<Contract> load_contract(const std::string& argument, const std::filesystem::path& configs) {
  return find_contract(argument, configs).and_then([&](const std::filesystem::path& file) {
    return read_contract(file, configs);
  });
}

}  // namespace tplora::core
