// A contract file for every class of models: what holds for most, and what holds for some instead.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/contract/contract.hpp"

namespace tplora::core {

/// What of a model an engine's choice of class and hooks goes by.
struct ModelTraits {
  std::string model_type;    ///< of the whole config; empty: a layer of no model in particular
  std::string architecture;  ///< the class that the config names first; empty: it names none
  std::string modules;       ///< of q, k and v as the checkpoint and adapters call them,
                             ///< "q_proj,k_proj,v_proj" or "W_pack"; empty: not known
};

/// An entry of `variants`: what of a model it is for. A list that is empty is not looked at.
struct VariantCondition {
  std::vector<std::string> model_types;  ///< "*": every one, but not a layer of no model
  std::vector<std::string> architectures;
  std::vector<std::string> modules;  ///< "*": every one that is known
  [[nodiscard]] bool holds_for(const ModelTraits& traits) const;
  friend bool operator==(const VariantCondition&, const VariantCondition&) = default;
};

/// A contract file compiled for every class of models that it tells apart.
class ContractSet {
 public:
  struct Variant {
    VariantCondition condition;
    std::shared_ptr<const Contract> contract;
  };
  /// Precondition: `base` is there.
  explicit ContractSet(std::shared_ptr<const Contract> base, std::vector<Variant> variants = {});

  /// What holds for a layer of no model in particular, and where no variant's condition does.
  [[nodiscard]] const std::shared_ptr<const Contract>& base() const { return base_; }
  [[nodiscard]] const std::vector<Variant>& variants() const { return variants_; }
  /// The first variant whose condition holds, else the base.
  [[nodiscard]] const std::shared_ptr<const Contract>& of(const ModelTraits& traits) const;
  /// The variant with this very condition, else the base.
  [[nodiscard]] const std::shared_ptr<const Contract>& with(
      const VariantCondition& condition) const;

 private:
  std::shared_ptr<const Contract> base_;
  std::vector<Variant> variants_;
};

/// As read_contract, with every variant. Refused: also what a variant, with its changes made, is
/// refused for.
[[nodiscard]] Result<ContractSet> read_contract_set(const std::filesystem::path& file,
                                                    const std::filesystem::path& configs = {});

/// As read_contract_set, for a `file` that holds `text`; the file itself need not exist.
[[nodiscard]] Result<ContractSet> parse_contract_set(std::string_view text,
                                                     const std::filesystem::path& file,
                                                     const std::filesystem::path& configs = {});

/// Finds a contract, as find_contract does, and reads it with every variant.
[[nodiscard]] Result<ContractSet> load_contract_set(const std::string& argument,
                                                    const std::filesystem::path& configs);

}  // namespace tplora::core
