// A case with everything it names read and resolved.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/contract/variants.hpp"
#include "sim/data/logical_tensors.hpp"
#include "sim/model/geometry.hpp"
#include "verify/case/bug_record.hpp"
#include "verify/case/case.hpp"

namespace tplora::core {

/// Where models, engines, bugs and suites live.
struct ConfigFolders {
  std::filesystem::path root;
  [[nodiscard]] std::filesystem::path models() const { return root / "models"; }
};

/// What a case must come out as, and who says so.
struct Expectation {
  std::optional<Verdict> verdict = Verdict::consistent;  ///< nothing: whatever comes is told
  std::string shape_check;           ///< "pass", "fail", or empty: not looked at
  std::vector<std::string> finding;  ///< each must stand in the message of some finding
  std::string reason;                ///< for an exception: why
  std::string link;
};

/// A case with everything it names resolved. A layer without qkv projection has no geometry; its
/// verdict is not_applicable. A suite's case whose model cannot be read has none either, and
/// nothing but `spec`, `numbers`, `expect` and `unreadable`.
struct PreparedCase {
  Case spec;                                 ///< what was asked
  std::shared_ptr<const Contract> contract;  ///< the variant that is for `traits`
  ModelTraits traits;
  std::optional<QkvGeometry> geometry;
  std::string kind;                  ///< the layer kind's name
  std::vector<std::int64_t> layers;  ///< indices of the layers of this kind
  std::string why_no_qkv;
  std::shared_ptr<const LogicalTensors> tensors;  ///< with data=file its own; else nothing
  CheckpointForm checkpoint;
  std::shared_ptr<const BugRecord> bug;  ///< the published bug that the contract is, if it is one
  bool numbers = false;                  ///< run the numbers too, not only the laws
  bool explain = true;                   ///< look for the causes of what is wrong
  Expectation expect;
  std::string role;  ///< of a bug's case: published, smallest or invisible; else empty
  std::optional<Error> unreadable = {};  ///< why there is no verdict on it
};

/// Resolves one case for `replay` and `layout`: its engine, its model, its layer kind. With an
/// empty `layer`, the model must have only one kind with a qkv projection.
[[nodiscard]] Result<PreparedCase> prepare(Case one, const ConfigFolders& configs);

/// Every layer kind of the case's model, as one case each.
[[nodiscard]] Result<std::vector<PreparedCase>> prepare_all_layers(const Case& one,
                                                                   const ConfigFolders& configs);

}  // namespace tplora::core
