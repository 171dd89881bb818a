// A contract file with `extends` resolved: one JSON document that remembers who wrote what.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/base/json.hpp"
#include "sim/base/place.hpp"
#include "sim/base/result.hpp"

namespace tplora::core {

/// The merged document. `extends` names another contract; `replace` and `add` map JSON pointers to
/// new values (replace: must exist; add: must not, "-" appends to a list), `remove` lists pointers;
/// any other key replaces that whole section of the extended contract.
class ContractDocument {
 public:
  /// `extends` names a contract beside the file, in ../engines, in the engines or bugs of `configs`
  /// (empty: none), or at a path from the file's folder.
  static Result<ContractDocument> read(const std::filesystem::path& file,
                                       const std::filesystem::path& configs);
  /// As read, for a `file` that holds `text`: what it extends is looked up beside `file`.
  static Result<ContractDocument> parse(std::string_view text, const std::filesystem::path& file,
                                        const std::filesystem::path& configs);

  /// The document with the changes that entry `i` of its `variants` makes. Refused: as by `read`.
  /// Precondition: there is such an entry, an object.
  [[nodiscard]] Result<ContractDocument> variant(std::size_t i) const;

  [[nodiscard]] const Json& json() const { return json_; }
  /// Where the value now standing at `pointer` was written. Precondition: a JSON pointer.
  [[nodiscard]] Place place(const std::string& pointer) const;
  /// Names of the contracts extended, the nearest first.
  [[nodiscard]] const std::vector<std::string>& extended() const { return extended_; }
  /// The nearest of these, as it stands alone; nullptr: there is none.
  [[nodiscard]] const std::shared_ptr<const ContractDocument>& base() const { return base_; }
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

 private:
  struct Chain {
    std::vector<std::filesystem::path> files;  ///< that lead here, each extending the next
    std::filesystem::path configs;
  };
  static Result<ContractDocument> read_below(const std::filesystem::path& file, Chain& chain);
  static Result<ContractDocument> parse_below(std::string_view text,
                                              const std::filesystem::path& file, Chain& chain);
  Result<void> apply(const JsonView& child);
  Result<void> make_edits(const JsonView& child);
  Result<void> edit(const JsonView& child, const std::string& verb);
  Result<void> remove(const JsonView& child);
  void wrote(const std::string& pointer, const JsonView& where);
  /// Entries behind one that goes keep the places at which they were written. `size`: with it.
  void close_gap(const std::string& list, std::size_t entry, std::size_t size);

  Json json_;
  std::filesystem::path file_;
  std::vector<std::string> extended_;
  std::shared_ptr<const ContractDocument> base_;
  std::map<std::string, Place> origin_;  ///< by pointer; longest prefix wins
};

}  // namespace tplora::core
