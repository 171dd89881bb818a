#include "sim/layout/verdict.hpp"

#include <array>

namespace tplora {
namespace {
constexpr std::array<std::string_view, 5> kVerdicts = {"not_applicable", "consistent", "silent",
                                                       "crash", "refused"};
constexpr std::array<std::string_view, kLawCount> kLaws = {
    "check", "fit", "identity", "bounds", "cover", "agreement", "residue", "pairing", "scaling"};
}  // namespace

std::string_view verdict_name(Verdict verdict) {
  return kVerdicts[static_cast<std::size_t>(verdict)];
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
  return kLaws[static_cast<std::size_t>(law)];
}

}  // namespace tplora
