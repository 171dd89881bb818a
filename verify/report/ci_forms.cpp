#include "verify/report/ci_forms.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>

#include "sim/base/json.hpp"
#include "sim/base/printable.hpp"
#include "sim/base/sha256.hpp"
#include "verify/report/markup.hpp"
#include "verify/report/suite_report.hpp"

namespace tplora::core {
namespace {

constexpr std::size_t kLongest = 4000;      ///< bytes of a message
constexpr std::size_t kCasesOfRoot = 100;   ///< told with one root cause
constexpr std::size_t kRowsOfSummary = 50;  ///< root causes in a job's summary

std::string name_of(const CaseRecord& one) {
  return fmt::format("{}{} tp {}", one.model, one.layer.empty() ? "" : " " + one.layer,
                     one.tp_size);
}

/// "expected consistent, found silent".
std::string outcome_of(const CaseRecord& one) {
  if (!one.error.empty()) {
    return "it could not be judged";
  }
  if (one.expected == one.verdict && !one.missing_finding.empty()) {
    return fmt::format("no finding says \"{}\"", one.missing_finding);
  }
  return fmt::format("expected {}{}, found {}", verdict_name(*one.expected),
                     one.expected_shape_check.empty()
                         ? ""
                         : fmt::format(", shape check {}", one.expected_shape_check),
                     outcome_word(one));
}

std::string message_of(const RootCause& root) {
  const CaseRecord& first = *root.cases.front();
  return fmt::format(
      "{}, engine {}: {}: {}{}", name_of(first), first.engine, outcome_of(first), root.sentence,
      root.cases.size() == 1 ? "" : fmt::format("; and {} more cases", root.cases.size() - 1));
}

std::string attribute(const std::string& text) {
  return xml(printable(text, kLongest));
}

/// A path as a URI, relative where it is.
std::string uri_of(const std::string& file) {
  std::string uri = file.starts_with('/') ? "file://" : "";
  for (const char c : file) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("/-._~").find(c) != std::string_view::npos;
    uri += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return uri;
}

/// GitHub's commands end with the line; a property also with a colon or a comma.
std::string github(const std::string& text, bool property) {
  std::string escaped;
  for (const char c : printable(text, kLongest)) {
    const bool special = c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','));
    escaped += special ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return escaped;
}

/// Text in a cell of a Markdown table.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : printable(text, kLongest)) {
    if (std::string_view("\\`*_{}[]<>#|~$").find(c) != std::string_view::npos) {
      escaped += '\\';
    }
    escaped += c;
  }
  return escaped;
}

std::string_view law_sentence(Law law) {
  constexpr std::array<std::string_view, kLawCount> kSentences = {
      "A formula or check of the contract fails by itself",
      "Each slice fits its buffer as the engine asserts it",
      "B rows, A rows and base weight of a column are the same logical output",
      "No kernel reads outside its slot or writes outside its output row",
      "Each gathered logical column is there, once, or once a replica",
      "Replicas of a KV head are equal bit for bit",
      "Nothing of an earlier tenant, a neighbour slot or unwritten memory arrives",
      "The KV heads a rank owns are those of its query heads",
      "An adapter's delta is multiplied by its factor, once"};
  return kSentences[static_cast<std::size_t>(law)];
}

Law law_of(const RootCause& root) {
  const auto& findings = root.cases.front()->findings;
  const auto found = std::find_if(findings.begin(), findings.end(), [&](const FindingRecord& one) {
    return root.place && one.place == *root.place;
  });
  return found == findings.end() ? Law::check : found->stories.front().law;
}

Json result_json(const RootCause& root, const Locate& where) {
  const std::string rule = root.place                          ? std::string(law_name(law_of(root)))
                           : root.cases.front()->error.empty() ? "unexpected"
                                                               : "error";
  Json result = {{"ruleId", rule},
                 {"level", "error"},
                 {"message", {{"text", printable(message_of(root), kLongest)}}}};
  if (root.place) {
    Json physical = {{"artifactLocation", {{"uri", uri_of(root.place->file)}}}};
    if (const auto at = where(*root.place)) {
      physical["region"] = {{"startLine", at->line}, {"startColumn", at->column}};
    }
    result["locations"] = {{{"physicalLocation", physical}}};
  }
  const std::string identity = root.place ? root.place->text() : root.sentence;
  result["partialFingerprints"] = {{"rootCause/v1", sha256_of(rule + " " + identity)}};
  Json lines = Json::array();
  for (const CaseRecord* one :
       std::span(root.cases).first(std::min(kCasesOfRoot, root.cases.size()))) {
    lines.push_back(one->case_line);
  }
  result["properties"] = {{"cases", root.cases.size()}, {"caseLines", lines}};
  return result;
}

}  // namespace

std::vector<RootCause> root_causes(const std::vector<CaseRecord>& cases) {
  std::vector<RootCause> roots;
  std::map<std::pair<std::optional<Place>, std::string>, std::size_t> known;
  for (const CaseRecord& one : cases) {
    if (!one.unexpected && one.error.empty()) {
      continue;
    }
    // Without a finding, the same surprise under the same engine is one, and so is one error.
    const FindingRecord* finding = one.findings.empty() ? nullptr : &one.findings.front();
    const std::string sentence = !one.error.empty()   ? one.error
                                 : finding == nullptr ? "nothing is found that explains it"
                                                      : sentence_of(*finding);
    const auto place = finding == nullptr ? std::nullopt : std::optional(finding->place);
    const auto [entry, is_new] =
        known.emplace(std::pair(place, !one.error.empty()   ? one.error
                                       : finding == nullptr ? one.engine + outcome_of(one)
                                                            : std::string()),
                      roots.size());
    if (is_new) {
      roots.push_back({place, sentence, {}});
    }
    roots[entry->second].cases.push_back(&one);
  }
  return roots;
}

std::optional<TextPosition> locate(const Place& place) {
  const auto text = read_text_file(place.file);
  return text ? position_of(*text, place.pointer) : std::nullopt;
}

std::string junit_xml(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                      const std::string& timestamp) {
  std::map<const CaseRecord*, const RootCause*> root_of;
  const std::vector<RootCause> roots = root_causes(cases);
  for (const RootCause& root : roots) {
    for (const CaseRecord* one : root.cases) {
      root_of[one] = &root;
    }
  }
  std::string tests;
  for (const CaseRecord& one : cases) {
    tests += fmt::format("    <testcase name=\"{}\" classname=\"{}\" time=\"0\"",
                         attribute(name_of(one) + " #" + std::to_string(one.number)),
                         attribute(header.suite + "." + one.engine));
    if (!one.unexpected && one.error.empty()) {
      tests += "/>\n";
      continue;
    }
    const RootCause& root = *root_of.at(&one);
    // The whole story once; the others name it.
    const std::string text = root.cases.front() == &one
                                 ? case_text(one)
                                 : fmt::format("as {}\nreplay: tplora replay \"{}\"\n",
                                               name_of(*root.cases.front()), one.case_line);
    tests += fmt::format(">\n      <{0} message=\"{1}\" type=\"{2}\">{3}</{0}>\n    </testcase>\n",
                         one.error.empty() ? "failure" : "error",
                         attribute(outcome_of(one) + ": " + root.sentence), outcome_word(one),
                         xml(text));
  }
  const ReportFooter counts = footer_of(cases, {});
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
      "  <testsuite name=\"{}\" package=\"tplora\" id=\"0\" timestamp=\"{}\" "
      "hostname=\"localhost\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"0\">\n"
      "    <properties>\n      <property name=\"version\" value=\"{}\"/>\n      <property "
      "name=\"digest\" value=\"{:016x}\"/>\n      <property name=\"files\" value=\"{}\"/>\n    "
      "</properties>\n{}    <system-out></system-out>\n    <system-err></system-err>\n  "
      "</testsuite>\n</testsuites>\n",
      attribute(header.suite), timestamp, cases.size(), counts.unexpected, counts.errors,
      attribute(header.version), counts.digest, files_digest(header), tests);
}

std::string sarif_json(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                       const Locate& where) {
  Json rules = Json::array();
  for (std::size_t i = 0; i < kLawCount; ++i) {
    const Law law = static_cast<Law>(i);
    rules.push_back({{"id", law_name(law)}, {"shortDescription", {{"text", law_sentence(law)}}}});
  }
  rules.push_back({{"id", "unexpected"},
                   {"shortDescription", {{"text", "An outcome that no finding explains"}}}});
  rules.push_back(
      {{"id", "error"}, {"shortDescription", {{"text", "A case that could not be judged"}}}});
  Json results = Json::array();
  for (const RootCause& root : root_causes(cases)) {
    results.push_back(result_json(root, where));
  }
  Json driver = {{"name", "tplora"}, {"version", header.version}, {"rules", rules}};
  return Json{{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
              {"version", "2.1.0"},
              {"runs",
               {{{"tool", {{"driver", driver}}},
                 {"columnKind", "unicodeCodePoints"},
                 {"results", results}}}}}
             .dump(2) +
         "\n";
}

std::string github_annotations(const std::vector<CaseRecord>& cases, std::size_t most,
                               const Locate& where) {
  const std::vector<RootCause> roots = root_causes(cases);
  const std::size_t told = roots.size() > most ? most - 1 : roots.size();
  std::string text;
  for (const RootCause& root : std::span(roots).first(told)) {
    std::string properties;
    if (root.place) {
      properties = fmt::format("file={},", github(root.place->file, true));
      if (const auto at = where(*root.place)) {
        properties += fmt::format("line={},col={},", at->line, at->column);
      }
    }
    const CaseRecord& first = *root.cases.front();
    text += fmt::format("::error {}title={}::{}\n", properties,
                        github(fmt::format("tplora: {}", outcome_of(first)), true),
                        github(message_of(root), false));
  }
  if (told < roots.size()) {
    text += fmt::format("::error title=tplora::and {} more root causes\n", roots.size() - told);
  }
  return text;
}

std::string markdown_text(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                          const std::vector<BugCatalogue::BlindSpot>& spots) {
  const ReportFooter footer = footer_of(cases, spots);
  std::string text =
      fmt::format("## tplora: {}\n\n| cases | unexpected | errors |", cell(header.suite));
  std::string rule = "|---:|---:|---:|";
  std::string counts =
      fmt::format("| {} | {} | {} |", footer.cases, footer.unexpected, footer.errors);
  for (const auto& [verdict, count] : footer.verdicts) {
    text += fmt::format(" {} |", cell(std::string(verdict_name(verdict))));
    rule += "---:|";
    counts += fmt::format(" {} |", count);
  }
  text += fmt::format("\n{}\n{}\n\ndigest `{:016x}`, version {}, {} files read (sha256 `{}`)\n",
                      rule, counts, footer.digest, cell(header.version), header.files.size(),
                      files_digest(header).substr(0, 16));
  const std::vector<RootCause> roots = root_causes(cases);
  if (!roots.empty()) {
    text += "\n| root cause | what is wrong | first case | cases |\n|---|---|---|---:|\n";
  }
  for (const RootCause& root : std::span(roots).first(std::min(kRowsOfSummary, roots.size()))) {
    const CaseRecord& first = *root.cases.front();
    text += fmt::format("| {} | {}: {} | {}, engine {} | {} |\n",
                        cell(root.place ? root.place->text() : "-"), cell(outcome_of(first)),
                        cell(root.sentence), cell(name_of(first)), cell(first.engine),
                        root.cases.size());
  }
  if (roots.size() > kRowsOfSummary) {
    text += fmt::format("\nand {} more root causes\n", roots.size() - kRowsOfSummary);
  }
  if (!spots.empty()) {
    text += fmt::format("\n{} published bugs that no case could have shown: ", spots.size());
    for (std::size_t i = 0; i < spots.size(); ++i) {
      text +=
          fmt::format("{}{} ({})", i == 0 ? "" : ", ", cell(spots[i].bug), cell(spots[i].engine));
    }
    text += "\n";
  }
  return text;
}

}  // namespace tplora::core
