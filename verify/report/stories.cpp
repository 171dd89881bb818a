#include "verify/report/stories.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "verify/report/verdict_table.hpp"

namespace tplora::core {
namespace {

/// What makes two unexpected outcomes one story: the same formulas break the same laws.
struct OutcomeKey {
  std::string engine;
  std::optional<Verdict> expected, verdict;
  std::set<std::pair<Law, Place>> causes;
  friend auto operator<=>(const OutcomeKey&, const OutcomeKey&) = default;
};

OutcomeKey story_of(const CaseRecord& one) {
  OutcomeKey key{
      .engine = one.engine, .expected = one.expected, .verdict = one.verdict, .causes = {}};
  for (const FindingRecord& finding : one.findings) {
    for (const StoryRecord& story : finding.stories) {
      key.causes.emplace(story.law, finding.place);
    }
  }
  return key;
}

constexpr std::size_t kModelsShown = 12;

/// "4, 8, 16-32": three in a row or more are a range.
std::string sizes_text(const std::set<std::int64_t>& sizes) {
  std::string text;
  for (auto at = sizes.begin(); at != sizes.end();) {
    const std::int64_t first = *at;
    std::int64_t last = first;
    for (++at; at != sizes.end() && *at == last + 1; ++at) {
      ++last;
    }
    text += fmt::format("{}{}", text.empty() ? "" : ", ", first);
    text += last == first ? "" : fmt::format("{}{}", last > first + 1 ? "-" : ", ", last);
  }
  return text;
}

/// Whether a case is told in full: it is not as expected, or, where nothing is expected, wrong.
bool is_told(const CaseRecord& one) {
  return one.unexpected || (!one.expected && one.error.empty() &&
                            (one.verdict == Verdict::silent || one.verdict == Verdict::crash));
}

}  // namespace

std::vector<std::vector<std::size_t>> stories_of(const std::vector<CaseRecord>& cases,
                                                 bool with_expected) {
  std::vector<std::vector<std::size_t>> stories;
  std::map<OutcomeKey, std::size_t> place;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!is_told(cases[i]) &&
        (!with_expected || cases[i].findings.empty() || cases[i].verdict == Verdict::refused)) {
      continue;
    }
    const auto [entry, is_new] = place.emplace(story_of(cases[i]), stories.size());
    if (is_new) {
      stories.emplace_back();
    }
    stories[entry->second].push_back(i);
  }
  return stories;
}

std::string where_text(const std::vector<CaseRecord>& cases,
                       const std::vector<std::size_t>& numbers) {
  std::vector<std::pair<std::string, std::set<std::int64_t>>> models;
  for (const std::size_t i : numbers) {
    const std::string name = layer_name(cases[i]);
    if (models.empty() || models.back().first != name) {
      models.emplace_back(name, std::set<std::int64_t>());
    }
    models.back().second.insert(cases[i].tp_size);
  }
  std::string text;
  for (const auto& [name, sizes] : std::span(models).first(std::min(models.size(), kModelsShown))) {
    text += fmt::format("{}{} tp {}", text.empty() ? "" : "; ", name, sizes_text(sizes));
  }
  return models.size() <= kModelsShown
             ? text
             : fmt::format("{}; and {} more models, {} cases in all", text,
                           models.size() - kModelsShown, numbers.size());
}

}  // namespace tplora::core
