#include "verify/mutants/blame_score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "verify/explain/blame.hpp"

namespace tplora::core {
namespace {

/// Points at which a place is tried before it counts as equivalent to the changed one.
constexpr std::size_t kTried = 8;

/// A formula in an entry that is missing or misplaced is that entry; a loop has one place for all.
bool is_at(const std::string& pointer, const std::string& place) {
  return pointer == place || pointer.starts_with(place + "/");
}

std::vector<std::string> suspects_at(const Contract& contract, const LayoutCase& input) {
  std::vector<std::string> pointers;
  const Analysis analysis = Analyser().run(contract, input);
  for (const Blame& one : blame(contract, input, analysis)) {
    for (const Suspect& suspect : one.suspects) {
      pointers.push_back(suspect.pointer);
    }
    break;  // of several roots, the first is what a reader sees
  }
  return pointers;
}

}  // namespace

std::string_view named_name(Named named) {
  constexpr std::array<std::string_view, 4> kNames = {"first", "equivalent", "later", "never"};
  return kNames[static_cast<std::size_t>(named)];
}

std::optional<BlamedMutant> blame_mutant(const Judge& judge, const Mutant& mutant) {
  const std::vector<LayoutCase> broken = judge.broken_points(mutant.contract, kTried);
  if (broken.empty()) {
    return std::nullopt;
  }
  Contract flat = mutant.contract;
  flat.extends.clear();
  const std::vector<std::string> named = suspects_at(flat, broken.front());
  const auto found = std::find_if(named.begin(), named.end(), [&](const std::string& pointer) {
    return is_at(pointer, mutant.place);
  });
  const QkvGeometry& g = broken.front().geometry;
  BlamedMutant result{
      .named = found == named.end()     ? Named::never
               : found == named.begin() ? Named::first
                                        : Named::later,
      .blamed = named.empty() ? "" : named.front(),
      .case_text = fmt::format(
          "H={},KV={},D={},Dv={},gate={} tp={} r={} R={}", g.num_attention_heads,
          g.num_key_value_heads, g.head_dim, g.v_head_dim, g.q_multiplier,
          broken.front().deployment.tp_size,
          broken.front().adapters.empty() ? 0 : broken.front().adapters.front().lora_rank,
          broken.front().deployment.max_lora_rank)};
  if (result.named == Named::first || named.empty()) {
    return result;
  }
  const bool everywhere = std::all_of(broken.begin() + 1, broken.end(), [&](const LayoutCase& at) {
    const auto others = suspects_at(flat, at);
    return std::find(others.begin(), others.end(), named.front()) != others.end();
  });
  if (everywhere && broken.size() > 1) {
    result.named = Named::equivalent;
  }
  return result;
}

}  // namespace tplora::core
