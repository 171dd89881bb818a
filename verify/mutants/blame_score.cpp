#include "verify/mutants/blame_score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "verify/explain/blame.hpp"

namespace tplora::core {
namespace {

/// Points at which a place is tried before it counts as equivalent to the changed one: one of each
/// tp_size that the mutant breaks, and others.
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

std::string case_text(const LayoutCase& at) {
  const QkvGeometry& g = at.geometry;
  return fmt::format("H={},KV={},D={},Dv={},gate={} tp={} r={} R={}", g.num_attention_heads,
                     g.num_key_value_heads, g.head_dim, g.v_head_dim, g.q_multiplier,
                     at.deployment.tp_size, at.adapters.empty() ? 0 : at.adapters.front().lora_rank,
                     at.deployment.max_lora_rank);
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
  flat.base = [] { return nullptr; };  // which the mutant does not extend
  std::vector<std::vector<std::string>> suspects;
  for (const LayoutCase& at : broken) {
    suspects.push_back(suspects_at(flat, at));
  }
  const auto repairs_everywhere = [&](const std::string& pointer) {
    return std::all_of(suspects.begin(), suspects.end(), [&](const auto& named) {
      return std::find(named.begin(), named.end(), pointer) != named.end();
    });
  };
  const auto how = [&](const std::vector<std::string>& named) {
    const auto found = std::find_if(named.begin(), named.end(), [&](const std::string& pointer) {
      return is_at(pointer, mutant.place);
    });
    if (found == named.begin() && found != named.end()) {
      return Named::first;
    }
    if (!named.empty() && broken.size() > 1 && repairs_everywhere(named.front())) {
      return Named::equivalent;
    }
    return found == named.end() ? Named::never : Named::later;
  };
  BlamedMutant result;
  std::set<std::int64_t> tp_sizes;
  for (std::size_t i = 0; i < broken.size(); ++i) {
    if (!tp_sizes.insert(broken[i].deployment.tp_size).second) {
      continue;
    }
    const Named named = how(suspects[i]);
    ++result.counts[named];
    if (i == 0 || named > result.worst) {
      result.worst = named;
      result.blamed = suspects[i].empty() ? "" : suspects[i].front();
      result.case_text = case_text(broken[i]);
    }
  }
  return result;
}

}  // namespace tplora::core
