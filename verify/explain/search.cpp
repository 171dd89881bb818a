#include "verify/explain/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <tuple>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

/// Of a let that forgot to look at the rank.
constexpr int kLetByRank = 8;

}  // namespace

int distance_of(FormulaRole role) {
  using enum FormulaRole;
  switch (role) {
    case let: return 0;
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
    case b_at:
    case a_loop:
    case a_from:
    case a_rows:
    case a_at: return 5;
    case b_buffer:
    case a_buffer: return 6;
    case check: return 9;
    default: return 7;
  }
}

int distance_of_word(const std::string& pointer) {
  const bool order = pointer.ends_with("/order") || pointer.ends_with("/fused_by");
  const bool names = pointer.ends_with("/src") || pointer.ends_with("/to") ||
                     pointer.ends_with("/a") || pointer.ends_with("/b");
  return order ? 3 : names ? 8 : 10;
}

Search::Search(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
               std::function<bool()> over)
    : contract_(contract),
      input_(input),
      analysis_(analysis),
      over_(std::move(over)),
      work_(contract),
      formulas_(formulas_of(work_)),
      sites_(formula_sites(contract)),
      before_(analysis) {
  ensure(formulas_.size() == sites_.size(), "each formula of a contract has its site");
  for (std::shared_ptr<const Contract> base = contract.base(); base; base = base->base()) {
    const Analysis& alone = analyser_.run(*base, input);
    const bool fails = alone.bad_contract || !alone.failures.empty();
    extended_.emplace_back(base.get(), fails ? std::nullopt : std::optional(Symptoms(alone)));
  }
}

void Search::aim(const Symptoms& target, int adapter) {
  found_.clear();
  target_ = target;
  adapter_ = adapter;
  last_file_ = static_cast<int>(contract_.extends.size());
  if (const Contract* right = right_alone(target)) {
    last_file_ = 0;
    for (const auto& [base, wrong] : extended_) {
      if (base == right) {
        break;
      }
      ++last_file_;
    }
  }
}

const Contract* Search::right_alone(const Symptoms& target) const {
  const auto right = std::find_if(extended_.begin(), extended_.end(), [&](const auto& one) {
    return one.second && !one.second->touch(target);
  });
  return right == extended_.end() ? nullptr : right->first;
}

std::string Search::wrong_file(const Symptoms& target) const {
  const Contract* right = right_alone(target);
  std::string file = right == nullptr ? "" : contract_.file;
  for (const auto& [base, wrong] : extended_) {
    if (right == nullptr || base == right) {
      break;
    }
    file = base->file;
  }
  return file;
}

std::vector<Found> Search::all(const Symptoms& target, int adapter, bool wide) {
  aim(target, adapter);
  for (std::size_t site = 0; site < sites_.size() && !over_(); ++site) {
    formula(site);
  }
  if (over_()) {
    return {};
  }
  words();
  int file = std::min(static_cast<int>(contract_.extends.size()), last_file_ + 1);
  for (const Found& found : found_) {
    file = std::min(file, found.file);
  }
  for (int derived = 0; derived < file && !has_pair(); ++derived) {
    pairs(derived);
  }
  for (std::size_t site = 0; site < sites_.size() && found_.empty() && wide && !over_(); ++site) {
    if (may_stop_it(site)) {
      guess(site);
    }
  }
  if (found_.empty() && wide && !over_()) {
    lists();
  }
  // Two changes repair much by chance: only what leaves nothing wrong counts. That is the same for
  // every target.
  clears_ = true;
  for (; file <= last_file_ && found_.empty() && wide && !over_(); ++file) {
    if (!hopeless_.contains({adapter_, file})) {
      pairs(file);
    }
    if (found_.empty()) {
      hopeless_.emplace(adapter_, file);
    }
  }
  clears_ = false;
  keep_the_best();
  std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
    return std::tie(a.file, a.distance, a.order) < std::tie(b.file, b.distance, b.order);
  });
  return std::move(found_);
}

std::optional<Found> Search::one(const Symptoms& target, int adapter, int number) {
  aim(target, adapter);
  if (number >= 0) {
    formula(static_cast<std::size_t>(number));
  }
  return found_.empty() ? std::nullopt : std::optional(std::move(found_.front()));
}

std::optional<Found> Search::failing(const Place& place) const {
  for (std::size_t site = 0; site < sites_.size(); ++site) {
    if (formulas_[site]->place() == place) {
      return Found{.file = file_of(place),
                   .distance = distance_of(sites_[site].role),
                   .order = 0,
                   .suspect = {.pointer = sites_[site].pointer,
                               .place = place,
                               .formula = static_cast<int>(site)},
                   .after = before_};
    }
  }
  return std::nullopt;
}

int Search::file_of(const Place& place) const {
  if (place.file == contract_.file || contract_.extends.empty()) {
    return 0;
  }
  const std::string name = std::filesystem::path(place.file).stem().string();
  const auto at = std::find(contract_.extends.begin(), contract_.extends.end(), name);
  return 1 + static_cast<int>(at - contract_.extends.begin());
}

// --- trials --------------------------------------------------------------------------------
std::optional<Symptoms> Search::symptoms(Contract& changed) {
  if (over_()) {
    return std::nullopt;
  }
  index_formulas(changed);
  const Analysis& analysis = analyser_.run(changed, input_);
  return analysis.bad_contract ? std::nullopt : std::optional(Symptoms(analysis));
}

const std::optional<Symptoms>& Search::symptoms(const std::string& change, Contract& changed) {
  const auto [entry, is_new] = tried_.try_emplace(first_ + change);
  if (is_new) {
    entry->second = symptoms(changed);
  }
  return entry->second;
}

bool Search::repairs(const std::optional<Symptoms>& all_after) const {
  // What is asked most comes first; of other adapters the target has no cell.
  if (!all_after || all_after->touch(target_)) {
    return false;
  }
  if (clears_) {
    return adapter_ < 0 ? all_after->empty() : !all_after->concern(adapter_);
  }
  const Symptoms after = adapter_ < 0 ? *all_after : all_after->of_adapter(adapter_);
  // Behind a failure nothing was looked at: its repair must leave nothing wrong but what is wrong
  // without the file that fails, or, where that cannot be seen, other failures.
  const auto known = std::find_if(extended_.begin(), extended_.end(),
                                  [](const auto& one) { return one.second.has_value(); });
  const bool rest_is_known = known != extended_.end() ? known->second->contain(after)
                                                      : after.fail() && before_.contain(after);
  return before_.fail() ? after.empty() || rest_is_known : before_.contain(after);
}

std::int64_t Search::left(const Found& found) const {
  return (adapter_ < 0 ? found.after : found.after.of_adapter(adapter_)).size();
}

/// Of places in several files, those of the most derived; of these the ones that leave the least
/// wrong: a change that repairs the target only is no cause where another repairs more.
void Search::keep_the_best() {
  int file = std::numeric_limits<int>::max();
  for (const Found& found : found_) {
    file = std::min(file, found.file);
  }
  std::erase_if(found_, [&](const Found& found) { return found.file > file; });
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const Found& found : found_) {
    least = std::min(least, left(found));
  }
  std::erase_if(found_, [&](const Found& found) { return left(found) > least; });
}

bool Search::accept(int distance, Suspect suspect, Symptoms after) {
  const int file = file_of(suspect.place);
  if (file > last_file_) {
    return false;
  }
  found_.push_back({file, distance, found_.size(), std::move(suspect), std::move(after)});
  return true;
}

// --- formulas --------------------------------------------------------------------------------
void Search::formula(std::size_t site) {
  if (!corrector_) {
    corrector_.emplace(contract_, input_, analysis_);
  }
  if (try_texts(site, corrector_->texts(site))) {
    return;
  }
  for (const std::string& text : corrector_->texts_by_rank(site)) {
    if (try_text(site, text)) {
      found_.back().distance = kLetByRank;
      return;
    }
  }
  using enum FormulaRole;
  switch (sites_[site].role) {
    case check: try_text(site, "1"); break;
    case weight_loop:
    case b_loop:
    case a_loop:
    case view_loop:
    case view_from:
    case view_rows:
    case kernel_loop: guess(site); break;  // no law counts turns
    default: break;
  }
}

/// Of all that repair the target, the one that leaves the least wrong; of equals the first.
bool Search::try_texts(std::size_t site, const std::vector<std::string>& texts) {
  const std::size_t before = found_.size();
  for (const std::string& text : texts) {
    if (!try_text(site, text)) {
      continue;
    }
    if (found_.size() == before + 2) {
      if (left(found_[before + 1]) < left(found_[before])) {
        std::swap(found_[before + 1], found_[before]);
      }
      found_.pop_back();
    }
    if (left(found_[before]) == 0) {
      break;
    }
  }
  return found_.size() > before;
}

bool Search::try_text(std::size_t site, const std::string& text) {
  const Place place = formulas_[site]->place();
  const std::string change = fmt::format("{}={}\n", site, text);
  auto known = tried_.find(first_ + change);
  if (known == tried_.end()) {
    auto parsed = Formula::parse(text, place, scope_of(contract_, *formulas_[site]));
    if (!parsed) {
      return false;  // too long or too deep: more turns than a formula can tell apart
    }
    std::swap(*formulas_[site], *parsed);
    symptoms(change, work_);
    std::swap(*formulas_[site], *parsed);
    known = tried_.find(first_ + change);
  }
  if (!repairs(known->second)) {
    return false;
  }
  return accept(
      distance_of(sites_[site].role),
      {.pointer = sites_[site].pointer, .place = place, .formula = static_cast<int>(site)},
      *known->second);
}

/// One more, one less, and each symbol alone: for what cannot be computed back.
void Search::guess(std::size_t site) {
  if (says_what_a_group_is(contract_, sites_[site])) {
    return;
  }
  const std::string text = formulas_[site]->text();
  bool right = try_text(site, fmt::format("({}) + 1", text)) ||
               try_text(site, fmt::format("({}) - 1", text)) || try_text(site, "0") ||
               try_text(site, "1");
  for (int number = 0; number < contract_.symbols.size() && !right; ++number) {
    if (known_at(sites_[site], number)) {
      right = try_text(site, contract_.symbols.name(number));
    }
  }
}

/// Any check could be made to stop anything. Of an adapter whose lora_rank is larger than the
/// buffers' only those are asked that look at max_lora_rank.
bool Search::may_stop_it(std::size_t site) const {
  const bool too_large =
      std::any_of(input_.adapters.begin(), input_.adapters.end(), [&](const AdapterShape& adapter) {
        return adapter.largest_rank() > input_.deployment.max_lora_rank;
      });
  const auto& used = formulas_[site]->used_symbols();
  return sites_[site].role != FormulaRole::check || !too_large ||
         std::any_of(used.begin(), used.end(),
                     [](const Formula::Used& one) { return one.symbol == symbol::R; });
}

bool Search::known_at(const FormulaSite& site, int number) const {
  for (std::size_t i = 0; i < contract_.lets.size(); ++i) {
    if (contract_.lets[i].symbol == number) {
      return i < site.lets_before && contract_.lets[i].phase <= site.latest;
    }
  }
  return predefined_phase(number) <= site.latest;
}

// --- words -----------------------------------------------------------------------------------
void Search::words() {
  for (const WordSite& site : word_sites(contract_)) {
    for (std::size_t word = 0; word < site.words.size(); ++word) {
      if (word == site.word) {
        continue;
      }
      site.put(work_, word);
      const auto& after = symptoms(fmt::format("{}={}\n", site.pointer, word), work_);
      site.put(work_, site.word);
      if (repairs(after)) {
        accept(distance_of_word(site.pointer),
               {.pointer = site.pointer,
                .place = contract_.place_of(site.pointer),
                .formula = -1,
                .wrong = WrongWord{site.words[site.word], site.words[word]}},
               *after);
        break;
      }
    }
  }
}

}  // namespace tplora::core
