#include "verify/explain/story.hpp"

#include <algorithm>
#include <compare>
#include <map>
#include <optional>

namespace tplora::core {
namespace {

/// What findings of one cause have in common to be one story: the same kind of thing is wrong with
/// the same part of the same delta, and the same kind of thing stands there.
struct StoryKey {
  Place cause_place;
  std::optional<Cause> cause;  ///< where it is all that is told: with the rank's own figures
  std::size_t kind = 0;
  Law law = Law::check;
  std::optional<Part> part;
  std::optional<Delta> delta;
  std::optional<std::size_t> found_kind;
  std::optional<int> found_adapter;
  std::optional<Part> found_part;
  std::optional<std::int64_t> owners;        ///< of a head
  std::optional<std::int64_t> first_column;  ///< where no part is concerned
  friend auto operator<=>(const StoryKey&, const StoryKey&) = default;
};

StoryKey key_of(const Finding& finding) {
  StoryKey key{.cause_place = finding.cause_place,
               .cause = {},
               .kind = 0,
               .law = finding.law,
               .part = finding.part,
               .delta = finding.delta,
               .found_kind = {},
               .found_adapter = {},
               .found_part = {},
               .owners = {},
               .first_column = {}};
  if (!finding.part && finding.columns) {
    key.first_column = finding.columns->first;
  }
  if (!finding.is_about_rows()) {
    key.cause = finding.cause;
  }
  if (!finding.violation) {
    return key;
  }
  key.kind = finding.violation->index() + 1;
  std::visit(
      [&](const auto& v) {
        if constexpr (requires { v.found; }) {
          key.found_kind = v.found.index();
          key.found_adapter = adapter_of(v.found);
          key.found_part = part_of(v.found);
        }
        if constexpr (requires { v.owners; }) {
          key.owners = v.owners;
        }
      },
      *finding.violation);
  return key;
}

void add_rows(Story& story, const Finding& finding) {
  if (!finding.part) {
    return;
  }
  for (std::int64_t head = finding.heads->first; head <= finding.heads->last; ++head) {
    story.heads.push_back(head);
  }
  story.rows.push_back(*finding.rows);
}

void merge(Story& story) {
  std::sort(story.heads.begin(), story.heads.end());
  story.heads.erase(std::unique(story.heads.begin(), story.heads.end()), story.heads.end());
  std::sort(story.rows.begin(), story.rows.end());
  std::vector<Range> merged;
  for (const auto& [first, last] : story.rows) {
    if (!merged.empty() && first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, last);
    } else {
      merged.push_back({first, last});
    }
  }
  story.rows = std::move(merged);
}

}  // namespace

std::vector<FindingGroup> group_findings(const std::vector<Finding>& findings) {
  std::vector<FindingGroup> groups;
  std::map<Place, std::size_t> group_of;
  std::map<StoryKey, std::size_t> story_of;
  for (const Finding& finding : findings) {
    const auto [group, is_new] = group_of.emplace(finding.cause_place, groups.size());
    if (is_new) {
      groups.push_back({finding.cause_place, finding.together_with, finding.other_places, {}});
    }
    auto& stories = groups[group->second].stories;
    const auto [story, starts] = story_of.emplace(key_of(finding), stories.size());
    if (starts) {
      stories.push_back({finding, {}, {}, {}});
    }
    Story& one = stories[story->second];
    if (one.ranks.empty() || one.ranks.back() != finding.tp_rank) {
      one.ranks.push_back(finding.tp_rank);
    }
    add_rows(one, finding);
  }
  for (FindingGroup& group : groups) {
    std::for_each(group.stories.begin(), group.stories.end(), merge);
  }
  return groups;
}

std::vector<Range> runs_of(const std::vector<std::int64_t>& numbers) {
  std::vector<Range> runs;
  for (const std::int64_t number : numbers) {
    if (!runs.empty() && number == runs.back().last + 1) {
      runs.back().last = number;
    } else {
      runs.push_back({number, number});
    }
  }
  return runs;
}

}  // namespace tplora::core
