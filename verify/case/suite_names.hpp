// Models and engines as suites name them: single ones, patterns and folders.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/case/library.hpp"

namespace tplora::core {

/// Every argument stands for a list of what `Library` takes (docs/formats/suite.md):
///
/// - `*` and patterns with `*`, `?` or `[..]`: names of the collection that fit, of engines without
///   published bugs; these fit patterns behind `bugs/`;
/// - a pattern that ends in .json or starts with / ./ or ../, and is not itself a file: files that
/// fit, and what folders that
///   fit hold;
/// - a folder: of models what it and the folders below it hold, one with a config.json just that;
///   of engines its *.json;
/// - anything else: itself; a path from where the suite lies.
class SuiteNames {
 public:
  /// `folder`: of the suite. Both must outlive it.
  SuiteNames(Library& library, const ConfigFolders& configs, std::filesystem::path folder)
      : library_(library), configs_(configs), folder_(std::move(folder)) {}

  /// Refused: a pattern or folder without any, folders that cannot be read. What stands for itself
  /// need not be there: that is found when it is read.
  [[nodiscard]] Result<std::vector<std::string>> models(const std::string& argument);
  [[nodiscard]] Result<std::vector<std::string>> engines(const std::string& argument);

 private:
  [[nodiscard]] Result<std::vector<std::string>> names(const std::string& argument, bool models);
  [[nodiscard]] Result<std::vector<std::string>> all(bool models);
  [[nodiscard]] std::filesystem::path from_suite(const std::string& path) const;
  [[nodiscard]] std::string pattern_from_suite(const std::string& pattern) const;

  Library& library_;
  const ConfigFolders& configs_;
  std::filesystem::path folder_;
};

}  // namespace tplora::core
