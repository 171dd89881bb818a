#include "verify/explain/blame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <tuple>

#include "sim/base/ensure.hpp"
#include "sim/contract/sites.hpp"
#include "verify/explain/required.hpp"
#include "verify/explain/trial.hpp"

namespace tplora {
namespace {

/// Roots looked for in one case; what is left then is told without a suspect.
constexpr std::size_t kMostRoots = 12;

/// How near the source of the rows a place stands: lets, what a rank owns, the order of a tensor,
/// copies, buffers, kernels. Words that only soften what goes wrong come last.
int distance(FormulaRole role) {
  using enum FormulaRole;
  switch (role) {
    case let: return 0;
    case check: return 9;
    case first_q:
    case q_heads:
    case first_kv:
    case kv_heads: return 2;
    case weight_loop:
    case weight_from:
    case weight_rows:
    case weight_at: return 4;
    case b_loop:
    case b_from:
    case b_rows:
    case b_at: return 5;
    case b_buffer: return 6;
    case a_loop:
    case a_from:
    case a_rows:
    case a_at: return 5;
    case a_buffer: return 6;
    default: return 7;
  }
}

int distance_of_word(const std::string& pointer) {
  const bool order = pointer.ends_with("/order") || pointer.ends_with("/fused_by");
  const bool names = pointer.ends_with("/src") || pointer.ends_with("/to") ||
                     pointer.ends_with("/a") || pointer.ends_with("/b");
  return order ? 3 : names ? 8 : 10;
}

class Search {
 public:
  Search(const Contract& contract, const LayoutCase& input, const Analysis& analysis)
      : contract_(contract),
        input_(input),
        analysis_(analysis),
        work_(contract),
        formulas_(formulas_of(work_)),
        sites_(formula_sites(contract)),
        before_(analysis) {}

  struct Found {
    int file = 0;
    int distance = 0;
    std::size_t order = 0;  ///< in which places are tried: the earlier defined first
    Suspect suspect;
    Symptoms after;
  };

  /// All places at which a change repairs the target, the likeliest first.
  std::vector<Found> all(const Symptoms& target, int adapter) {
    found_.clear();
    formulas(target, adapter);
    words(target, adapter);
    if (found_.empty()) {
      guesses(target, adapter);
    }
    if (found_.empty()) {
      lists(target, adapter);
    }
    int file = static_cast<int>(contract_.extends.size());
    for (const Found& found : found_) {
      file = std::min(file, found.file);
    }
    for (int derived = 0; derived < file && !has_pair(); ++derived) {
      pairs(target, adapter, derived);
    }
    keep_the_best(adapter);
    std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
      return std::tie(a.file, a.distance, a.order) < std::tie(b.file, b.distance, b.order);
    });
    return std::move(found_);
  }

  /// Whether the formula at `site` alone can repair the target.
  std::optional<Found> one(const Symptoms& target, int adapter, int formula) {
    found_.clear();
    if (formula >= 0) {
      formula_site(static_cast<std::size_t>(formula), target, adapter);
    }
    return found_.empty() ? std::nullopt : std::optional(std::move(found_.front()));
  }

  /// The formula at a place, as one that has failed. What its repair leaves is not known.
  std::optional<Found> failing(const std::string& place) {
    for (std::size_t site = 0; site < sites_.size(); ++site) {
      if (formulas_[site]->place() == place) {
        return Found{.file = file_of(place),
                     .distance = distance(sites_[site].role),
                     .order = 0,
                     .suspect = {.pointer = sites_[site].pointer,
                                 .place = place,
                                 .formula = static_cast<int>(site)},
                     .after = before_};
      }
    }
    return std::nullopt;
  }

  [[nodiscard]] int file_of(const std::string& place) const {
    const std::string file = place.substr(0, place.find('#'));
    if (file == contract_.file || contract_.extends.empty()) {
      return 0;
    }
    const std::string name = std::filesystem::path(file).stem().string();
    const auto at = std::find(contract_.extends.begin(), contract_.extends.end(), name);
    return 1 + static_cast<int>(at - contract_.extends.begin());
  }

 private:
  // --- trials ------------------------------------------------------------------------------
  /// What is still wrong with the contract as it is now; nothing if that is no better.
  std::optional<Symptoms> repaired(const Symptoms& target, int adapter) {
    index_formulas(work_);
    formulas_ = formulas_of(work_);  // lets are put in order anew
    const Analysis& analysis = analyser_.run(work_, input_);
    if (analysis.bad_contract) {
      return std::nullopt;
    }
    const Symptoms all_after(analysis);
    const Symptoms after = adapter < 0 ? all_after : all_after.of_adapter(adapter);
    // Behind a failure nothing was looked at: its repair must leave nothing wrong.
    const bool failed = !analysis_.failures.empty();
    if (failed ? !(after.empty() || (!analysis.failures.empty() && before_.contain(after)))
               : !before_.contain(after)) {
      return std::nullopt;
    }
    return after.touch(target) ? std::nullopt : std::optional(all_after);
  }

  /// Those that leave the least wrong: a change that repairs the target only is no cause where
  /// another repairs more. Of places in several files, those of the most derived.
  void keep_the_best(int adapter) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    int file = std::numeric_limits<int>::max();
    for (const Found& found : found_) {
      least = std::min(least, left(found, adapter));
    }
    std::erase_if(found_, [&](const Found& found) { return left(found, adapter) > least; });
    for (const Found& found : found_) {
      file = std::min(file, found.file);
    }
    std::erase_if(found_, [&](const Found& found) { return found.file > file; });
  }

  static std::int64_t left(const Found& found, int adapter) {
    return (adapter < 0 ? found.after : found.after.of_adapter(adapter)).size();
  }

  void accept(Found found) {
    found.order = found_.size();
    found_.push_back(std::move(found));
  }

  // --- formulas ----------------------------------------------------------------------------
  void formulas(const Symptoms& target, int adapter) {
    for (std::size_t site = 0; site < sites_.size(); ++site) {
      formula_site(site, target, adapter);
    }
  }

  void formula_site(std::size_t site, const Symptoms& target, int adapter) {
    for (const std::string& text : corrected_texts(site)) {
      if (try_text(site, text, target, adapter)) {
        return;
      }
    }
    using enum FormulaRole;
    switch (sites_[site].role) {
      case check: try_text(site, "1", target, adapter); break;
      case weight_loop:
      case b_loop:
      case a_loop:
      case kernel_loop: guess(site, target, adapter); break;  // no law counts turns
      default: break;
    }
  }

  /// The formula of `site` in every way that the laws could require of it.
  [[nodiscard]] std::vector<std::string> corrected_texts(std::size_t site) {
    if (required_.empty()) {
      required_ = required_of(contract_, analysis_);
    }
    return corrected_texts(required_, site);
  }

  /// By adapter, or once where there is none.
  using Required = std::vector<std::vector<std::vector<Way>>>;
  [[nodiscard]] Required required_of(const Contract& contract, const Analysis& analysis) const {
    Required required;
    const int adapters = static_cast<int>(input_.adapters.size());
    for (int adapter = 0; adapter < std::max(1, adapters); ++adapter) {
      const bool again =
          adapter > 0 && std::find(input_.adapters.begin(), input_.adapters.begin() + adapter,
                                   input_.adapters[static_cast<std::size_t>(adapter)]) !=
                             input_.adapters.begin() + adapter;
      required.push_back(again ? std::vector<std::vector<Way>>(sites_.size())
                               : required_values(contract, sites_, input_, analysis,
                                                 adapters == 0 ? -1 : adapter));
    }
    return required;
  }

  /// One text for each line of thought: the corrections that it asks for, each for the adapter for
  /// which it does.
  [[nodiscard]] std::vector<std::string> corrected_texts(const Required& required,
                                                         std::size_t site) const {
    std::vector<int> reasons;
    for (const auto& of_adapter : required) {
      for (const Way& way : of_adapter[site]) {
        if (std::find(reasons.begin(), reasons.end(), way.reason) == reasons.end()) {
          reasons.push_back(way.reason);
        }
      }
    }
    std::vector<std::string> texts;
    for (const int reason : reasons) {
      std::string text = fmt::format("({})", formulas_[site]->text());
      std::string all;
      for (std::size_t adapter = 0; adapter < required.size(); ++adapter) {
        for (const Way& way : required[adapter][site]) {
          if (way.reason == reason && (knows_adapter(site) || all.empty())) {
            all += terms(site, way.corrections, static_cast<int>(adapter));
          }
        }
      }
      if (text += all; std::find(texts.begin(), texts.end(), text) == texts.end()) {
        texts.push_back(std::move(text));
      }
    }
    return texts;
  }

  bool try_text(std::size_t site, const std::string& text, const Symptoms& target, int adapter) {
    const std::string place = formulas_[site]->place();
    auto parsed = Formula::parse(text, place, scope_of(contract_, *formulas_[site]));
    if (!parsed) {
      return false;  // too long or too deep: more turns than a formula can tell apart
    }
    std::swap(*formulas_[site], *parsed);
    auto after = repaired(target, adapter);
    std::swap(*formulas_[site], *parsed);
    if (!after) {
      return false;
    }
    accept({.file = file_of(place),
            .distance = distance(sites_[site].role),
            .order = 0,
            .suspect = {.pointer = sites_[site].pointer,
                        .place = place,
                        .formula = static_cast<int>(site),
                        .say = {}},
            .after = std::move(*after)});
    return true;
  }

  /// Corrections as terms to be added to the formula, each only where it is due.
  [[nodiscard]] std::string terms(std::size_t site, const Corrections& corrections,
                                  int adapter) const {
    const Formula& formula = *formulas_[site];
    const SymbolTable scope = scope_of(contract_, formula);
    const bool of_rank = sites_[site].role != FormulaRole::let ||
                         contract_.lets[sites_[site].entry].phase != Phase::deployment;
    const bool same =
        std::all_of(corrections.begin(), corrections.end(),
                    [&](const Correction& one) { return one.delta == corrections.front().delta; });
    const std::string whose = condition_on_adapter(site, adapter);
    if (!of_rank || (same && everywhere(corrections))) {
      return fmt::format(" + {}({})", whose, corrections.front().delta);
    }
    std::string text;
    for (const Correction& one : corrections) {
      std::string where = fmt::format("tp_rank == {}", one.tp_rank);
      for (const auto& [symbol, value] : one.indices) {
        where += fmt::format(" and {} == {}", scope.name(symbol), value);
      }
      text += fmt::format(" + {}({})*({})", whose, where, one.delta);
    }
    return text;
  }

  /// Whether each rank has a correction in its only turn.
  [[nodiscard]] bool everywhere(const Corrections& way) const {
    return static_cast<std::int64_t>(way.size()) == input_.deployment.tp_size &&
           std::all_of(way.begin(), way.end(),
                       [](const Correction& one) { return one.indices.empty(); });
  }

  [[nodiscard]] bool knows_adapter(std::size_t site) const {
    return sites_[site].latest == Phase::adapter &&
           (sites_[site].role != FormulaRole::let ||
            contract_.lets[sites_[site].entry].phase == Phase::adapter);
  }

  /// A factor that is 1 for loads of adapters of the same shape and 0 for others.
  [[nodiscard]] std::string condition_on_adapter(std::size_t site, int adapter) const {
    if (!knows_adapter(site) || input_.adapters.size() < 2) {
      return "";
    }
    const AdapterShape& shape = input_.adapters[static_cast<std::size_t>(adapter)];
    return fmt::format(
        "(r == {} and alpha == {} and has_q == {:d} and has_k == {:d} and has_v == {:d})*",
        shape.lora_rank, shape.lora_alpha, shape.has(Part::q), shape.has(Part::k),
        shape.has(Part::v));
  }

  // --- words -------------------------------------------------------------------------------
  void words(const Symptoms& target, int adapter) {
    for (const WordSite& site : word_sites(contract_)) {
      for (std::size_t word = 0; word < site.words.size(); ++word) {
        if (word == site.word) {
          continue;
        }
        site.put(work_, word);
        auto after = repaired(target, adapter);
        site.put(work_, site.word);
        if (after) {
          const std::string place = contract_.place_of(site.pointer);
          accept({.file = file_of(place),
                  .distance = distance_of_word(site.pointer),
                  .order = 0,
                  .suspect = {.pointer = site.pointer,
                              .place = place,
                              .formula = -1,
                              .say = fmt::format("\"{}\" stands here, where \"{}\" would be right",
                                                 site.words[site.word], site.words[word])},
                  .after = std::move(*after)});
          break;
        }
      }
    }
  }

  // --- what no law says ----------------------------------------------------------------------
  /// Every formula one more, one less, and each symbol alone: for what cannot be computed back.
  void guesses(const Symptoms& target, int adapter) {
    for (std::size_t site = 0; site < sites_.size(); ++site) {
      guess(site, target, adapter);
    }
  }

  void guess(std::size_t site, const Symptoms& target, int adapter) {
    if (says_what_a_group_is(contract_, sites_[site])) {
      return;
    }
    const std::string text = formulas_[site]->text();
    bool right = try_text(site, fmt::format("({}) + 1", text), target, adapter) ||
                 try_text(site, fmt::format("({}) - 1", text), target, adapter) ||
                 try_text(site, "0", target, adapter) || try_text(site, "1", target, adapter);
    for (int number = 0; number < contract_.symbols.size() && !right; ++number) {
      if (known_at(site, number)) {
        right = try_text(site, contract_.symbols.name(number), target, adapter);
      }
    }
  }

  [[nodiscard]] bool known_at(std::size_t site, int number) const {
    if (number < symbol::count && number != symbol::T && number != symbol::t) {
      return predefined_phase(number) <= sites_[site].latest;
    }
    for (std::size_t i = 0; i < contract_.lets.size(); ++i) {
      if (contract_.lets[i].symbol == number) {
        return i < sites_[site].lets_before && contract_.lets[i].phase <= sites_[site].latest;
      }
    }
    return predefined_phase(number) <= sites_[site].latest;
  }

  // --- two formulas of the derived contract ------------------------------------------------
  /// A contract that changes several formulas of another may be right in none of them alone: tries
  /// two of its own at once. The second is asked with the first as required.
  void pairs(const Symptoms& target, int adapter, int file) {
    const Contract kept = work_;
    for (std::size_t site = 0; site < sites_.size() && !has_pair(); ++site) {
      if (file_of(formulas_[site]->place()) != file) {
        continue;
      }
      for (const std::string& text : corrected_texts(site)) {
        auto parsed =
            Formula::parse(text, formulas_[site]->place(), scope_of(contract_, *formulas_[site]));
        if (!parsed || has_pair()) {
          continue;
        }
        *formulas_[site] = *parsed;
        index_formulas(work_);
        formulas_ = formulas_of(work_);
        second_of_pair(site, target, adapter, file);
        work_ = kept;
        formulas_ = formulas_of(work_);
      }
    }
  }

  [[nodiscard]] bool has_pair() const {
    return !found_.empty() && !found_.back().suspect.together_with.empty();
  }

  void second_of_pair(std::size_t first, const Symptoms& target, int adapter, int file) {
    const Contract with_first = work_;
    const Analysis analysis = Analyser().run(with_first, input_);
    if (analysis.bad_contract) {
      return;
    }
    const Required required = required_of(with_first, analysis);
    for (std::size_t site = 0; site < sites_.size(); ++site) {
      if (site == first || file_of(formulas_[site]->place()) != file) {
        continue;
      }
      for (const std::string& text : corrected_texts(required, site)) {
        if (try_text(site, text, target, adapter)) {
          Suspect& suspect = found_.back().suspect;
          suspect.together_with = suspect.place;
          suspect.pointer = sites_[first].pointer;
          suspect.place = formulas_[first]->place();
          suspect.formula = static_cast<int>(first);
          found_.back().distance = distance(sites_[first].role);
          return;
        }
      }
    }
  }

  // --- lists -------------------------------------------------------------------------------
  void lists(const Symptoms& target, int adapter) {
    const Contract kept = work_;
    for (const ListSite& list : list_sites(contract_)) {
      const auto attempt = [&](std::size_t i, const auto& change, std::string say) {
        change(work_);
        auto after = repaired(target, adapter);
        work_ = kept;
        formulas_ = formulas_of(work_);
        if (after) {
          const std::string pointer = fmt::format("{}/{}", list.pointer, i);
          const std::string place = contract_.place_of(pointer);
          accept({.file = file_of(place),
                  .distance = 11,
                  .order = 0,
                  .suspect =
                      {.pointer = pointer, .place = place, .formula = -1, .say = std::move(say)},
                  .after = std::move(*after)});
        }
        return after.has_value();
      };
      for (std::size_t i = 0; i + 1 < list.size && list.order_matters; ++i) {
        attempt(
            i, [&](Contract& c) { list.swap(c, i); },
            "this entry and the next stand in each other's place");
      }
      for (std::size_t i = 0; i < list.size; ++i) {
        attempt(
            i, [&](Contract& c) { list.erase(c, i); }, "this entry is one too many");
      }
    }
  }

  const Contract& contract_;
  const LayoutCase& input_;
  const Analysis& analysis_;
  Contract work_;
  std::vector<Formula*> formulas_;  ///< of work_
  std::vector<FormulaSite> sites_;
  Symptoms before_;
  Analyser analyser_{Detail::verdicts};
  Required required_;
  std::vector<Found> found_;
};

/// Gives every violation and failure to a root.
class Blamer {
 public:
  Blamer(const Contract& contract, const LayoutCase& input, const Analysis& analysis)
      : analysis_(analysis), input_(input), search_(contract, input, analysis) {}

  std::vector<Blame> run() {
    for (std::size_t i = 0; i < analysis_.failures.size(); ++i) {
      failure_blamed_.push_back(analysis_.failures[i].verdict == Verdict::refused);
    }
    blamed_.assign(analysis_.violations.size(), false);
    for (std::size_t i = 0; i < failure_blamed_.size(); ++i) {
      if (!failure_blamed_[i]) {
        blame_failure(i);
      }
    }
    for (std::size_t i = 0; i < blamed_.size(); ++i) {
      if (!blamed_[i] && !std::holds_alternative<DisagreeingReplicas>(analysis_.violations[i])) {
        blame_violation(i);
      }
    }
    consequences();
    for (Blame& blame : blames_) {
      std::sort(blame.violations.begin(), blame.violations.end());
    }
    return std::move(blames_);
  }

 private:
  void blame_failure(std::size_t number) {
    const PlanFailure& failure = analysis_.failures[number];
    std::vector<Search::Found> found;
    if (blames_.size() < kMostRoots) {
      found = search_.all(Symptoms::of(failure), first_adapter());
    }
    if (failure.law == Law::check) {
      // What fails by itself is itself the first to be asked, unless the contract that is looked at
      // was derived from the one that asserts.
      std::erase_if(found,
                    [&](const Search::Found& one) { return one.suspect.place == failure.place; });
      if (auto itself = search_.failing(failure.place);
          itself && (found.empty() || itself->file <= found.front().file)) {
        found.insert(found.begin(), std::move(*itself));
      }
    }
    take(found, number, std::nullopt);
  }

  void blame_violation(std::size_t number) {
    const Violation& violation = analysis_.violations[number];
    const Delta* delta = delta_of(violation);
    const Symptoms target = Symptoms::of(violation);
    const int adapter = delta == nullptr ? -1 : delta->adapter;
    std::vector<Search::Found> found;
    if (blames_.size() < kMostRoots) {
      // A place that explained something already explains this too, if it can.
      for (const Blame& blame : blames_) {
        if (!blame.suspects.empty()) {
          if (auto again = search_.one(target, adapter, blame.suspects.front().formula)) {
            found.push_back(std::move(*again));
            break;
          }
        }
      }
      if (found.empty()) {
        found = search_.all(target, adapter);
      }
    }
    take(found, std::nullopt, number);
  }

  [[nodiscard]] int first_adapter() const { return input_.adapters.empty() ? -1 : 0; }

  /// A new root, or more of a known one, with all that its repair makes vanish.
  void take(const std::vector<Search::Found>& found, std::optional<std::size_t> failure,
            std::optional<std::size_t> violation) {
    std::vector<Suspect> suspects;
    for (const Search::Found& one : found) {
      suspects.push_back(one.suspect);
    }
    auto blame = std::find_if(blames_.begin(), blames_.end(), [&](const Blame& one) {
      return suspects.empty()
                 ? one.suspects.empty()
                 : !one.suspects.empty() && one.suspects.front().place == suspects.front().place;
    });
    if (blame == blames_.end()) {
      blames_.push_back({.suspects = std::move(suspects), .violations = {}, .failures = {}});
      blame = blames_.end() - 1;
    }
    for (std::size_t i = 0; i < failure_blamed_.size(); ++i) {
      const bool gone =
          !found.empty() && !found.front().after.touch(Symptoms::of(analysis_.failures[i]));
      if (!failure_blamed_[i] && (gone || failure == i)) {
        failure_blamed_[i] = true;
        blame->failures.push_back(i);
      }
    }
    for (std::size_t i = 0; i < blamed_.size(); ++i) {
      const Symptoms own = Symptoms::of(analysis_.violations[i]);
      const bool gone = !found.empty() && !own.empty() && !found.front().after.touch(own);
      if (!blamed_[i] && (gone || violation == i)) {
        blamed_[i] = true;
        blame->violations.push_back(i);
      }
    }
  }

  /// Replicas disagree because one of them is wrong: that one's root is theirs.
  void consequences() {
    for (std::size_t i = 0; i < blamed_.size(); ++i) {
      const auto* disagree = std::get_if<DisagreeingReplicas>(&analysis_.violations[i]);
      if (disagree == nullptr || blames_.empty()) {
        continue;
      }
      const auto concerns = [&](std::size_t number) {
        const Violation& other = analysis_.violations[number];
        const DueRows* due = due_of(other);
        return due != nullptr && due->part == disagree->part &&
               (tp_rank_of(other) == disagree->tp_rank ||
                tp_rank_of(other) == disagree->other_tp_rank);
      };
      auto blame = std::find_if(blames_.begin(), blames_.end(), [&](const Blame& one) {
        return std::any_of(one.violations.begin(), one.violations.end(), concerns);
      });
      (blame == blames_.end() ? blames_.front() : *blame).violations.push_back(i);
    }
  }

  const Analysis& analysis_;
  const LayoutCase& input_;
  Search search_;
  std::vector<bool> blamed_, failure_blamed_;
  std::vector<Blame> blames_;
};

}  // namespace

std::vector<Blame> blame(const Contract& contract, const LayoutCase& input,
                         const Analysis& analysis) {
  return Blamer(contract, input, analysis).run();
}

}  // namespace tplora
