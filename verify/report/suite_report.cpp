#include "verify/report/suite_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <sstream>

#include "sim/base/printable.hpp"
#include "verify/compare/digest.hpp"
#include "verify/report/stories.hpp"
#include "verify/report/text.hpp"
#include "verify/report/verdict_table.hpp"

namespace tplora::core {
namespace {

/// Each story once: the first case in full, then where else it happens.
std::string told_text(const std::vector<CaseRecord>& cases) {
  std::string text;
  for (const std::vector<std::size_t>& story : stories_of(cases, false)) {
    const CaseRecord& one = cases[story.front()];
    const std::string expected =
        one.expected ? fmt::format("expected {}{}, found ", verdict_name(*one.expected),
                                   one.expected_shape_check.empty()
                                       ? ""
                                       : ", shape check " + one.expected_shape_check)
                     : "";
    text += fmt::format("\n{}: {} engine {} tp {}: {}{}",
                        one.expected ? "unexpected" : outcome_word(one), layer_name(one),
                        one.engine, one.tp_size, expected, case_text(one));
    text += one.missing_finding.empty()
                ? ""
                : fmt::format("  no finding says \"{}\"\n", one.missing_finding);
    if (story.size() > 1) {
      text += fmt::format("  likewise: {}\n", where_text(cases, {story.begin() + 1, story.end()}));
    }
  }
  return text;
}

}  // namespace

namespace {

constexpr std::size_t kErrorsShown = 20;
constexpr std::size_t kLongestLine = 4000;  ///< bytes of a case line

}  // namespace

std::string errors_text(const std::vector<CaseRecord>& cases) {
  std::vector<std::pair<const CaseRecord*, std::size_t>> errors;
  std::map<std::string_view, std::size_t> known;
  for (const CaseRecord& one : cases) {
    if (!one.error.empty()) {
      const auto [entry, is_new] = known.emplace(one.error, errors.size());
      if (is_new) {
        errors.emplace_back(&one, 0);
      }
      ++errors[entry->second].second;
    }
  }
  std::string text;
  for (const auto& [first, count] :
       std::span(errors).first(std::min(errors.size(), kErrorsShown))) {
    text += fmt::format("\nerror: {}\n  {}{}\n", first->error,
                        printable(first->case_line, kLongestLine),
                        count == 1 ? "" : "\n  and " + counted(count - 1, "more case"));
  }
  if (errors.size() > kErrorsShown) {
    text += fmt::format("\nand {} more errors\n", errors.size() - kErrorsShown);
  }
  return text;
}

std::string suite_text(const ReportHeader& header, const std::vector<CaseRecord>& cases) {
  const std::string name = header.shard ? fmt::format("{}, shard {} of {}", header.suite,
                                                      header.shard->number, header.shard->count)
                                        : header.suite;
  std::string text = table_text(cases);
  std::map<Verdict, std::int64_t> counts;
  std::map<NumericOutcome::State, std::int64_t> numbers;
  std::int64_t pinned = 0;
  std::int64_t unexpected = 0;
  std::int64_t errors = 0;
  for (const CaseRecord& one : cases) {
    if (!one.verdict) {
      ++errors;
      continue;
    }
    ++counts[*one.verdict];
    pinned += one.pinned && !one.unexpected ? 1 : 0;
    unexpected += one.unexpected ? 1 : 0;
    if (!one.numbers.shared) {
      ++numbers[one.numbers.state];
    }
  }
  text += fmt::format("{}{}: {} cases:", text.empty() ? "" : "\n", name, cases.size());
  for (const auto& [verdict, count] : counts) {
    text += fmt::format(" {} {},", count, verdict_name(verdict));
  }
  text += errors == 0 ? "" : fmt::format(" {} errors,", errors);
  text.back() = '\n';
  using State = NumericOutcome::State;
  text += fmt::format("numbers: {} equal, {} different, {} vacuous (each geometry once)\n",
                      numbers[State::equal], numbers[State::different], numbers[State::vacuous]);
  text += header.expects
              ? fmt::format("{} exceptions came out as pinned, {} cases are unexpected\n", pinned,
                            unexpected)
              : "";
  text += fmt::format("digest {:016x} of all verdicts and output bits\n", suite_digest(cases));
  return text + told_text(cases) + errors_text(cases);
}

namespace {

constexpr std::size_t kFoundWidth = 110;

/// What a finding says, without the place it was found at and the formula behind it.
std::string gist(const StoryRecord& story) {
  std::string text = !story.failed.empty() ? story.failed
                     : story.found.empty()
                         ? story.cause
                         : fmt::format("{} of {}: found {}, expected {}",
                                       story.part.empty() ? "output columns" : story.part,
                                       story.slot ? "adapter " + story.adapter : "the base weight",
                                       story.found, story.expected);
  if (text.size() > kFoundWidth) {
    text = text.substr(0, text.rfind(' ', kFoundWidth)) + " ...";
  }
  return text;
}

}  // namespace

std::string bugs_text(const std::vector<CaseRecord>& cases) {
  struct Row {
    std::string engine, found;
    bool silent = false, crash = false;
    bool caught = true;
  };
  std::vector<std::pair<std::string, Row>> rows;  // a suite has a bug's cases together
  std::size_t width = 3;
  std::size_t engine_width = 6;
  for (const CaseRecord& one : cases) {
    if (!one.bug) {
      continue;
    }
    const auto& [name, engine, role] = *one.bug;
    if (rows.empty() || rows.back().first != name) {
      rows.push_back({name, {.engine = engine, .found = {}}});
    }
    Row& row = rows.back().second;
    width = std::max(width, name.size());
    engine_width = std::max(engine_width, row.engine.size());
    row.silent = row.silent || one.verdict == Verdict::silent;
    row.crash = row.crash || one.verdict == Verdict::crash;
    row.caught = row.caught && !one.unexpected;
    const bool tells = one.verdict == Verdict::silent || row.found.empty();
    if (role == "smallest" && tells && !one.findings.empty()) {
      row.found = gist(one.findings.front().stories.front());
    }
  }
  if (rows.empty()) {
    return "";
  }
  std::string text = fmt::format("\n{:<{}}  {:<{}}  {:<11}  {:<13}  {}\n", "bug", width, "engine",
                                 engine_width, "shape check", "verdict", "what was found");
  for (const auto& [name, row] : rows) {
    const char* shapes = row.silent && row.crash ? "partly" : row.silent ? "blind" : "catches";
    const char* verdict = row.silent && row.crash ? "silent, crash"
                          : row.silent            ? "silent"
                          : row.crash             ? "crash"
                                                  : "not shown";
    text +=
        fmt::format("{:<{}}  {:<{}}  {:<11}  {:<13}  {}{}\n", name, width, row.engine, engine_width,
                    shapes, verdict, row.caught ? "" : "NOT AS EXPECTED: ", row.found);
  }
  return text;
}

namespace {

/// "model=.. tp=4" of a case line.
std::string model_and_size(const std::string& line) {
  std::string text;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    for (const char* key : {"model=", "layer=", "tp=", "dp="}) {
      text += word.starts_with(key) ? (text.empty() ? "" : " ") + word : "";
    }
  }
  return text;
}

}  // namespace

std::string blind_spots_text(const std::vector<BugCatalogue::BlindSpot>& spots) {
  if (spots.empty()) {
    return "";
  }
  std::string text = fmt::format(
      "\n{} published bugs of these engines that no case here could have shown (blind spots; a "
      "report has the whole lines):\n",
      spots.size());
  for (const BugCatalogue::BlindSpot& spot : spots) {
    text += fmt::format("  {} of {}: {}; shown by {}\n", spot.bug, spot.engine, spot.title,
                        model_and_size(spot.nearest));
  }
  return text;
}

namespace {

constexpr std::uint64_t kErrorWord = 255;  ///< in the place of a verdict

}  // namespace

std::uint64_t suite_digest(const std::vector<CaseRecord>& cases) {
  Digest digest;
  for (const CaseRecord& one : cases) {
    digest.add_word(one.verdict ? static_cast<std::uint64_t>(*one.verdict) : kErrorWord);
    digest.add_word(one.numbers.digest);
  }
  return digest.value();
}

namespace {

/// Where the digest is not the pinned one, that; else empty.
std::string digest_mismatch(const ReportHeader& header, const std::vector<CaseRecord>& cases) {
  const std::string found = fmt::format("{:016x}", suite_digest(cases));
  return header.shard || header.pinned.empty() || header.pinned == found
             ? ""
             : fmt::format("unexpected: the digest is {}, expected {}: bits or verdicts changed\n",
                           found, header.pinned);
}

/// "read 273 models, 3 engines, 44 bugs and 1 other file: ..."
std::string files_text(const ReportHeader& header) {
  std::map<std::string, std::int64_t> counts;
  for (const auto& [file, digest] : header.files) {
    const std::string folder = file.substr(0, file.find('/'));
    const bool own = folder == "models" || folder == "engines" || folder == "bugs";
    ++counts[own ? folder.substr(0, folder.size() - 1) : "other file"];
  }
  std::vector<std::string> words;
  for (const auto& [what, count] : counts) {
    words.push_back(counted(static_cast<std::size_t>(count), what));
  }
  return fmt::format("read {}; sha256 {} of all\n", fmt::join(words, ", "),
                     files_digest(header).substr(0, 16));
}

}  // namespace

std::string run_text(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                     const std::vector<BugCatalogue::BlindSpot>& spots) {
  const std::string text = suite_text(header, cases) + files_text(header);
  // Of bugs and blind spots a part alone says nothing: merge does.
  return header.shard
             ? text
             : text + bugs_text(cases) + blind_spots_text(spots) + digest_mismatch(header, cases);
}

int run_exit_code(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                  const std::vector<BugCatalogue::BlindSpot>& spots, bool strict) {
  const auto meaningful = [](const CaseRecord& one) {
    return one.verdict && one.verdict != Verdict::not_applicable &&
           one.numbers.state != NumericOutcome::State::vacuous;
  };
  const bool wrong =
      std::any_of(cases.begin(), cases.end(), [](const CaseRecord& one) { return one.unexpected; });
  if (wrong || (strict && !spots.empty()) || !digest_mismatch(header, cases).empty()) {
    return 1;
  }
  if (std::any_of(cases.begin(), cases.end(),
                  [](const CaseRecord& one) { return !one.error.empty(); })) {
    return 2;
  }
  return std::any_of(cases.begin(), cases.end(), meaningful) ? 0 : 3;
}

std::string replay_text(const PreparedCase& item, const CaseOutcome& outcome) {
  std::string text = item.geometry ? geometry_text(*item.geometry) + "\n" : "";
  return text + case_text(record_case(item, outcome));
}

}  // namespace tplora::core
