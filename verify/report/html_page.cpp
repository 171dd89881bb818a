#include "verify/report/html_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <sstream>

#include "sim/base/printable.hpp"
#include "sim/base/sha256.hpp"
#include "verify/report/html_assets.hpp"
#include "verify/report/html_bands.hpp"
#include "verify/report/markup.hpp"
#include "verify/report/stories.hpp"
#include "verify/report/suite_report.hpp"
#include "verify/report/text.hpp"
#include "verify/report/verdict_table.hpp"

namespace tplora::core {
namespace {

constexpr std::size_t kLongest = 4000;       ///< bytes of a text
constexpr std::size_t kStories = 200;        ///< told
constexpr std::size_t kStoriesMapped = 100;  ///< of these, with row maps
constexpr std::size_t kRanksOfStory = 3;     ///< mapped
constexpr std::size_t kRanksOfCase = 64;
constexpr std::size_t kErrors = 100;

std::string text_of(const std::string& text) {
  return xml(printable(text, kLongest));
}

/// The same of a text with several lines.
std::string lines_of(const std::string& text) {
  std::string lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines += text_of(line) + "\n";
  }
  return lines;
}

/// "head 3", "heads 0-1, 5".
std::string counted_ranges(const char* noun, const std::vector<Range>& ranges) {
  const bool one = ranges.size() == 1 && ranges.front().first == ranges.front().last;
  return fmt::format("{}{} {}", noun, one ? "" : "s", ranges_text(ranges));
}

/// The bytes that hexadecimal digits are of, in base 64.
std::string base64_of_hex(const std::string& hex) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto value = [](char c) {
    return static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  std::string text;
  for (std::size_t at = 0; at < hex.size(); at += 6) {  // three bytes at a time
    std::uint32_t bits = 0;
    const std::size_t digits = std::min<std::size_t>(6, hex.size() - at);
    for (std::size_t i = 0; i < 6; ++i) {
      bits = bits << 4U | (i < digits ? value(hex[at + i]) : 0);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text += i * 6 < digits * 4 ? kDigits[bits >> (18 - 6 * i) & 63U] : '=';
    }
  }
  return text;
}

/// Everything around the body. Style and script are allowed by what they are, nothing else is.
std::string document(const std::string& title, const std::string& body) {
  const auto allowed = [](const char* text) {
    return "'sha256-" + base64_of_hex(sha256_of(text)) + "'";
  };
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
      "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src {}; "
      "script-src "
      "{}; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n<style>{}</style></"
      "head>\n"
      "<body><svg class=\"defs\" aria-hidden=\"true\"><defs><pattern id=\"hatch\" width=\"7\" "
      "height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path "
      "class=\"hatch\" "
      "d=\"M0 "
      "0V7\"/></pattern></defs></svg>\n<main>\n{}</main>\n<script>{}</script></body></html>\n",
      allowed(kPageStyle), allowed(kPageScript), text_of(title), kPageStyle, body, kPageScript);
}

std::string chip(const std::string& text, bool bad = false) {
  return fmt::format("<span{}>{}</span>", bad ? " class=\"bad\"" : "", text_of(text));
}

std::string summary(const ReportHeader& header, const ReportFooter& footer) {
  std::string chips = chip(fmt::format("{} cases", footer.cases));
  for (const auto& [verdict, count] : footer.verdicts) {
    chips += chip(fmt::format("{} {}", count, verdict_name(verdict)));
  }
  if (header.expects) {
    chips += chip(fmt::format("{} unexpected", footer.unexpected), footer.unexpected > 0);
  }
  if (footer.errors > 0) {
    chips += chip(fmt::format("! {} errors", footer.errors), true);
  }
  const std::string commit = header.commit.empty() ? "" : ", commit " + header.commit;
  return fmt::format(
      "<h1>tplora: {}</h1>\n<p class=\"dim\">version {}{}; digest <code>{:016x}</code> of all "
      "verdicts and output bits; {} files read, sha256 <code>{}</code></p>\n<div "
      "class=\"chips\">{}</div>\n",
      text_of(header.suite), text_of(header.version), text_of(commit), footer.digest,
      header.files.size(), files_digest(header).substr(0, 16), chips);
}

std::string_view class_of(char mark) {
  switch (mark) {
    case 'S': return "S";
    case 'C': return "C";
    case '!': return "E";
    case 'r': return "r";
    case 'v': return "w";
    default: return "";
  }
}

/// `story_of`: the story that tells a case, by the case's place in the list.
std::string grid(const std::vector<CaseRecord>& cases,
                 const std::map<std::size_t, std::size_t>& story_of) {
  const VerdictTable table = table_of(cases);
  if (table.rows.empty()) {
    return "";
  }
  std::string engines;
  std::string sections;
  std::string engine;
  std::string head = "<th>model<th>H/KV/D";
  for (const std::int64_t size : table.sizes) {
    head += fmt::format("<th>{}", size);
  }
  bool open = false;
  for (const VerdictTable::Row& row : table.rows) {
    if (!open || row.engine != engine) {
      engine = row.engine;
      engines += fmt::format("<option>{}</option>", text_of(engine));
      sections += open ? "</table></div></section>\n" : "";
      sections += fmt::format(
          "<section class=\"engine\" data-engine=\"{0}\"><h3>{0}</h3><div class=\"scroll\" "
          "tabindex=\"0\"><table class=\"grid\"><thead><tr>{1}</thead><tbody>\n",
          text_of(engine), head);
      open = true;
    }
    sections += fmt::format("<tr><td>{}<td>{}", text_of(row.layer), row.heads);
    for (const std::int64_t size : table.sizes) {
      const auto cell = row.cells.find(size);
      if (cell == row.cells.end()) {
        sections += "<td>";
        continue;
      }
      const auto story = story_of.find(cell->second.case_number);
      const std::string_view look = class_of(cell->second.mark);
      sections += look.empty() ? "<td>" : fmt::format("<td class={}>", look);
      sections += story == story_of.end()
                      ? std::string(1, cell->second.mark)
                      : fmt::format("<a href=#s{}>{}</a>", story->second, cell->second.mark);
    }
    sections += "\n";
  }
  sections += "</table></div></section>\n";
  return "<h2>Verdicts by tp_size</h2>\n<p>= consistent, r refused, . no qkv projection, C crash, "
         "S "
         "silent: served wrongly past every shape check, v vacuous, ! error" +
         std::string(table.several ? "; where cases of one place differ, what is worst of them"
                                   : "") +
         "</p>\n<div class=\"tools\"><label>model <input type=\"search\" id=\"words\" "
         "placeholder=\"words\"></label><label>engine <select id=\"engine\"><option value=\"\">all"
         "</option>" +
         engines +
         "</select></label><label><input type=\"checkbox\" id=\"bad\"> only rows with S, C, v or "
         "!</label></div>\n" +
         sections;
}

std::string place_html(const Place& place) {
  return fmt::format("<code class=\"place\">{}</code>", text_of(place.text()));
}

std::string findings_html(const std::vector<FindingRecord>& findings) {
  std::string text;
  for (const FindingRecord& finding : findings) {
    text += "<p>" + place_html(finding.place);
    if (finding.together_with) {
      text += " and " + place_html(*finding.together_with);
    }
    for (const Place& place : finding.other_places) {
      text += " or " + place_html(place);
    }
    const StoryRecord& first = finding.stories.front();
    text += first.cause.empty() ? "" : "<br>" + text_of(first.cause);
    text +=
        "</p>\n<div class=\"scroll\" "
        "tabindex=\"0\"><table><thead><tr><th>tp_ranks<th>what<th>law<th>"
        "expected<th>found</thead><tbody>\n";
    for (const StoryRecord& story : finding.stories) {
      std::string what = story.part;
      what += story.heads.empty() ? "" : " " + counted_ranges("head", story.heads);
      what += story.rows.empty() ? "" : ", " + counted_ranges("row", story.rows);
      what += story.columns ? counted_ranges("column", {*story.columns}) : "";
      what += story.adapter.empty()
                  ? ""
                  : fmt::format("{}adapter {}", what.empty() ? "" : " of ", story.adapter);
      const std::string& found = !story.failed.empty() ? story.failed
                                 : story.found.empty() ? story.cause
                                                       : story.found;
      text += fmt::format("<tr><td>{}<td>{}<td>{}{}<td>{}<td>{}\n", ranges_text(story.tp_ranks),
                          text_of(what), law_name(story.law),
                          story.consequence ? ", in consequence" : "", text_of(story.expected),
                          text_of(found));
    }
    text += "</tbody></table></div>\n";
  }
  return text;
}

std::string replay_html(const std::string& command, const std::string& line) {
  return fmt::format(
      "<div class=\"replay\"><code>tplora {} &quot;{}&quot;</code><button class=\"copy\" "
      "type=\"button\">copy</button></div>\n",
      command, text_of(line));
}

std::string headline(const CaseRecord& one) {
  const std::string found(outcome_word(one));
  return fmt::format("{}, engine {}, tp {}: {}", layer_name(one), one.engine, one.tp_size,
                     !one.expected ? found
                     : one.unexpected
                         ? fmt::format("expected {}, found {}", verdict_name(*one.expected), found)
                         : found + ", as expected");
}

std::vector<StoryRecord> all_stories(const std::vector<FindingRecord>& findings) {
  std::vector<StoryRecord> stories;
  for (const FindingRecord& one : findings) {
    stories.insert(stories.end(), one.stories.begin(), one.stories.end());
  }
  return stories;
}

/// The maps of a case, if it still comes out as it did.
std::string maps_html(const CaseRecord& one, const LawsAgain& again) {
  bool read = false;
  for (const bool causes : {false, true}) {  // finding causes takes longer
    const auto report = again(one.case_line, causes);
    read = read || report;
    if (report && report->analysis.verdict == one.verdict &&
        all_stories(record_findings(report->findings)) == all_stories(one.findings)) {
      return bands_html(*report, kRanksOfStory);
    }
  }
  return fmt::format("<p class=\"dim\">no row maps: {}</p>\n",
                     read ? "the case comes out otherwise now than in the run"
                          : "the case cannot be read any more");
}

std::string story_html(const std::vector<CaseRecord>& cases, const std::vector<std::size_t>& story,
                       std::size_t number, const LawsAgain& again) {
  const CaseRecord& one = cases[story.front()];
  std::string text = fmt::format("<article id=\"s{}\"><h3><span class=\"{}\">{}</span> {}</h3>\n",
                                 number, one.unexpected || !one.expected ? "bad" : "dim",
                                 mark_of(one), text_of(headline(one)));
  text += one.unclaimed.empty() ? "" : "<p>" + text_of(one.unclaimed) + "</p>\n";
  text += findings_html(one.findings);
  const std::string numbers = numbers_text(one.numbers);
  text += numbers.empty() ? "" : "<pre class=\"scroll\">" + lines_of(numbers) + "</pre>\n";
  text += one.missing_finding.empty()
              ? ""
              : "<p class=\"bad\">no finding says: " + text_of(one.missing_finding) + "</p>\n";
  text += one.same_as.empty() ? "" : "<p>" + text_of(same_as_text(one.same_as)) + "</p>\n";
  if (number < kStoriesMapped) {
    text += maps_html(one, again);
  } else {
    text += fmt::format(
        "<p class=\"dim\">row maps are made of the first {} stories: tplora layout "
        "--html FILE --case &quot;LINE&quot; makes these</p>\n",
        kStoriesMapped);
  }
  text += replay_html("replay", one.case_line);
  if (story.size() > 1) {
    text +=
        "<p>likewise: " + text_of(where_text(cases, {story.begin() + 1, story.end()})) + "</p>\n";
  }
  return text + "</article>\n";
}

std::string errors_html(const std::vector<CaseRecord>& cases) {
  std::map<std::string, std::pair<const CaseRecord*, std::size_t>> errors;
  for (const CaseRecord& one : cases) {
    if (!one.error.empty()) {
      auto& entry = errors.try_emplace(one.error, &one, 0).first->second;
      ++entry.second;
    }
  }
  std::string text =
      errors.empty() ? "" : "<h2>Errors: cases that could not be judged</h2>\n<ul>\n";
  std::size_t told = 0;
  for (const auto& [error, entry] : errors) {
    if (told++ == kErrors) {
      text += fmt::format("<li>and {} more\n", errors.size() - kErrors);
      break;
    }
    text += fmt::format("<li><span class=\"bad\">{}</span><br><code class=\"place\">{}</code>{}\n",
                        text_of(error), text_of(entry.first->case_line),
                        entry.second == 1 ? "" : fmt::format(" and {} more", entry.second - 1));
  }
  return errors.empty() ? "" : text + "</ul>\n";
}

std::string spots_html(const std::vector<BugCatalogue::BlindSpot>& spots) {
  if (spots.empty()) {
    return "";
  }
  std::string text = fmt::format(
      "<h2>Blind spots</h2>\n<details><summary>{} published bugs of these engines that no case "
      "here "
      "could have shown</summary><ul>\n",
      spots.size());
  for (const BugCatalogue::BlindSpot& spot : spots) {
    text += fmt::format("<li>{} of {}: {}<br><code class=\"place\">{}</code>\n", text_of(spot.bug),
                        text_of(spot.engine), text_of(spot.title), text_of(spot.nearest));
  }
  return text + "</ul></details>\n";
}

}  // namespace

std::string html_page(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                      const std::vector<BugCatalogue::BlindSpot>& spots, const LawsAgain& again) {
  auto stories = stories_of(cases, true);
  std::stable_partition(stories.begin(), stories.end(), [&](const std::vector<std::size_t>& story) {
    return cases[story.front()].unexpected;
  });
  const std::size_t told = std::min(stories.size(), kStories);
  std::map<std::size_t, std::size_t> story_of;
  for (std::size_t number = 0; number < told; ++number) {
    for (const std::size_t i : stories[number]) {
      story_of[i] = number;
    }
  }
  std::string body = summary(header, footer_of(cases, spots));
  body += errors_html(cases);
  body += grid(cases, story_of);
  if (told > 0) {
    body += fmt::format("<h2>What is wrong: {} stories</h2>\n", stories.size());
  }
  for (std::size_t number = 0; number < told; ++number) {
    body += story_html(cases, stories[number], number, again);
  }
  if (told < stories.size()) {
    body +=
        fmt::format("<p>and {} more stories; a report has them all</p>\n", stories.size() - told);
  }
  return document("tplora: " + header.suite, body + spots_html(spots));
}

std::string html_page(const LayerReport& report, const std::string& version) {
  const CaseRecord one = record_case(report.item, outcome_of(report));
  std::string body = fmt::format(
      "<h1>{}</h1>\n<p class=\"dim\">tplora {}; {}</p>\n",
      text_of(fmt::format("{}, engine {}, tp {}: {}", layer_name(one), one.engine, one.tp_size,
                          outcome_word(one))),
      text_of(version),
      text_of(report.item.geometry ? geometry_text(*report.item.geometry) : one.why_no_qkv));
  body += one.unclaimed.empty() ? "" : "<p>" + text_of(one.unclaimed) + "</p>\n";
  body += findings_html(one.findings);
  body += one.same_as.empty() ? "" : "<p>" + text_of(same_as_text(one.same_as)) + "</p>\n";
  const std::string maps = bands_html(report, kRanksOfCase);
  body += maps.empty() ? "<p class=\"dim\">no row maps: nothing could be planned</p>\n"
                       : "<h2>Row maps</h2>\n" + maps;
  return document(layer_name(one) + " under " + one.engine,
                  body + replay_html("replay", one.case_line));
}

}  // namespace tplora::core
