#include "verify/report/finding_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "verify/explain/story.hpp"
#include "verify/report/finding_text.hpp"

namespace tplora::core {
namespace {

StoryRecord record_of(const Story& story) {
  const Finding& first = story.first;
  StoryRecord record;
  record.law = first.law;
  record.tp_ranks = runs_of(story.ranks);
  record.cause = cause_text(first);
  record.consequence = first.consequence;
  if (const auto* failed = std::get_if<Failed>(&first.cause.what)) {
    record.failed = failed->sentence;
  }
  if (!first.is_about_rows()) {
    return record;
  }
  if (first.delta) {
    record.adapter = first.adapter();
    record.slot = first.delta->slot;
  }
  if (first.part) {
    record.part = part_name(*first.part);
    record.heads = runs_of(story.heads);
    record.rows = story.rows;
  } else {
    record.columns = first.columns;
  }
  record.found = found_text(first);
  record.expected = expected_text(first);
  return record;
}

/// "row 7", "rows 0-3, 8".
std::string plural(const char* noun, const std::vector<Range>& runs) {
  return runs.size() == 1 ? plural_range(noun, runs.front())
                          : fmt::format("{}s {}", noun, ranges_text(runs));
}

/// "v head 0, rows 0-3 of adapter a (slot 0)".
std::string subject_of(const StoryRecord& story) {
  const std::string whose =
      story.slot ? fmt::format(" of adapter {} (slot {})", story.adapter, *story.slot) : "";
  const std::string what = !story.part.empty()
                               ? fmt::format("{} {}, {}", story.part, plural("head", story.heads),
                                             plural("row", story.rows))
                               : plural_range("output column", story.columns.value_or(Range{}));
  return what + whose;
}

std::string text_of(const StoryRecord& story) {
  const std::string where = plural("tp_rank", story.tp_ranks);
  if (story.found.empty()) {
    return fmt::format("    {}: {}\n", where, story.cause);
  }
  const bool one_rank =
      story.tp_ranks.size() == 1 && story.tp_ranks.front().first == story.tp_ranks.front().last;
  const std::string example =
      one_rank ? "" : fmt::format("on tp_rank {}: ", story.tp_ranks.front().first);
  return fmt::format("    {}: {}: law {}{}\n      {}found {}, expected {}\n", where,
                     subject_of(story), law_name(story.law),
                     story.consequence ? ", in consequence" : "", example, story.found,
                     story.expected);
}

}  // namespace

std::string ranges_text(const std::vector<Range>& ranges) {
  std::string text;
  for (const Range& run : ranges) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", run.first);
    text += run.first == run.last ? "" : fmt::format("-{}", run.last);
  }
  return text;
}

std::string sentence_of(const FindingRecord& finding) {
  const StoryRecord& story = finding.stories.front();
  const std::string where = plural("tp_rank", story.tp_ranks);
  return story.found.empty()
             ? fmt::format("{}: {}", where, story.cause)
             : fmt::format("{}: {}: found {}, expected {}; law {}; {}", where, subject_of(story),
                           story.found, story.expected, law_name(story.law), story.cause);
}

std::vector<FindingRecord> record_findings(const std::vector<Finding>& findings) {
  std::vector<FindingRecord> records;
  for (const FindingGroup& group : group_findings(findings)) {
    FindingRecord record{.place = group.cause_place,
                         .together_with = group.together_with,
                         .other_places = group.other_places,
                         .stories = {}};
    for (const Story& story : group.stories) {
      record.stories.push_back(record_of(story));
    }
    records.push_back(std::move(record));
  }
  return records;
}

std::string findings_text(const std::vector<FindingRecord>& findings, std::size_t most) {
  std::string text;
  for (const FindingRecord& finding : std::span(findings).first(std::min(most, findings.size()))) {
    const StoryRecord& first = finding.stories.front();
    text += fmt::format("  {}{}\n", finding.place.text(),
                        first.found.empty() ? "" : ": " + first.cause);
    if (finding.together_with) {
      text += fmt::format("  and {}\n", finding.together_with->text());
    }
    for (const Place& place : finding.other_places) {
      text += fmt::format("  or {}\n", place.text());
    }
    for (const StoryRecord& story : finding.stories) {
      text += text_of(story);
    }
  }
  if (findings.size() > most) {
    text += fmt::format("  and {} more formulas with findings\n", findings.size() - most);
  }
  return text;
}

}  // namespace tplora::core
