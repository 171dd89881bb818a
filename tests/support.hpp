// What several tests need: the repository's files, contracts, small geometries.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "sim/layout/analysis.hpp"
#include "tests/catch.hpp"
#include "verify/case/suite.hpp"

namespace tplora::test {

using namespace core;

inline ConfigFolders configs() {
  return {std::filesystem::path(TPLORA_SOURCE_DIR) / "configs"};
}

inline Contract contract(const std::string& name) {
  auto found = load_contract(name, configs().root);
  if (!found) {
    FAIL(found.error().text());
  }
  return *found;
}

/// Names in a folder of the repository's configs.
inline std::vector<std::string> contracts_in(const std::string& kind) {
  auto names = list_contracts(configs().root, kind);
  if (!names) {
    FAIL(names.error().text());
  }
  return *names;
}

struct Shape {
  std::int64_t H, KV, D, Dv = 0, gate = 1;
};

inline QkvGeometry geometry(Shape s) {
  const std::int64_t v = s.Dv == 0 ? s.D : s.Dv;
  return {.hidden_size = 16,
          .num_attention_heads = s.H,
          .num_key_value_heads = s.KV,
          .head_dim = s.D,
          .v_head_dim = v,
          .q_multiplier = s.gate,
          .qkv_bias = false,
          .config_num_attention_heads = s.H,
          .config_num_key_value_heads = s.KV,
          .config_head_dim = s.D};
}

/// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tplora-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tplora::test
