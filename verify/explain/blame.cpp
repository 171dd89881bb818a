#include "verify/explain/blame.hpp"

#include <algorithm>
#include <optional>

#include "sim/base/ensure.hpp"
#include "sim/layout/claims.hpp"
#include "verify/explain/search.hpp"

namespace tplora::core {
namespace {

/// Roots looked for in one case; what is left then is told without a suspect.
constexpr std::size_t kMostRoots = 12;

/// Gives every violation and failure to a root.
class Blamer {
 public:
  Blamer(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
         const std::function<bool()>& over)
      : analysis_(analysis),
        input_(input),
        wide_(inside_claims(contract, input.geometry, input.deployment).value_or(true)),
        search_(contract, input, analysis, over) {}

  std::vector<Blame> run() {
    for (std::size_t i = 0; i < analysis_.failures.size(); ++i) {
      const PlanFailure& failure = analysis_.failures[i];
      failure_blamed_.push_back(failure.verdict == Verdict::refused && is_asserted(failure));
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
  /// Whether a check says so. The engine means it: what it refuses needs no cause.
  [[nodiscard]] bool is_asserted(const PlanFailure& failure) const {
    const auto itself = search_.failing(failure.place);
    return itself && itself->suspect.pointer.starts_with("/checks/");
  }

  void blame_failure(std::size_t number) {
    const PlanFailure& failure = analysis_.failures[number];
    std::vector<Found> found;
    if (blames_.size() < kMostRoots) {
      found = search_.all(Symptoms::of(failure), first_adapter(), wide_ && !is_asserted(failure));
    }
    if (failure.law == Law::check) {
      // What fails by itself is itself the first to be asked, unless the contract that is looked at
      // was derived from the one that asserts.
      std::erase_if(found, [&](const Found& one) { return one.suspect.place == failure.place; });
      const bool of_right = found.empty() && search_.right_alone(Symptoms::of(failure)) != nullptr;
      if (auto itself = search_.failing(failure.place);
          itself && !of_right && (found.empty() || itself->file <= found.front().file)) {
        found.insert(found.begin(), std::move(*itself));
      }
    } else if (!found.empty() && found.front().suspect.pointer.starts_with("/checks/")) {
      // A check that holds could have stopped it, and is no nearer to it than what went wrong.
      if (auto itself = search_.failing(failure.place);
          itself && itself->file <= found.front().file) {
        found.insert(found.begin(), std::move(*itself));
      }
    }
    take(found, Symptoms::of(failure), number, std::nullopt);
  }

  void blame_violation(std::size_t number) {
    const Violation& violation = analysis_.violations[number];
    const Delta* delta = delta_of(violation);
    const Symptoms target = Symptoms::of(violation);
    const int adapter = delta == nullptr ? -1 : delta->adapter;
    std::vector<Found> found;
    // No formula is wrong about another model's adapter: what is missing is a check.
    if (blames_.size() < kMostRoots && !std::holds_alternative<ForeignRows>(violation)) {
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
        found = search_.all(target, adapter, wide_);
      }
    }
    take(found, target, std::nullopt, number);
  }

  [[nodiscard]] int first_adapter() const { return input_.adapters.empty() ? -1 : 0; }

  /// A new root, or more of a known one, with all that its repair makes vanish.
  void take(const std::vector<Found>& found, const Symptoms& target,
            std::optional<std::size_t> failure, std::optional<std::size_t> violation) {
    Blame root;
    for (const Found& one : found) {
      root.suspects.push_back(one.suspect);
    }
    if (found.empty()) {
      root.right_alone = search_.right_alone(target);
      root.wrong_file = search_.wrong_file(target);
    }
    auto blame = std::find_if(blames_.begin(), blames_.end(), [&](const Blame& one) {
      return root.suspects.empty() ? one.suspects.empty() && one.wrong_file == root.wrong_file
                                   : !one.suspects.empty() &&
                                         one.suspects.front().place == root.suspects.front().place;
    });
    if (blame == blames_.end()) {
      blames_.push_back(std::move(root));
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

  /// Replicas disagree because one of them is wrong: that one's root is theirs. Where nothing that
  /// is told is wrong with either, nobody is to blame.
  void consequences() {
    for (std::size_t i = 0; i < blamed_.size(); ++i) {
      const auto* disagree = std::get_if<DisagreeingReplicas>(&analysis_.violations[i]);
      if (disagree == nullptr) {
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
      if (blame == blames_.end()) {
        blame = std::find_if(blames_.begin(), blames_.end(),
                             [](const Blame& one) { return one.suspects.empty(); });
      }
      if (blame == blames_.end()) {
        blame = blames_.insert(blame, Blame{});
      }
      blame->violations.push_back(i);
    }
  }

  const Analysis& analysis_;
  const LayoutCase& input_;
  bool wide_;  ///< outside its claims nobody expects a contract to be right but for one place
  Search search_;
  std::vector<bool> blamed_, failure_blamed_;
  std::vector<Blame> blames_;
};

}  // namespace

std::vector<Blame> blame(const Contract& contract, const LayoutCase& input,
                         const Analysis& analysis, const std::function<bool()>& over) {
  ensure(static_cast<std::int64_t>(analysis.ranks.size()) == input.deployment.tp_size &&
             !analysis.bad_contract,
         "what is explained is the analysis of this case");
  return Blamer(contract, input, analysis, over).run();
}

}  // namespace tplora::core
