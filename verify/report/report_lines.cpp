#include "verify/report/report_lines.hpp"

#include <fmt/format.h>

#include "sim/base/json.hpp"
#include "sim/base/sha256.hpp"
#include "verify/report/suite_report.hpp"

namespace tplora::core {
namespace {

std::string_view state_name(NumericOutcome::State state) {
  return kNumericStates[static_cast<std::size_t>(state)].word;
}

// What is empty is left out.

void put(Json& json, const char* key, const std::string& text) {
  if (!text.empty()) {
    json[key] = text;
  }
}

void put(Json& json, const char* key, const std::vector<std::string>& texts) {
  if (!texts.empty()) {
    json[key] = texts;
  }
}

Json range_json(const Range& range) {
  return Json::array({range.first, range.last});
}

void put(Json& json, const char* key, const std::vector<Range>& ranges) {
  for (const Range& range : ranges) {
    json[key].push_back(range_json(range));
  }
}

std::string hex(std::uint64_t digest) {
  return fmt::format("{:016x}", digest);
}

Json story_json(const StoryRecord& story) {
  Json json = {{"law", law_name(story.law)}};
  put(json, "tp_ranks", story.tp_ranks);
  put(json, "adapter", story.adapter);
  if (story.slot) {
    json["slot"] = *story.slot;
  }
  put(json, "part", story.part);
  put(json, "heads", story.heads);
  put(json, "rows", story.rows);
  if (story.columns) {
    json["columns"] = range_json(*story.columns);
  }
  put(json, "found", story.found);
  put(json, "expected", story.expected);
  put(json, "cause", story.cause);
  put(json, "failed", story.failed);
  if (story.consequence) {
    json["consequence"] = true;
  }
  return json;
}

Json place_json(const Place& place) {
  return {{"file", place.file}, {"pointer", place.pointer}};
}

Json finding_json(const FindingRecord& finding) {
  Json json = {{"place", place_json(finding.place)}};
  if (finding.together_with) {
    json["and"] = place_json(*finding.together_with);
  }
  for (const Place& place : finding.other_places) {
    json["or"].push_back(place_json(place));
  }
  for (const StoryRecord& story : finding.stories) {
    json["stories"].push_back(story_json(story));
  }
  return json;
}

Json difference_json(const DifferenceRecord& one) {
  Json json = {{"part", one.part}};
  put(json, "tp_ranks", one.tp_ranks);
  json["wrong"] = one.wrong;
  put(json, "tokens", one.tokens);
  json["tp_rank"] = one.tp_rank;
  json["rows"] = range_json(one.rows);
  json["token"] = one.token;
  json["row"] = one.row;
  json["got"] = one.got;
  json["expected"] = one.expected;
  put(json, "sources", one.sources);
  return json;
}

Json numbers_json(const NumbersRecord& numbers) {
  Json json = {{"state", state_name(numbers.state)},
               {"compared", numbers.compared},
               {"wrong", numbers.wrong},
               {"digest", hex(numbers.digest)}};
  put(json, "vacuous", numbers.why_vacuous);
  if (numbers.shared) {
    json["shared"] = true;
  }
  for (const DifferenceRecord& one : numbers.differences) {
    json["differences"].push_back(difference_json(one));
  }
  return json;
}

}  // namespace

ReportFooter footer_of(const std::vector<CaseRecord>& cases,
                       std::vector<BugCatalogue::BlindSpot> blind_spots) {
  ReportFooter footer;
  footer.cases = static_cast<std::int64_t>(cases.size());
  for (const CaseRecord& one : cases) {
    if (one.verdict) {
      ++footer.verdicts[*one.verdict];
    }
    footer.errors += one.error.empty() ? 0 : 1;
    footer.unexpected += one.unexpected ? 1 : 0;
  }
  footer.digest = suite_digest(cases);
  footer.blind_spots = std::move(blind_spots);
  return footer;
}

std::string files_digest(const ReportHeader& header) {
  std::string lines;
  for (const auto& [file, digest] : header.files) {
    lines += fmt::format("{}  {}\n", digest, file);
  }
  return sha256_of(lines);
}

std::string line_of(const ReportHeader& header) {
  Json json = {{"type", "header"}, {"format", kReportFormat}, {"version", header.version}};
  put(json, "commit", header.commit);
  json["suite"] = header.suite;
  if (!header.expects) {
    json["mode"] = "report";
  }
  put(json, "pinned_digest", header.pinned);
  put(json, "filter", header.filter);
  json["cases"] = header.cases;
  json["passes"] = header.passes;
  if (header.shard) {
    json["shard"] = {{"number", header.shard->number}, {"count", header.shard->count}};
  }
  json["files"] = header.files;
  return json.dump();
}

std::string line_of(const CaseRecord& one) {
  Json json = {{"type", "case"},
               {"number", one.number},
               {"pass", one.pass},
               {"case", one.case_line},
               {"model", one.model}};
  put(json, "layer", one.layer);
  json["engine"] = one.engine;
  json["tp_size"] = one.tp_size;
  if (one.heads) {
    json["heads"] = {{"q", one.heads->q}, {"kv", one.heads->kv}, {"head_dim", one.heads->head_dim}};
  }
  put(json, "why_no_qkv", one.why_no_qkv);
  put(json, "unclaimed", one.unclaimed);
  if (one.bug) {
    json["bug"] = {{"name", one.bug->name}, {"engine", one.bug->engine}, {"role", one.bug->role}};
  }
  if (one.expected) {
    json["expected"] = {{"verdict", verdict_name(*one.expected)}};
    put(json["expected"], "shape_check", one.expected_shape_check);
    if (one.pinned) {
      json["expected"]["pinned"] = true;
    }
  }
  json["verdict"] = outcome_word(one);
  put(json, "error", one.error);
  if (one.verdict) {
    json["shape_check"] = one.shape_check ? "pass" : "fail";
  }
  if (one.unexpected) {
    json["unexpected"] = true;
  }
  put(json, "missing_finding", one.missing_finding);
  for (const FindingRecord& finding : one.findings) {
    json["findings"].push_back(finding_json(finding));
  }
  put(json, "same_as", one.same_as);
  if (one.numbers.state != NumericOutcome::State::not_run) {
    json["numbers"] = numbers_json(one.numbers);
  }
  return json.dump();
}

std::string line_of(const ReportFooter& footer) {
  Json json = {{"type", "footer"}, {"cases", footer.cases}, {"verdicts", Json::object()}};
  for (const auto& [verdict, count] : footer.verdicts) {
    json["verdicts"][std::string(verdict_name(verdict))] = count;
  }
  json["unexpected"] = footer.unexpected;
  json["errors"] = footer.errors;
  json["digest"] = hex(footer.digest);
  json["blind_spots"] = Json::array();
  for (const BugCatalogue::BlindSpot& spot : footer.blind_spots) {
    json["blind_spots"].push_back({{"engine", spot.engine},
                                   {"bug", spot.bug},
                                   {"title", spot.title},
                                   {"nearest", spot.nearest}});
  }
  return json.dump();
}

}  // namespace tplora::core
