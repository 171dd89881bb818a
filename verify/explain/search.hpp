// Looks for the places of a contract at which a change repairs something that is wrong.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/contract/sites.hpp"
#include "verify/explain/blame.hpp"
#include "verify/explain/correction.hpp"
#include "verify/explain/trial.hpp"

namespace tplora::core {

/// A place at which a change repairs the target.
struct Found {
  int file = 0;           ///< 0: the contract's own file; 1: the one it extends, and so on
  int distance = 0;       ///< from the source of the rows
  std::size_t order = 0;  ///< in which places are tried: the earlier defined first
  Suspect suspect;
  Symptoms after;  ///< what is wrong after the change
};

/// How near the source of the rows a formula stands: lets, what a rank owns, copies, buffers,
/// kernels, lets that forgot to look at the rank, and last the checks, which move no rows.
[[nodiscard]] int distance_of(FormulaRole role);
/// Words on the order of a tensor stand before the copies that read it, names of buffers beside
/// the formulas of their entries; words that only soften what goes wrong come last.
[[nodiscard]] int distance_of_word(const std::string& pointer);

/// Not for use from two threads at once. What it is made of must outlive it.
class Search {
 public:
  /// `over`: once true, nothing more is tried, and what is found means nothing.
  Search(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
         std::function<bool()> over);

  /// All places at which a change repairs the target, the likeliest first. `adapter` is the number
  /// of the one whose delta is wrong, -1 where it is not about one: what becomes of others is then
  /// no matter. With `wide`, where no law requires a value that would do, values are guessed and
  /// lists of entries changed.
  std::vector<Found> all(const Symptoms& target, int adapter, bool wide);
  /// Whether formula number `formula` alone can repair the target.
  std::optional<Found> one(const Symptoms& target, int adapter, int formula);
  /// The formula at a place, as one that has failed by itself; nothing if none stands there.
  [[nodiscard]] std::optional<Found> failing(const Place& place) const;
  /// The nearest contract extended in which, alone, the target is right at this case: what is wrong
  /// then stands in a file that extends it. nullptr: there is none, or it cannot be seen.
  [[nodiscard]] const Contract* right_alone(const Symptoms& target) const;
  /// The most derived file but for those that only extend it further: the one that may be wrong.
  /// Empty: any may.
  [[nodiscard]] std::string wrong_file(const Symptoms& target) const;

 private:
  void aim(const Symptoms& target, int adapter);
  /// What is wrong with a changed contract; nothing if it says nothing at all.
  std::optional<Symptoms> symptoms(Contract& changed);
  /// The same, once for each change: `change` names it, on top of `first_`.
  const std::optional<Symptoms>& symptoms(const std::string& change, Contract& changed);
  /// Whether these are the symptoms of a contract that repairs the target and breaks nothing that
  /// was right.
  [[nodiscard]] bool repairs(const std::optional<Symptoms>& after) const;
  [[nodiscard]] std::int64_t left(const Found& found) const;
  void keep_the_best();
  /// Whether the place is one that may be wrong.
  bool accept(int distance, Suspect suspect, Symptoms after);
  [[nodiscard]] int file_of(const Place& place) const;

  void formula(std::size_t site);
  bool try_texts(std::size_t site, const std::vector<std::string>& texts);
  bool try_text(std::size_t site, const std::string& text);
  void guess(std::size_t site);
  [[nodiscard]] bool may_stop_it(std::size_t site) const;
  [[nodiscard]] bool known_at(const FormulaSite& site, int number) const;
  void words();
  void pairs(int file);
  struct First;
  void second_of_pair(const First& first, int file);
  using Change = std::pair<std::size_t, std::string>;  ///< of a site, to a text
  const std::vector<Change>& second_changes(int file);
  [[nodiscard]] bool has_pair() const;

  void lists();
  [[nodiscard]] Place place_of_entry(const std::string& pointer) const;
  bool try_entry(const std::string& list, std::size_t i, Contract& changed,
                 WrongEntry::Fault fault);
  void missing_entries();
  template <class ListOf>
  void missing_copies(const std::string& section, ListOf list_of, std::size_t buffers);
  bool fill_copy(const std::string& list, std::size_t i, const Contract& with_copy);
  void missing_launches();
  bool fill_launch(std::size_t i, const Contract& with_entry);

  const Contract& contract_;
  const LayoutCase& input_;
  const Analysis& analysis_;
  std::function<bool()> over_;
  Contract work_;
  std::vector<Formula*> formulas_;  ///< of work_
  std::vector<FormulaSite> sites_;
  Symptoms before_;
  /// What is wrong with the contracts extended, the nearest first, each alone; nothing: its plan
  /// fails here, so that nothing behind that is known.
  std::vector<std::pair<const Contract*, std::optional<Symptoms>>> extended_;
  Analyser analyser_{Detail::verdicts};
  std::optional<Corrector> corrector_;  ///< made when it is first asked
  /// The change that work_ has already, where two are tried at once; empty: none.
  std::string first_;
  /// Targets are asked one after the other, and mostly with the same changes.
  std::map<std::string, std::optional<Symptoms>> tried_;
  std::map<std::string, std::vector<Change>> seconds_;  ///< by first_
  Symptoms target_;
  int adapter_ = -1;
  bool clears_ = false;  ///< only what leaves nothing wrong repairs it
  /// Adapters and files: no pair of the file leaves nothing wrong with the adapter.
  std::set<std::pair<int, int>> hopeless_;
  int last_file_ = 0;  ///< the last of the chain that may be wrong with the target
  std::vector<Found> found_;
};

}  // namespace tplora::core
