#include "verify/report/suite_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "verify/compare/digest.hpp"
#include "verify/report/expectation.hpp"
#include "verify/report/finding_text.hpp"
#include "verify/report/numbers_text.hpp"
#include "verify/report/text.hpp"

namespace tplora::core {
namespace {

constexpr std::size_t kFindingsShown = 6;

/// One character a case: small where nothing is wrong.
char mark(const CaseOutcome& outcome) {
  switch (outcome.verdict) {
    case Verdict::consistent:
      return outcome.numbers.state == NumericOutcome::State::vacuous ? 'v' : '=';
    case Verdict::refused: return 'r';
    case Verdict::not_applicable: return '.';
    case Verdict::silent: return 'S';
    case Verdict::crash: return 'C';
  }
  return '?';
}

std::string case_text(const PreparedCase& item, const CaseOutcome& outcome) {
  std::string text = fmt::format("{}{}\n", verdict_name(outcome.verdict),
                                 item.geometry ? "" : ": " + item.why_no_qkv);
  text += unclaimed_text(item);
  text += findings_text(outcome.findings, kFindingsShown);
  text += numbers_text(item, outcome.numbers);
  text += same_as_text(outcome.same_as);
  text += fmt::format("  replay: tplora replay \"{}\"\n", print_case(item.spec));
  return text;
}

/// Rows of the table: a model's layer kind under one engine.
struct Row {
  const PreparedCase* first = nullptr;
  std::map<std::int64_t, char> marks;
};

std::string table_text(const std::vector<PreparedCase>& cases,
                       const std::vector<CaseOutcome>& outcomes) {
  std::vector<Row> rows;
  std::map<std::string, std::size_t> row_of;
  std::set<std::int64_t> sizes;
  std::size_t width = 10;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& one = cases[i].spec;
    if ((!cases[i].geometry && !one.layer.empty()) || cases[i].bug) {
      continue;  // linear-attention layers say nothing here, and bugs have a table of their own
    }
    const auto key = fmt::format("{}|{}|{}", one.engine, one.model, one.layer);
    const auto [entry, is_new] = row_of.emplace(key, rows.size());
    if (is_new) {
      rows.push_back({&cases[i], {}});
      width = std::max(width, one.model.size() + (one.layer.empty() ? 0 : one.layer.size() + 1));
    }
    rows[entry->second].marks[one.tp_size] = mark(outcomes[i]);
    sizes.insert(one.tp_size);
  }
  std::string text;
  std::string engine;
  for (const Row& row : rows) {
    const Case& one = row.first->spec;
    if (one.engine != engine) {
      engine = one.engine;
      text += fmt::format("{:<{}}  {:>14}  tp", engine, width, "H/KV/D");
      for (const std::int64_t size : sizes) {
        text += fmt::format("{:>4}", size);
      }
      text += "\n";
    }
    std::string geometry = "-";
    if (row.first->geometry) {
      const QkvGeometry& g = *row.first->geometry;
      geometry = fmt::format("{}/{}/{}", g.num_attention_heads, g.num_key_value_heads, g.head_dim);
    }
    text += fmt::format("{:<{}}  {:>14}    ",
                        one.model + (one.layer.empty() ? "" : " " + one.layer), width, geometry);
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
  std::optional<Verdict> expected;
  Verdict verdict = Verdict::consistent;
  std::set<std::pair<Law, Place>> causes;
  friend auto operator<=>(const OutcomeKey&, const OutcomeKey&) = default;
};

OutcomeKey story_of(const PreparedCase& item, const CaseOutcome& outcome) {
  OutcomeKey key{.engine = item.spec.engine,
                 .expected = item.expect.verdict,
                 .verdict = outcome.verdict,
                 .causes = {}};
  for (const Finding& finding : outcome.findings) {
    key.causes.emplace(finding.law, finding.cause_place);
  }
  return key;
}

std::string layer_name(const Case& one) {
  return one.layer.empty() ? one.model : one.model + " " + one.layer;
}

/// "org/model tp 4, 8; org/other tp 2"
std::string where_text(const std::vector<PreparedCase>& cases,
                       const std::vector<std::size_t>& numbers) {
  std::vector<std::pair<std::string, std::string>> models;
  for (const std::size_t i : numbers) {
    const std::string name = layer_name(cases[i].spec);
    const std::string size = std::to_string(cases[i].spec.tp_size);
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
std::string unexpected_text(const std::vector<PreparedCase>& cases,
                            const std::vector<CaseOutcome>& outcomes) {
  std::vector<std::vector<std::size_t>> stories;
  std::map<OutcomeKey, std::size_t> place;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (as_expected(outcomes[i], cases[i].expect)) {
      continue;
    }
    const auto [entry, is_new] = place.emplace(story_of(cases[i], outcomes[i]), stories.size());
    if (is_new) {
      stories.emplace_back();
    }
    stories[entry->second].push_back(i);
  }
  std::string text;
  for (const std::vector<std::size_t>& story : stories) {
    const PreparedCase& item = cases[story.front()];
    const Expectation& expect = item.expect;
    text += fmt::format("\nunexpected: {} engine {} tp {}: expected {}{}, found {}",
                        layer_name(item.spec), item.spec.engine, item.spec.tp_size,
                        verdict_name(expect.verdict),
                        expect.shape_check.empty() ? "" : ", shape check " + expect.shape_check,
                        case_text(item, outcomes[story.front()]));
    const std::string missing = missing_finding(outcomes[story.front()], expect);
    text += missing.empty() ? "" : fmt::format("  no finding says \"{}\"\n", missing);
    if (story.size() > 1) {
      text += fmt::format("  likewise: {}\n", where_text(cases, {story.begin() + 1, story.end()}));
    }
  }
  return text;
}

}  // namespace

std::string suite_text(const std::string& name, const std::vector<PreparedCase>& cases,
                       const std::vector<CaseOutcome>& outcomes) {
  std::string text = table_text(cases, outcomes);
  std::map<Verdict, std::int64_t> counts;
  std::map<std::string, std::int64_t> numbers;
  std::int64_t pinned = 0;
  std::int64_t unexpected = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    ++counts[outcomes[i].verdict];
    const bool exception = !cases[i].expect.link.empty();
    pinned += exception && as_expected(outcomes[i], cases[i].expect) ? 1 : 0;
    unexpected += as_expected(outcomes[i], cases[i].expect) ? 0 : 1;
    if (!outcomes[i].numbers_shared) {
      ++numbers[std::to_string(static_cast<int>(outcomes[i].numbers.state))];
    }
  }
  text += fmt::format("{}{}: {} cases:", text.empty() ? "" : "\n", name, cases.size());
  for (const auto& [verdict, count] : counts) {
    text += fmt::format(" {} {},", count, verdict_name(verdict));
  }
  text.back() = '\n';
  text += fmt::format("numbers: {} equal, {} different, {} vacuous (each geometry once)\n",
                      numbers["1"], numbers["2"], numbers["3"]);
  text += fmt::format("{} exceptions came out as pinned, {} cases are unexpected\n", pinned,
                      unexpected);
  text += fmt::format("digest {:016x} of all verdicts and output bits\n", suite_digest(outcomes));
  return text + unexpected_text(cases, outcomes);
}

namespace {

constexpr std::size_t kFoundWidth = 110;

/// What a finding says, without the place it was found at and the formula behind it.
std::string gist(const Finding& finding) {
  const auto* failed = std::get_if<Failed>(&finding.cause.what);
  std::string text =
      failed != nullptr ? failed->sentence
      : !finding.is_about_rows()
          ? cause_text(finding)
          : fmt::format("{} of {}: found {}, expected {}",
                        finding.part ? part_name(*finding.part) : "output columns",
                        finding.delta ? "adapter " + finding.adapter() : "the base weight",
                        found_text(finding), expected_text(finding));
  if (text.size() > kFoundWidth) {
    text = text.substr(0, text.rfind(' ', kFoundWidth)) + " ...";
  }
  return text;
}

}  // namespace

std::string bugs_text(const std::vector<PreparedCase>& cases,
                      const std::vector<CaseOutcome>& outcomes) {
  struct Row {
    std::string engine, found;
    bool silent = false, crash = false;
    bool caught = true;
  };
  std::vector<std::pair<std::string, Row>> rows;  // a suite has a bug's cases together
  std::size_t width = 3;
  std::size_t engine_width = 6;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!cases[i].bug) {
      continue;
    }
    const std::string& name = cases[i].contract->name;
    if (rows.empty() || rows.back().first != name) {
      rows.push_back({name, {.engine = cases[i].contract->engine, .found = {}}});
    }
    Row& row = rows.back().second;
    width = std::max(width, name.size());
    engine_width = std::max(engine_width, row.engine.size());
    row.silent = row.silent || outcomes[i].verdict == Verdict::silent;
    row.crash = row.crash || outcomes[i].verdict == Verdict::crash;
    row.caught = row.caught && as_expected(outcomes[i], cases[i].expect);
    const bool tells = outcomes[i].verdict == Verdict::silent || row.found.empty();
    if (cases[i].role == "smallest" && tells && !outcomes[i].findings.empty()) {
      row.found = gist(outcomes[i].findings.front());
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

std::uint64_t suite_digest(const std::vector<CaseOutcome>& outcomes) {
  Digest digest;
  for (const CaseOutcome& outcome : outcomes) {
    digest.add_word(static_cast<std::uint64_t>(outcome.verdict));
    digest.add_word(outcome.numbers.digest);
  }
  return digest.value();
}

std::string digest_mismatch(const Suite& suite, const std::vector<CaseOutcome>& outcomes) {
  const std::string found = fmt::format("{:016x}", suite_digest(outcomes));
  return suite.digest.empty() || suite.digest == found
             ? ""
             : fmt::format("unexpected: the digest is {}, expected {}: bits or verdicts changed\n",
                           found, suite.digest);
}

std::string replay_text(const PreparedCase& item, const CaseOutcome& outcome) {
  std::string text = item.geometry ? geometry_text(*item.geometry) + "\n" : "";
  return text + case_text(item, outcome);
}

int suite_exit_code(const std::vector<PreparedCase>& cases,
                    const std::vector<CaseOutcome>& outcomes) {
  bool meaningful = false;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const CaseOutcome& outcome = outcomes[i];
    if (!as_expected(outcome, cases[i].expect)) {
      return 1;
    }
    meaningful = meaningful || (outcome.verdict != Verdict::not_applicable &&
                                outcome.numbers.state != NumericOutcome::State::vacuous);
  }
  return meaningful ? 0 : 3;
}

}  // namespace tplora::core
