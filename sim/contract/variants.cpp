#include "sim/contract/variants.hpp"

#include <algorithm>
#include <utility>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

bool lists(const std::vector<std::string>& list, const std::string& word) {
  return list.empty() ||
         (!word.empty() && std::any_of(list.begin(), list.end(), [&](const std::string& one) {
           return one == "*" || one == word;
         }));
}

}  // namespace

bool VariantCondition::holds_for(const ModelTraits& traits) const {
  return lists(model_types, traits.model_type) && lists(architectures, traits.architecture) &&
         lists(modules, traits.modules);
}

ContractSet::ContractSet(std::shared_ptr<const Contract> base, std::vector<Variant> variants)
    : base_(std::move(base)), variants_(std::move(variants)) {
  ensure(base_ != nullptr, "a set of contracts has a base");
}

const std::shared_ptr<const Contract>& ContractSet::of(const ModelTraits& traits) const {
  for (const Variant& variant : variants_) {
    if (variant.condition.holds_for(traits)) {
      return variant.contract;
    }
  }
  return base_;
}

const std::shared_ptr<const Contract>& ContractSet::with(const VariantCondition& condition) const {
  const auto found = std::find_if(variants_.begin(), variants_.end(), [&](const Variant& variant) {
    return variant.condition == condition;
  });
  return found == variants_.end() ? base_ : found->contract;
}

Result<ContractSet> load_contract_set(const std::string& argument,
                                      const std::filesystem::path& configs) {
  return find_contract(argument, configs).and_then([&](const std::filesystem::path& file) {
    return read_contract_set(file, configs);
  });
}

}  // namespace tplora::core
