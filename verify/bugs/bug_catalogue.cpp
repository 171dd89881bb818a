#include "verify/bugs/bug_catalogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "sim/base/parallel_for.hpp"
#include "sim/layout/claims.hpp"

namespace tplora::core {
namespace {

/// A failure, apart from the formula behind it.
struct FailureEffect {
  Verdict verdict = Verdict::refused;
  Law law = Law::check;
  std::int64_t tp_rank = 0;
  std::optional<Place> place;  ///< but for law fit: only the very same check is the same fault
  std::vector<std::int64_t> b_rows, a_rows;       ///< with law fit: of the rank's buffers,
  std::vector<std::vector<std::int64_t>> slices;  ///< and of the slices, by pool event
  friend auto operator<=>(const FailureEffect&, const FailureEffect&) = default;
};

/// The factors of an adapter on a rank, by Part, as an event of the pool leaves them. As floats:
/// equal factors are equal however they are written.
struct Factor {
  std::int64_t tp_rank = 0;
  int adapter = 0;
  int event = 0;
  std::array<float, 3> factors = {};
  friend auto operator<=>(const Factor&, const Factor&) = default;
};

/// What a contract does to a case: verdict, failures and broken laws, without their formulas.
struct Effects {
  Verdict verdict = Verdict::consistent;
  std::set<FailureEffect> failures;
  std::set<Violation> violations;
  std::set<Factor> factors;  ///< where law 8 is broken
  friend bool operator==(const Effects&, const Effects&) = default;
};

FailureEffect effect_of(const PlanFailure& failure, const Analysis& analysis) {
  FailureEffect effect{
      .verdict = failure.verdict,
      .law = failure.law,
      .tp_rank = failure.tp_rank,
      .place = failure.law == Law::fit ? std::nullopt : std::optional(failure.place),
      .b_rows = {},
      .a_rows = {},
      .slices = {}};
  if (failure.law == Law::fit) {
    const RankState& rank = analysis.ranks[static_cast<std::size_t>(failure.tp_rank)];
    effect.b_rows = rank.build.b_rows;
    effect.a_rows = rank.build.a_rows;
    for (int event = 0; rank.has_load(event); ++event) {
      effect.slices.push_back(rank.load(event).slice_rows);
    }
  }
  return effect;
}

/// Nothing where a formula has no value.
std::optional<Effects> effects_of(const Contract& contract, const LayoutCase& input,
                                  Analyser& analyser) {
  const Analysis& analysis = analyser.run(contract, input);
  if (analysis.bad_contract) {
    return std::nullopt;
  }
  Effects effects{.verdict = analysis.verdict, .failures = {}, .violations = {}, .factors = {}};
  for (const PlanFailure& failure : analysis.failures) {
    effects.failures.insert(effect_of(failure, analysis));
  }
  for (const Violation& violation : analysis.violations) {
    effects.violations.insert(violation);
    if (const auto* scaling = std::get_if<WrongScaling>(&violation)) {
      const RankState& rank = analysis.ranks[static_cast<std::size_t>(scaling->tp_rank)];
      for (const LiveAdapter& live : analysis.live) {
        for (const int event :
             scaling_events(contract.pool.scale, analysis.events, live.event, live.scaled)) {
          const RankLoad& load = rank.load(event);
          effects.factors.insert(
              {scaling->tp_rank,
               live.adapter,
               event,
               {load.scaling(Part::q), load.scaling(Part::k), load.scaling(Part::v)}});
        }
      }
    }
  }
  return effects;
}

/// Whether the contract takes the case's adapters, and they are the layer's own: what becomes of
/// another model's is no fault of formulas, so that equal outcomes say nothing.
bool takes_case(const Contract& contract, const Case& one) {
  return std::all_of(one.adapters.begin(), one.adapters.end(), [&](const AdapterSpec& adapter) {
    return adapter.shared_a == contract.takes_fused_adapters() &&
           adapter.part_rows == std::array<std::int64_t, 3>{};
  });
}

/// Whether the bug would show where the item's engine serves its layer as `one`. Not where the
/// engine refuses the model's class: the bug may be of an engine that has other classes.
bool shows(const Contract& bug, const PreparedCase& item, const Case& one, Analyser& analyser) {
  const LayoutCase input = layout_case(one, *item.geometry);
  const auto healthy = effects_of(*item.contract, input, analyser);
  const auto sick = effects_of(bug, input, analyser);
  const bool served =
      item.contract->variant.empty() || (healthy && healthy->verdict != Verdict::refused);
  return healthy && sick && served && *healthy != *sick;
}

/// Whether a contract does to the item's layer what the bug does at other tp_sizes too, wherever
/// the bug claims something and neither refuses. At one alone, two faults may leave the same rows.
bool alike_elsewhere(const Contract& contract, const Contract& bug, const PreparedCase& item,
                     Analyser& analyser) {
  constexpr std::array<std::int64_t, 6> kSizes = {1, 2, 4, 8, 16, 32};
  return std::all_of(kSizes.begin(), kSizes.end(), [&](std::int64_t size) {
    Case elsewhere = item.spec;
    elsewhere.tp_size = size;
    if (size % elsewhere.dp_size != 0) {
      return true;
    }
    const LayoutCase input = layout_case(elsewhere, *item.geometry);
    if (!inside_claims(bug, input.geometry, input.deployment).value_or(false)) {
      return true;
    }
    const auto own = effects_of(contract, input, analyser);
    const auto published = effects_of(bug, input, analyser);
    const auto refuses = [](const std::optional<Effects>& effects) {
      return effects && effects->verdict == Verdict::refused;
    };
    return own == published || refuses(own) || refuses(published);
  });
}

/// Cases of a suite whose neighbourhood is searched for one that shows a bug.
constexpr std::size_t kNeighbourhoods = 8;

/// The nearest tp_size at which the case, or else one with room beside its lora_ranks, shows the
/// bug.
std::optional<Case> near_case(const Contract& bug, const PreparedCase& item, Analyser& analyser) {
  std::vector<std::int64_t> sizes = {1, 2, 3, 4, 6, 8, 12, 16, 32, 64};
  std::stable_sort(sizes.begin(), sizes.end(), [&](std::int64_t a, std::int64_t b) {
    return std::abs(a - item.spec.tp_size) < std::abs(b - item.spec.tp_size);
  });
  for (const std::int64_t room : {1, 2}) {
    for (const std::int64_t size : sizes) {
      Case one = item.spec;
      one.tp_size = size;
      one.max_lora_rank *= room;
      if (size % one.dp_size == 0 && shows(bug, item, one, analyser)) {
        return one;
      }
    }
  }
  return std::nullopt;
}

/// Which kinds of thing are wrong; empty where something fails.
std::set<std::size_t> kinds_of(const Effects& effects) {
  std::set<std::size_t> kinds;
  for (const Violation& violation : effects.violations) {
    kinds.insert(violation.index());
  }
  return effects.failures.empty() ? kinds : std::set<std::size_t>{};
}

/// What a record's case is run with unless it says so itself.
constexpr const char* kScenario =
    "R=16 slots=2 adapters=a:r16:alpha32:{0},b:r8:alpha8:{0} tokens=a,b,-,a";
}  // namespace

Result<BugCatalogue> BugCatalogue::read(const ConfigFolders& configs) {
  BugCatalogue catalogue(configs);
  std::map<std::string, std::shared_ptr<const ContractSet>> engines;  // many bugs extend one
  const auto names = list_contracts(configs.root, "bugs");
  if (!names) {
    return fail(names.error());
  }
  for (const std::string& name : *names) {
    auto contracts = load_contract_set(name, configs.root);
    if (!contracts) {
      return fail(contracts.error());
    }
    const Contract& bug = *contracts->base();
    auto record = read_bug_record(bug.file);
    if (!record) {
      return fail(record.error());
    }
    if (*record && !bug.extends.empty()) {
      auto& healthy = engines[bug.extends.front()];
      if (!healthy) {
        auto engine = load_contract_set(bug.extends.front(), configs.root);
        if (!engine) {
          return fail(engine.error());
        }
        healthy = std::make_shared<const ContractSet>(*std::move(engine));
      }
      catalogue.entries_.push_back({**std::move(record),
                                    std::make_shared<const ContractSet>(*std::move(contracts)),
                                    healthy});
    }
  }
  return catalogue;
}

// One case of the record, under `engine`. Nothing where it cannot be prepared.
std::optional<PreparedCase> BugCatalogue::prepare_case(const Entry& entry,
                                                       const BugRecord::BugCase& published,
                                                       const std::string& engine) const {
  const bool fused = entry.bug->base()->takes_fused_adapters();
  const std::string rest = published.case_line.empty()
                               ? fmt::format(fmt::runtime(kScenario), fused ? "fused" : "qkv")
                               : published.case_line;
  auto item = parse_scenario(rest).and_then([&](Case scenario) {
    scenario.layer = published.layer.empty() ? scenario.layer : published.layer;
    return with_deployment(std::move(scenario), published.model, engine, published.tp_size)
        .and_then([&](Case one) { return prepare(std::move(one), configs_); });
  });
  return item && item->geometry ? std::optional(*std::move(item)) : std::nullopt;
}

// The record's smallest case under `engine`, if it shows the bug there; else empty.
std::string BugCatalogue::smallest_case(const Entry& entry, const std::string& engine) const {
  Analyser analyser;
  for (const BugRecord::BugCase& published : entry.record.cases) {
    const auto item =
        published.role == "smallest" ? prepare_case(entry, published, engine) : std::nullopt;
    if (item && shows(*entry.bug->of(item->traits), *item, item->spec, analyser)) {
      return print_case(item->spec);
    }
  }
  return "";
}

// Which kinds of thing are wrong in the record's smallest case.
std::set<std::size_t> BugCatalogue::kinds_of_report(const Entry& entry, Analyser& analyser) const {
  const std::string engine = entry.bug->base()->extends.front();
  for (const BugRecord::BugCase& published : entry.record.cases) {
    const auto item =
        published.role == "smallest" ? prepare_case(entry, published, engine) : std::nullopt;
    if (item) {
      const auto effects = effects_of(*entry.bug->of(item->traits),
                                      layout_case(item->spec, *item->geometry), analyser);
      return effects ? kinds_of(*effects) : std::set<std::size_t>{};
    }
  }
  return {};
}

std::vector<std::string> BugCatalogue::same_faults(const PreparedCase& item) const {
  std::vector<std::string> names;
  if (!item.geometry) {
    return names;
  }
  Analyser analyser;
  const LayoutCase input = layout_case(item.spec, *item.geometry);
  const auto own = effects_of(*item.contract, input, analyser);
  if (!own || (own->verdict != Verdict::silent && own->verdict != Verdict::crash)) {
    return names;
  }
  std::vector<const Entry*> still_there;  // in the engine itself, which is no witness then
  for (const Entry& entry : entries_) {
    const Contract& bug = *entry.bug->of(item.traits);
    const Contract& healthy = *entry.healthy->of(item.traits);
    // Outside its claims a contract does whatever it does: that is not what was published.
    if (bug.name == item.contract->name || !takes_case(bug, item.spec) ||
        !inside_claims(bug, input.geometry, input.deployment).value_or(false) ||
        effects_of(bug, input, analyser) != own) {
      continue;
    }
    if (effects_of(healthy, input, analyser) == own) {
      still_there.push_back(&entry);
    } else if (alike_elsewhere(*item.contract, bug, item, analyser)) {
      names.push_back(bug.name);
    }
  }
  // What other engines' bugs do here too is theirs where it is what their report is about.
  for (const Entry* entry : still_there) {
    if (!names.empty() && kinds_of(*own) == kinds_of_report(*entry, analyser)) {
      names.push_back(entry->bug->base()->name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<PreparedCase> BugCatalogue::under_bugs(const PreparedCase& item) const {
  std::vector<PreparedCase> found;
  if (!item.geometry) {
    return found;
  }
  Analyser analyser;
  const LayoutCase input = layout_case(item.spec, *item.geometry);
  for (const Entry& entry : entries_) {
    const auto& bug = entry.bug->of(item.traits);
    if (!takes_case(*bug, item.spec) ||
        !inside_claims(*bug, input.geometry, input.deployment).value_or(false)) {
      continue;
    }
    const auto effects = effects_of(*bug, input, analyser);
    if (effects && effects->verdict == Verdict::silent) {
      found.push_back(item);
      found.back().contract = bug;
    }
  }
  return found;
}

std::vector<BugCatalogue::BlindSpot> BugCatalogue::blind_spots(
    const std::vector<PreparedCase>& cases, int jobs) const {
  std::map<std::string, std::vector<const PreparedCase*>> by_engine;
  for (const PreparedCase& item : cases) {
    if (item.geometry && item.bug == nullptr) {
      by_engine[item.contract->name].push_back(&item);
    }
  }
  std::vector<std::pair<const Entry*, const std::vector<const PreparedCase*>*>> asked;
  for (const auto& [engine, items] : by_engine) {
    for (const Entry& entry : entries_) {
      const Contract& bug = *entry.bug->base();
      const auto& below = bug.extends;
      if (std::find(below.begin(), below.end(), engine) != below.end() &&
          bug.takes_fused_adapters() == items.front()->contract->takes_fused_adapters()) {
        asked.emplace_back(&entry, &items);
      }
    }
  }
  std::vector<std::optional<BlindSpot>> found(asked.size());
  parallel_for(static_cast<std::int64_t>(asked.size()), jobs, [&](std::int64_t i) {
    const auto& [entry, items] = asked[static_cast<std::size_t>(i)];
    found[static_cast<std::size_t>(i)] = blind_spot(*entry, *items);
  });
  std::vector<BlindSpot> spots;
  for (std::optional<BlindSpot>& spot : found) {
    if (spot) {
      spots.push_back(*std::move(spot));
    }
  }
  return spots;
}

// Nothing where one of the cases shows the bug, or where the engine itself has it.
std::optional<BugCatalogue::BlindSpot> BugCatalogue::blind_spot(
    const Entry& entry, const std::vector<const PreparedCase*>& items) const {
  Analyser analyser;
  const bool seen = std::any_of(items.begin(), items.end(), [&](const PreparedCase* item) {
    return shows(*entry.bug->of(item->traits), *item, item->spec, analyser);
  });
  if (seen) {
    return std::nullopt;
  }
  const std::string& engine = items.front()->contract->name;
  BlindSpot spot{engine, entry.bug->base()->name, entry.record.title, smallest_case(entry, engine)};
  for (std::size_t i = 0; i < std::min(items.size(), kNeighbourhoods); ++i) {
    // Spread over the suite, whose neighbours are often one model at several tp_sizes.
    const PreparedCase& item = *items[i * items.size() / std::min(items.size(), kNeighbourhoods)];
    if (const auto near = near_case(*entry.bug->of(item.traits), item, analyser)) {
      spot.nearest = print_case(*near);
      break;
    }
  }
  return spot.nearest.empty() ? std::nullopt : std::optional(std::move(spot));
}

Result<std::vector<std::string>> FaultNames::of(const PreparedCase& item, Verdict verdict) const {
  std::vector<std::string> names;
  if (verdict != Verdict::silent && verdict != Verdict::crash) {
    return names;
  }
  std::call_once(read_, [&] {
    std::error_code unknown;  // as when there is something that cannot be looked at
    if (std::filesystem::symlink_status(configs_.root / "bugs", unknown).type() !=
        std::filesystem::file_type::not_found) {
      catalogue_ = BugCatalogue::read(configs_);
    }
  });
  if (!catalogue_) {
    return names;
  }
  return catalogue_->map([&](const BugCatalogue& bugs) { return bugs.same_faults(item); });
}

}  // namespace tplora::core
