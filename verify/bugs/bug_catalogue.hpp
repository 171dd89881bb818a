// Published bugs beside a contract: which of them does the same, and which a suite could not tell
// from it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/layout/analysis.hpp"
#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// The contracts of configs/bugs that have a bug record and extend the contract of an engine.
class BugCatalogue {
 public:
  /// Refused: a file of configs/bugs that cannot be read.
  [[nodiscard]] static Result<BugCatalogue> read(const ConfigFolders& configs);

  /// Names of the bugs that do on this case, and on its layer at other tp_sizes that neither
  /// refuses, exactly what its contract does, failures and broken laws alike; empty where nothing
  /// is wrong. The name is attached to what was found, it is not how it was found. Never the case's
  /// own contract.
  [[nodiscard]] std::vector<std::string> same_faults(const PreparedCase& item) const;

  /// The case under each bug's contract instead of its own, where that is silently wrong and claims
  /// to work otherwise. The contract's name is the bug's.
  [[nodiscard]] std::vector<PreparedCase> under_bugs(const PreparedCase& item) const;

  /// A bug of an engine in a suite that no case of the suite could have shown: in each of them the
  /// engine with the bug does what the engine does without.
  struct BlindSpot {
    std::string engine;
    std::string bug;
    std::string title;
    /// The nearest case that shows it: one of the suite with another tp_size or lora_rank, else
    /// the smallest geometry of the bug's record.
    std::string nearest;
    friend bool operator==(const BlindSpot&, const BlindSpot&) = default;
  };
  /// On `jobs` threads (0: one for each core).
  [[nodiscard]] std::vector<BlindSpot> blind_spots(const std::vector<PreparedCase>& cases,
                                                   int jobs = 1) const;

 private:
  struct Entry {
    BugRecord record;
    std::shared_ptr<const ContractSet> bug;
    std::shared_ptr<const ContractSet> healthy;  ///< that the bug's contract extends
  };
  explicit BugCatalogue(ConfigFolders configs) : configs_(std::move(configs)) {}
  [[nodiscard]] std::optional<PreparedCase> prepare_case(const Entry& entry,
                                                         const BugRecord::BugCase& published,
                                                         const std::string& engine) const;
  [[nodiscard]] std::string smallest_case(const Entry& entry, const std::string& engine) const;
  [[nodiscard]] std::optional<BlindSpot> blind_spot(
      const Entry& entry, const std::vector<const PreparedCase*>& items) const;
  [[nodiscard]] std::set<std::size_t> kinds_of_report(const Entry& entry, Analyser& analyser) const;

  ConfigFolders configs_;
  std::vector<Entry> entries_;
};

/// Names for what is wrong with cases. The bugs are read when something first is. May be asked from
/// several threads.
class FaultNames {
 public:
  explicit FaultNames(ConfigFolders configs) : configs_(std::move(configs)) {}

  /// BugCatalogue::same_faults of a case of which the verdict is known; none where the folder of
  /// configs has no bugs. Refused: bugs that cannot be read.
  [[nodiscard]] Result<std::vector<std::string>> of(const PreparedCase& item,
                                                    Verdict verdict) const;

 private:
  ConfigFolders configs_;
  mutable std::once_flag read_;
  mutable std::optional<Result<BugCatalogue>> catalogue_;  ///< nothing: there are none
};

}  // namespace tplora::core
