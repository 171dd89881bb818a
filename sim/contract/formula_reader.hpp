// Formulas of a contract file as they are read, each over the names that are defined by then.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/fields.hpp"
#include "sim/contract/contract.hpp"
#include "sim/contract/document.hpp"

namespace tplora::core {

class FormulaReader {
 public:
  /// `contract` holds the names, and the lets among them. All three must outlive the reader.
  FormulaReader(const ContractDocument& document, Contract& contract, FirstError& errors);

  /// A formula is a JSON string, or an integer for a constant. Refused: what Formula::parse
  /// refuses, and more formulas than a contract may have.
  [[nodiscard]] Result<Formula> parse(const JsonView& view);
  /// The same for the reader's own errors; an empty formula where there is one.
  [[nodiscard]] Formula read(const JsonView& view);
  [[nodiscard]] Formula read(const Fields& fields, std::string_view key);
  [[nodiscard]] std::optional<Formula> read_optional(const Fields& fields, std::string_view key);
  /// A formula whose value must be known before any adapter is; else refused with `sentence`.
  [[nodiscard]] Formula read_before_load(const JsonView& view, std::string_view sentence);

  /// The entry's `for`: its indices are names from here on, until close_loops.
  [[nodiscard]] std::vector<Loop> open_loops(const Fields& entry);
  /// Precondition: the loops opened last.
  void close_loops(const std::vector<Loop>& loops);

  /// Where `view` was written.
  [[nodiscard]] Place place(const JsonView& view) const;
  [[nodiscard]] FirstError& errors() { return *errors_; }
  /// One more than the highest number any name had.
  [[nodiscard]] int value_count() const { return value_count_; }

 private:
  const ContractDocument* document_;
  Contract* contract_;
  FirstError* errors_;
  int formulas_ = 0;
  int value_count_ = 0;
};

}  // namespace tplora::core
