#include "verify/report/case_record.hpp"

#include <fmt/format.h>

#include <tuple>

#include "verify/report/expectation.hpp"
#include "verify/report/text.hpp"

namespace tplora::core {
namespace {

constexpr std::size_t kFindingsShown = 6;

}  // namespace

CaseRecord record_case(const PreparedCase& item, const CaseOutcome& outcome) {
  CaseRecord record;
  record.case_line = print_case(item.spec);
  record.model = item.spec.model;
  record.layer = item.spec.layer;
  record.engine = item.spec.engine;
  record.tp_size = item.spec.tp_size;
  if (item.geometry) {
    record.heads = {item.geometry->num_attention_heads, item.geometry->num_key_value_heads,
                    item.geometry->head_dim};
  } else {
    record.why_no_qkv = item.why_no_qkv;
  }
  record.unclaimed = unclaimed(item);
  if (item.bug && !item.role.empty()) {
    record.bug = {item.contract->name, item.contract->engine, item.role};
  }
  record.expected = item.expect.verdict;
  record.expected_shape_check = item.expect.shape_check;
  record.pinned = !item.expect.link.empty();
  if (outcome.error) {
    record.error = outcome.error->text();
    return record;
  }
  record.verdict = outcome.verdict;
  record.shape_check = outcome.shape_check;
  record.unexpected = !as_expected(outcome, item.expect);
  record.missing_finding = missing_finding(outcome, item.expect);
  record.findings = record_findings(outcome.findings);
  record.same_as = outcome.same_as;
  record.numbers = record_numbers(item, outcome.numbers, outcome.numbers_shared);
  return record;
}

bool same_case(const CaseRecord& a, const CaseRecord& b) {
  const auto identity = [](const CaseRecord& one) {
    return std::tie(one.case_line, one.model, one.layer, one.engine, one.tp_size, one.heads,
                    one.why_no_qkv, one.unclaimed, one.bug, one.expected, one.expected_shape_check,
                    one.pinned);
  };
  return identity(a) == identity(b);
}

std::string_view outcome_word(const CaseRecord& one) {
  return one.verdict ? verdict_name(*one.verdict) : "error";
}

std::string case_text(const CaseRecord& one) {
  const std::string why = !one.error.empty() ? ": " + one.error
                          : one.heads        ? ""
                                             : ": " + one.why_no_qkv;
  std::string text = fmt::format("{}{}\n", outcome_word(one), why);
  text += one.unclaimed.empty() ? "" : fmt::format("  {}\n", one.unclaimed);
  text += findings_text(one.findings, kFindingsShown);
  text += numbers_text(one.numbers);
  text += same_as_text(one.same_as);
  text += fmt::format("  replay: tplora replay \"{}\"\n", one.case_line);
  return text;
}

}  // namespace tplora::core
