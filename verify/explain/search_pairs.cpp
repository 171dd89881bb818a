#include <fmt/format.h>

#include "verify/explain/search.hpp"

namespace tplora::core {

/// The first of two changes, which work_ has.
struct Search::First {
  int distance = 0;
  Suspect suspect;
};

/// A contract that changes several places of another may be right in none of them alone: tries
/// two of its own at once, formulas and words. The second formula is asked with the first change as
/// required.
void Search::pairs(int file) {
  const Contract kept = work_;
  const auto restore = [&] {
    first_.clear();
    work_ = kept;
    formulas_ = formulas_of(work_);
  };
  const std::vector<WordSite> words = word_sites(contract_);
  for (const WordSite& site : words) {
    const Place place = contract_.place_of(site.pointer);
    for (std::size_t word = 0; word < site.words.size() && file_of(place) == file && !over_();
         ++word) {
      if (word == site.word) {
        continue;
      }
      site.put(work_, word);
      index_formulas(work_);
      first_ = fmt::format("{}={}\n", site.pointer, word);
      second_of_pair({.distance = distance_of_word(site.pointer),
                      .suspect = {.pointer = site.pointer,
                                  .place = place,
                                  .formula = -1,
                                  .wrong = WrongWord{site.words[site.word], site.words[word]}}},
                     file);
      restore();
      if (has_pair()) {
        return;
      }
    }
  }
  for (std::size_t site = 0; site < sites_.size(); ++site) {
    const Place place = formulas_[site]->place();
    if (file_of(place) != file) {
      continue;
    }
    for (const std::string& text : corrector_->texts(site)) {
      if (over_()) {
        return;
      }
      auto parsed = Formula::parse(text, place, scope_of(contract_, *formulas_[site]));
      if (!parsed) {
        continue;
      }
      *formulas_[site] = std::move(*parsed);
      index_formulas(work_);
      formulas_ = formulas_of(work_);
      first_ = fmt::format("{}={}\n", site, text);
      second_of_pair({.distance = distance_of(sites_[site].role),
                      .suspect = {.pointer = sites_[site].pointer,
                                  .place = place,
                                  .formula = static_cast<int>(site)}},
                     file);
      restore();
      if (has_pair()) {
        return;
      }
    }
  }
}

bool Search::has_pair() const {
  return !found_.empty() && found_.back().suspect.together_with.has_value();
}

void Search::second_of_pair(const First& first, int file) {
  const auto found_pair = [&](const Place& second) {
    Found& found = found_.back();
    found.distance = first.distance;
    const bool in_order = first.suspect.formula < 0 || found.suspect.formula < 0 ||
                          first.suspect.formula < found.suspect.formula;
    if (in_order) {
      found.suspect = first.suspect;
    }
    found.suspect.together_with = in_order ? second : first.suspect.place;
  };
  for (const WordSite& site : word_sites(work_)) {
    const Place place = contract_.place_of(site.pointer);
    for (std::size_t word = 0; word < site.words.size(); ++word) {
      // A pair of words is tried in one order only.
      if (word == site.word || file_of(place) != file || place == first.suspect.place ||
          (first.suspect.formula < 0 && site.pointer < first.suspect.pointer)) {
        continue;
      }
      site.put(work_, word);
      const auto& after = symptoms(fmt::format("{}={}\n", site.pointer, word), work_);
      site.put(work_, site.word);
      if (repairs(after) &&
          accept(first.distance, {.pointer = site.pointer, .place = place, .formula = -1},
                 *after)) {
        found_pair(place);
        return;
      }
    }
  }
  for (const auto& [site, text] : second_changes(file)) {
    if (static_cast<int>(site) != first.suspect.formula && try_text(site, text)) {
      found_pair(Place(found_.back().suspect.place));
      return;
    }
  }
}

/// What is required of the formulas of a file, once the first change is made.
const std::vector<Search::Change>& Search::second_changes(int file) {
  const auto [entry, is_new] = seconds_.try_emplace(first_);
  std::vector<Change>& changes = entry->second;
  if (!is_new) {
    return changes;
  }
  const Analysis analysis = Analyser().run(work_, input_);
  if (analysis.bad_contract) {
    return changes;
  }
  const Corrector corrector(work_, input_, analysis);
  for (std::size_t site = 0; site < sites_.size(); ++site) {
    if (file_of(formulas_[site]->place()) == file) {
      for (std::string& text : corrector.texts(site)) {
        changes.emplace_back(site, std::move(text));
      }
    }
  }
  return changes;
}

}  // namespace tplora::core
