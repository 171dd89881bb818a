#include <fmt/format.h>

#include <array>
#include <charconv>

#include "sim/base/fields.hpp"
#include "verify/case/verdict_words.hpp"
#include "verify/report/report_lines.hpp"

namespace tplora::core {
namespace {

std::int64_t integer(const Fields& fields, FirstError& errors, std::string_view key) {
  const auto field = fields.find(key);
  return field ? errors.take(field->integer()) : 0;
}

Range range_of(const JsonView& view, FirstError& errors) {
  const Json& json = view.json();
  if (!json.is_array() || json.size() != 2) {
    errors.refuse(view.expected("a list of two integers: the first and the last"));
    return {};
  }
  return {errors.take(view.element(0).integer()), errors.take(view.element(1).integer())};
}

std::vector<Range> ranges_of(const Fields& fields, FirstError& errors, std::string_view key) {
  std::vector<Range> ranges;
  for (const JsonView& view : fields.entries(key, Need::optional)) {
    ranges.push_back(range_of(view, errors));
  }
  return ranges;
}

std::uint64_t digest_of(const Fields& fields, FirstError& errors, std::string_view key) {
  const std::string text = fields.text(key);
  std::uint64_t digest = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), digest, 16);
  if (text.size() != 16 || code != std::errc{} || end != text.data() + text.size()) {
    if (const auto field = fields.find(key)) {
      errors.refuse(field->expected("16 hexadecimal digits"));
    }
  }
  return digest;
}

Law law_at(const Fields& fields, FirstError& errors) {
  const std::string name = fields.text("law");
  for (std::size_t i = 0; i < kLawCount; ++i) {
    if (law_name(static_cast<Law>(i)) == name) {
      return static_cast<Law>(i);
    }
  }
  if (const auto field = fields.find("law")) {
    errors.refuse(field->expected("the name of a law"));
  }
  return Law::check;
}

StoryRecord read_story(const JsonView& view, FirstError& errors) {
  const Fields fields(view, errors,
                      {"law", "tp_ranks", "adapter", "slot", "part", "heads", "rows", "columns",
                       "found", "expected", "cause", "failed", "consequence"});
  StoryRecord story{.law = law_at(fields, errors),
                    .tp_ranks = ranges_of(fields, errors, "tp_ranks"),
                    .adapter = fields.text("adapter", Need::optional),
                    .slot = {},
                    .part = fields.text("part", Need::optional),
                    .heads = ranges_of(fields, errors, "heads"),
                    .rows = ranges_of(fields, errors, "rows"),
                    .columns = {},
                    .found = fields.text("found", Need::optional),
                    .expected = fields.text("expected", Need::optional),
                    .cause = fields.text("cause", Need::optional),
                    .failed = fields.text("failed", Need::optional),
                    .consequence = fields.flag("consequence", Need::optional)};
  if (const auto slot = fields.find("slot", Need::optional)) {
    story.slot = errors.take(slot->integer());
  }
  if (const auto columns = fields.find("columns", Need::optional)) {
    story.columns = range_of(*columns, errors);
  }
  if (story.tp_ranks.empty()) {
    errors.refuse(view.error("a story without tp_ranks, expected at least one"));
  }
  return story;
}

Place read_place(const JsonView& view, FirstError& errors) {
  const Fields fields(view, errors, {"file", "pointer"});
  return {fields.text("file"), fields.text("pointer")};
}

FindingRecord read_finding(const JsonView& view, FirstError& errors) {
  const Fields fields(view, errors, {"place", "and", "or", "stories"});
  FindingRecord finding;
  if (const auto place = fields.find("place")) {
    finding.place = read_place(*place, errors);
  }
  if (const auto second = fields.find("and", Need::optional)) {
    finding.together_with = read_place(*second, errors);
  }
  for (const JsonView& place : fields.entries("or", Need::optional)) {
    finding.other_places.push_back(read_place(place, errors));
  }
  for (const JsonView& story : fields.entries("stories")) {
    finding.stories.push_back(read_story(story, errors));
  }
  if (finding.stories.empty()) {
    errors.refuse(view.error("a finding without stories, expected at least one"));
  }
  return finding;
}

DifferenceRecord read_difference(const JsonView& view, FirstError& errors) {
  const Fields fields(view, errors,
                      {"part", "tp_ranks", "wrong", "tokens", "tp_rank", "rows", "token", "row",
                       "got", "expected", "sources"});
  const auto rows = fields.find("rows");
  return {.part = fields.text("part"),
          .tp_ranks = ranges_of(fields, errors, "tp_ranks"),
          .wrong = integer(fields, errors, "wrong"),
          .tokens = ranges_of(fields, errors, "tokens"),
          .tp_rank = integer(fields, errors, "tp_rank"),
          .rows = rows ? range_of(*rows, errors) : Range{},
          .token = integer(fields, errors, "token"),
          .row = integer(fields, errors, "row"),
          .got = static_cast<std::uint32_t>(integer(fields, errors, "got")),
          .expected = static_cast<std::uint32_t>(integer(fields, errors, "expected")),
          .sources = fields.texts("sources", Need::optional)};
}

NumbersRecord read_numbers(const JsonView& view, FirstError& errors) {
  const Fields fields(view, errors,
                      {"state", "compared", "wrong", "digest", "vacuous", "shared", "differences"});
  NumbersRecord numbers{.state = fields.word("state", kNumericStates),
                        .compared = integer(fields, errors, "compared"),
                        .wrong = integer(fields, errors, "wrong"),
                        .why_vacuous = fields.text("vacuous", Need::optional),
                        .digest = digest_of(fields, errors, "digest"),
                        .shared = fields.flag("shared", Need::optional),
                        .differences = {}};
  for (const JsonView& one : fields.entries("differences", Need::optional)) {
    numbers.differences.push_back(read_difference(one, errors));
  }
  return numbers;
}

void read_outcome(const Fields& fields, FirstError& errors, CaseRecord& record) {
  record.error = fields.text("error", Need::optional);
  if (!record.error.empty() && fields.text("verdict") == "error") {
    return;
  }
  record.verdict = fields.word("verdict", kVerdictWords);
  record.shape_check = fields.text("shape_check") == "pass";
  record.unexpected = fields.flag("unexpected", Need::optional);
  record.missing_finding = fields.text("missing_finding", Need::optional);
  for (const JsonView& finding : fields.entries("findings", Need::optional)) {
    record.findings.push_back(read_finding(finding, errors));
  }
  record.same_as = fields.texts("same_as", Need::optional);
  if (const auto numbers = fields.find("numbers", Need::optional)) {
    record.numbers = read_numbers(*numbers, errors);
  }
}

void read_expectation(const JsonView& view, FirstError& errors, CaseRecord& record) {
  const Fields fields(view, errors, {"verdict", "shape_check", "pinned"});
  record.expected = fields.word("verdict", kVerdictWords);
  record.expected_shape_check = fields.text("shape_check", Need::optional);
  record.pinned = fields.flag("pinned", Need::optional);
}

}  // namespace

Result<std::string> type_of_line(std::string_view line, const std::string& place) {
  return parse_json(line, place).and_then([&](const Json& json) {
    return JsonView(json, place).at("type").and_then([](const JsonView& type) {
      return type.string();
    });
  });
}

Result<ReportHeader> read_header(std::string_view line, const std::string& place) {
  const auto json = parse_json(line, place);
  if (!json) {
    return fail(json.error());
  }
  FirstError errors;
  const Fields fields(JsonView(*json, place), errors,
                      {"type", "format", "version", "commit", "suite", "mode", "pinned_digest",
                       "filter", "cases", "passes", "shard", "files"});
  fields.format(kReportFormat);
  ReportHeader header{.version = fields.text("version"),
                      .commit = fields.text("commit", Need::optional),
                      .suite = fields.text("suite"),
                      .expects = fields.text("mode", Need::optional) != "report",
                      .pinned = fields.text("pinned_digest", Need::optional),
                      .filter = fields.text("filter", Need::optional),
                      .cases = integer(fields, errors, "cases"),
                      .passes = integer(fields, errors, "passes"),
                      .shard = {},
                      .files = {}};
  if (const auto shard = fields.find("shard", Need::optional)) {
    const Fields of(*shard, errors, {"number", "count"});
    header.shard = {of.positive_integer("number"), of.positive_integer("count")};
  }
  for (const auto& [file, digest] : fields.members("files")) {
    header.files[file] = errors.take(digest.string());
  }
  return errors.result(std::move(header));
}

Result<CaseRecord> read_case_record(std::string_view line, const std::string& place) {
  const auto json = parse_json(line, place);
  if (!json) {
    return fail(json.error());
  }
  FirstError errors;
  const Fields fields(
      JsonView(*json, place), errors,
      {"type",     "number",  "pass",   "case",        "model",      "layer",
       "engine",   "tp_size", "heads",  "why_no_qkv",  "unclaimed",  "bug",
       "expected", "verdict", "error",  "shape_check", "unexpected", "missing_finding",
       "findings", "same_as", "numbers"});
  CaseRecord record;
  record.number = integer(fields, errors, "number");
  record.pass = integer(fields, errors, "pass");
  record.case_line = fields.text("case");
  record.model = fields.text("model");
  record.layer = fields.text("layer", Need::optional);
  record.engine = fields.text("engine");
  record.tp_size = integer(fields, errors, "tp_size");
  if (const auto heads = fields.find("heads", Need::optional)) {
    const Fields of(*heads, errors, {"q", "kv", "head_dim"});
    record.heads = {integer(of, errors, "q"), integer(of, errors, "kv"),
                    integer(of, errors, "head_dim")};
  }
  record.why_no_qkv = fields.text("why_no_qkv", Need::optional);
  record.unclaimed = fields.text("unclaimed", Need::optional);
  if (const auto bug = fields.find("bug", Need::optional)) {
    const Fields of(*bug, errors, {"name", "engine", "role"});
    record.bug = {of.text("name"), of.text("engine"), of.text("role")};
  }
  if (const auto expected = fields.find("expected", Need::optional)) {
    read_expectation(*expected, errors, record);
  }
  read_outcome(fields, errors, record);
  const bool as_expected = !record.error.empty() || !record.expected ||
                           (record.verdict == record.expected && record.missing_finding.empty() &&
                            (record.expected_shape_check.empty() ||
                             (record.expected_shape_check == "pass") == record.shape_check));
  if (!record.error.empty() && record.verdict) {
    errors.refuse(JsonView(*json, place).error("a case with a verdict and an error"));
  }
  if (as_expected == record.unexpected) {
    errors.refuse(JsonView(*json, place)
                      .error(fmt::format("a case that is {} and has {} unexpected",
                                         as_expected ? "as expected" : "not as expected",
                                         record.unexpected ? "a key" : "no key")));
  }
  return errors.result(std::move(record));
}

Result<std::vector<BugCatalogue::BlindSpot>> read_footer(std::string_view line,
                                                         const std::string& place) {
  const auto json = parse_json(line, place);
  if (!json) {
    return fail(json.error());
  }
  FirstError errors;
  const Fields fields(
      JsonView(*json, place), errors,
      {"type", "cases", "verdicts", "unexpected", "errors", "digest", "blind_spots"});
  std::vector<BugCatalogue::BlindSpot> spots;
  for (const JsonView& view : fields.entries("blind_spots")) {
    const Fields of(view, errors, {"engine", "bug", "title", "nearest"});
    spots.push_back({of.text("engine"), of.text("bug"), of.text("title"), of.text("nearest")});
  }
  return errors.result(std::move(spots));
}

}  // namespace tplora::core
