// Models and contracts by what the user called them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/contract/variants.hpp"
#include "sim/model/model_source.hpp"
#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// An engine's contract, read.
struct LoadedEngine {
  std::string argument;  ///< what the user called it
  std::shared_ptr<const ContractSet> contracts;
  std::shared_ptr<const BugRecord> bug;  ///< the published bug that the contract is, if it is one
  /// For a layer of no model in particular.
  [[nodiscard]] const Contract& contract() const { return *contracts->base(); }
};

/// Models and contracts, each read once.
class Library {
 public:
  /// `configs` must outlive the library.
  explicit Library(const ConfigFolders& configs) : configs_(configs) {}

  /// A name, a path or inline geometry.
  [[nodiscard]] Result<std::shared_ptr<const Model>> model(const std::string& argument);

  /// A name or a path. Refused: also a contract whose rounding program is not known, or contradicts
  /// where its pool multiplies by the scaling.
  [[nodiscard]] Result<std::shared_ptr<const ContractSet>> contract(const std::string& argument);

  /// The published bug that a contract is; null where its file has no bug record.
  [[nodiscard]] Result<std::shared_ptr<const BugRecord>> bug_record(const std::string& argument);

  /// Names of all collected models.
  [[nodiscard]] Result<std::vector<std::string>> all_models();

  /// As load_engine.
  [[nodiscard]] Result<LoadedEngine> engine(const std::string& argument);

  /// As prepare_layers, of what the case names. Refused: also what a model or contract is refused
  /// for.
  [[nodiscard]] Result<std::vector<PreparedCase>> prepare(const Case& one);

 private:
  const ConfigFolders& configs_;
  std::optional<std::vector<std::string>> all_models_;
  std::map<std::string, Result<std::shared_ptr<const Model>>> models_;
  std::map<std::string, std::shared_ptr<const ContractSet>> contracts_;
  std::map<std::string, std::shared_ptr<const BugRecord>> bug_records_;
};

/// Refused: as by Library::contract and Library::bug_record.
[[nodiscard]] Result<LoadedEngine> load_engine(const std::string& argument,
                                               const ConfigFolders& configs);

/// Every layer kind of the model, or the one that the case names, as one case each, under the
/// variant of the contract that is for it. What the case
/// calls its model and engine is not looked at. Refused: adapters in a form that the engine does
/// not take, a matrix unit that its rounding program has no use for, steps that its pool cannot do.
[[nodiscard]] Result<std::vector<PreparedCase>> prepare_layers(const Case& one, const Model& model,
                                                               const LoadedEngine& engine);

/// Makes a scenario one that the engine takes: adapters in its form, and a token for each tp_rank
/// where it cuts the batch over the ranks. What an adapter says of single parts stays, and is
/// refused later where the form has no words for it.
void fit_to_engine(Case& one, const Contract& contract);

}  // namespace tplora::core
