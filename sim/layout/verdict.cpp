#include "sim/layout/verdict.hpp"

#include <array>

#include "sim/base/ensure.hpp"

namespace tplora {
namespace {
constexpr std::array<std::string_view, 5> kVerdicts = {"not_applicable", "consistent", "silent",
                                                       "crash", "refused"};
constexpr std::array<std::string_view, kLawCount> kLaws = {
    "check", "fit", "identity", "bounds", "cover", "agreement", "residue", "pairing", "scaling"};
}  // namespace

std::string_view verdict_name(Verdict verdict) {
  const auto number = static_cast<std::size_t>(verdict);
  core::ensure(number < kVerdicts.size(), "each verdict has a name");
  return kVerdicts[number];
}

std::optional<Verdict> verdict_of(std::string_view name) {
  for (std::size_t i = 0; i < kVerdicts.size(); ++i) {
    if (kVerdicts[i] == name) {
      return static_cast<Verdict>(i);
    }
  }
  return std::nullopt;
}

std::string_view law_name(Law law) {
  const auto number = static_cast<std::size_t>(law);
  core::ensure(number < kLaws.size(), "each law has a name");
  return kLaws[number];
}

}  // namespace tplora
