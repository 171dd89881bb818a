#include "verify/report/suite_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "verify/compare/digest.hpp"
#include "verify/report/text.hpp"

namespace tplora::core {
namespace {

/// One character a case: small where nothing is wrong.
char mark(const CaseRecord& one) {
  switch (one.verdict) {
    case Verdict::consistent:
      return one.numbers.state == NumericOutcome::State::vacuous ? 'v' : '=';
    case Verdict::refused: return 'r';
    case Verdict::not_applicable: return '.';
    case Verdict::silent: return 'S';
    case Verdict::crash: return 'C';
  }
  return '?';
}

/// Rows of the table: a model's layer kind under one engine.
struct Row {
  const CaseRecord* first = nullptr;
  std::map<std::int64_t, char> marks;
};

std::string layer_name(const CaseRecord& one) {
  return one.layer.empty() ? one.model : one.model + " " + one.layer;
}

std::string table_text(const std::vector<CaseRecord>& cases) {
  std::vector<Row> rows;
  std::map<std::string, std::size_t> row_of;
  std::set<std::int64_t> sizes;
  std::size_t width = 10;
  for (const CaseRecord& one : cases) {
    if ((!one.heads && !one.layer.empty()) || one.bug) {
      continue;  // linear-attention layers say nothing here, and bugs have a table of their own
    }
    const auto key = fmt::format("{}|{}|{}", one.engine, one.model, one.layer);
    const auto [entry, is_new] = row_of.emplace(key, rows.size());
    if (is_new) {
      rows.push_back({&one, {}});
      width = std::max(width, layer_name(one).size());
    }
    rows[entry->second].marks[one.tp_size] = mark(one);
    sizes.insert(one.tp_size);
  }
  std::string text;
  std::string engine;
  for (const Row& row : rows) {
    const CaseRecord& one = *row.first;
    if (one.engine != engine) {
      engine = one.engine;
      text += fmt::format("{:<{}}  {:>14}  tp", engine, width, "H/KV/D");
      for (const std::int64_t size : sizes) {
        text += fmt::format("{:>4}", size);
      }
      text += "\n";
    }
    const std::string geometry =
        one.heads ? fmt::format("{}/{}/{}", one.heads->q, one.heads->kv, one.heads->head_dim) : "-";
    text += fmt::format("{:<{}}  {:>14}    ", layer_name(one), width, geometry);
    for (const std::int64_t size : sizes) {
      const auto found = row.marks.find(size);
      text += fmt::format("{:>4}", found == row.marks.end() ? ' ' : found->second);
    }
    text += "\n";
  }
  text += "= consistent   r refused   . no qkv projection   C crash   S silent   v vacuous\n";
  return rows.empty() ? "" : text;
}

/// What makes two unexpected outcomes one story: the same formulas break the same laws.
struct OutcomeKey {
  std::string engine;
  Verdict expected = Verdict::consistent;
  Verdict verdict = Verdict::consistent;
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

/// "org/model tp 4, 8; org/other tp 2"
std::string where_text(const std::vector<CaseRecord>& cases,
                       const std::vector<std::size_t>& numbers) {
  std::vector<std::pair<std::string, std::string>> models;
  for (const std::size_t i : numbers) {
    const std::string name = layer_name(cases[i]);
    const std::string size = std::to_string(cases[i].tp_size);
    if (models.empty() || models.back().first != name) {
      models.emplace_back(name, size);
    } else {
      models.back().second += ", " + size;
    }
  }
  std::string text;
  for (const auto& [name, sizes] : models) {
    text += fmt::format("{}{} tp {}", text.empty() ? "" : "; ", name, sizes);
  }
  return text;
}

/// Each story once: the first case in full, then where else it happens.
std::string unexpected_text(const std::vector<CaseRecord>& cases) {
  std::vector<std::vector<std::size_t>> stories;
  std::map<OutcomeKey, std::size_t> place;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!cases[i].unexpected) {
      continue;
    }
    const auto [entry, is_new] = place.emplace(story_of(cases[i]), stories.size());
    if (is_new) {
      stories.emplace_back();
    }
    stories[entry->second].push_back(i);
  }
  std::string text;
  for (const std::vector<std::size_t>& story : stories) {
    const CaseRecord& one = cases[story.front()];
    text += fmt::format(
        "\nunexpected: {} engine {} tp {}: expected {}{}, found {}", layer_name(one), one.engine,
        one.tp_size, verdict_name(one.expected),
        one.expected_shape_check.empty() ? "" : ", shape check " + one.expected_shape_check,
        case_text(one));
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

std::string suite_text(const std::string& name, const std::vector<CaseRecord>& cases) {
  std::string text = table_text(cases);
  std::map<Verdict, std::int64_t> counts;
  std::map<NumericOutcome::State, std::int64_t> numbers;
  std::int64_t pinned = 0;
  std::int64_t unexpected = 0;
  for (const CaseRecord& one : cases) {
    ++counts[one.verdict];
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
  text.back() = '\n';
  using State = NumericOutcome::State;
  text += fmt::format("numbers: {} equal, {} different, {} vacuous (each geometry once)\n",
                      numbers[State::equal], numbers[State::different], numbers[State::vacuous]);
  text += fmt::format("{} exceptions came out as pinned, {} cases are unexpected\n", pinned,
                      unexpected);
  text += fmt::format("digest {:016x} of all verdicts and output bits\n", suite_digest(cases));
  return text + unexpected_text(cases);
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

std::string blind_spots_text(const std::vector<BugCatalogue::BlindSpot>& spots) {
  std::string text;
  for (const BugCatalogue::BlindSpot& spot : spots) {
    text += fmt::format("blind spot: engine {}: no case here tells it from {} ({})\n", spot.engine,
                        spot.bug, spot.title);
    if (!spot.nearest.empty()) {
      text += fmt::format("  the nearest that does: {}\n", spot.nearest);
    }
  }
  return text;
}

std::uint64_t suite_digest(const std::vector<CaseRecord>& cases) {
  Digest digest;
  for (const CaseRecord& one : cases) {
    digest.add_word(static_cast<std::uint64_t>(one.verdict));
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
    words.push_back(fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"));
  }
  return fmt::format("read {}; sha256 {} of all\n", fmt::join(words, ", "),
                     files_digest(header).substr(0, 16));
}

}  // namespace

std::string run_text(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                     const std::vector<BugCatalogue::BlindSpot>& spots) {
  const std::string name = header.shard ? fmt::format("{}, shard {} of {}", header.suite,
                                                      header.shard->number, header.shard->count)
                                        : header.suite;
  const std::string text = suite_text(name, cases) + files_text(header);
  // Of bugs and blind spots a part alone says nothing: merge does.
  return header.shard
             ? text
             : text + bugs_text(cases) + blind_spots_text(spots) + digest_mismatch(header, cases);
}

int run_exit_code(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                  const std::vector<BugCatalogue::BlindSpot>& spots, bool strict) {
  const auto meaningful = [](const CaseRecord& one) {
    return one.verdict != Verdict::not_applicable &&
           one.numbers.state != NumericOutcome::State::vacuous;
  };
  const bool wrong =
      std::any_of(cases.begin(), cases.end(), [](const CaseRecord& one) { return one.unexpected; });
  if (wrong || (strict && !spots.empty()) || !digest_mismatch(header, cases).empty()) {
    return 1;
  }
  return std::any_of(cases.begin(), cases.end(), meaningful) ? 0 : 3;
}

std::string replay_text(const PreparedCase& item, const CaseOutcome& outcome) {
  std::string text = item.geometry ? geometry_text(*item.geometry) + "\n" : "";
  return text + case_text(record_case(item, outcome));
}

}  // namespace tplora::core
