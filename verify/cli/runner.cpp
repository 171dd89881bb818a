#include "verify/cli/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "sim/base/parallel_for.hpp"
#include "verify/cli/work.hpp"
#include "verify/report/finding_text.hpp"

namespace tplora {
namespace {

/// Multiplications of one pass, to start the longest first.
double cost(const PreparedCase& item) {
  return static_cast<double>(item.geometry->total_rows()) *
         static_cast<double>(item.geometry->hidden_size);
}

/// Cases that share one pass of the weights.
struct Pass {
  std::vector<std::size_t> cases;
  double cost = 0;
};

/// Where a rank would assert, there is nothing to run.
bool runs_numbers(const PreparedCase& item, Verdict verdict) {
  return item.numbers && item.geometry && !item.one.tokens.empty() &&
         (verdict == Verdict::consistent || verdict == Verdict::silent);
}

std::vector<Pass> plan_passes(const std::vector<PreparedCase>& cases,
                              const std::vector<CaseOutcome>& outcomes,
                              std::map<std::string, std::size_t>& first_of) {
  std::map<std::string, Pass> passes;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (runs_numbers(cases[i], outcomes[i].verdict) &&
        first_of.emplace(numeric_key(cases[i]), i).second) {
      Pass& pass = passes[weights_key(cases[i])];
      pass.cases.push_back(i);
      pass.cost = cost(cases[i]);
    }
  }
  std::vector<Pass> list;
  list.reserve(passes.size());
  for (auto& [key, pass] : passes) {
    list.push_back(std::move(pass));
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Pass& a, const Pass& b) { return a.cost > b.cost; });
  return list;
}

/// Numbers that differ although every law holds are a finding of their own.
void reconcile(const PreparedCase& item, CaseOutcome& outcome) {
  if (outcome.numbers.state != NumericOutcome::State::different ||
      outcome.verdict != Verdict::consistent) {
    return;
  }
  outcome.verdict = Verdict::silent;
  Finding finding;
  finding.cause = fmt::format("every law holds, and {} of {} outputs differ from the reference",
                              outcome.numbers.wrong, outcome.numbers.compared);
  finding.cause_place = item.contract->file;
  outcome.findings.push_back(std::move(finding));
}

bool as_expected(const CaseOutcome& outcome, const Expectation& expect) {
  const bool shape =
      expect.shape_check.empty() || (expect.shape_check == "pass") == outcome.shape_check;
  return outcome.verdict == expect.verdict && shape && missing_finding(outcome, expect).empty();
}

}  // namespace

std::string missing_finding(const CaseOutcome& outcome, const Expectation& expect) {
  for (const std::string& text : expect.finding) {
    const bool said = std::any_of(
        outcome.findings.begin(), outcome.findings.end(),
        [&](const Finding& one) { return message(one).find(text) != std::string::npos; });
    if (!said) {
      return text;
    }
  }
  return "";
}

Result<CaseOutcome> check_laws(const PreparedCase& item, Analyser& analyser) {
  CaseOutcome outcome;
  if (!item.geometry) {
    return outcome;
  }
  const LayoutCase input = layout_case(item.one, *item.geometry);
  const Analysis& analysis = analyser.run(*item.contract, input);
  if (analysis.bad_contract) {
    return fail(*analysis.bad_contract);
  }
  outcome.verdict = analysis.verdict;
  outcome.shape_check = analysis.shape_check;
  if (runs_numbers(item, outcome.verdict)) {
    if (auto work = check_work(item, numeric_work(item, analysis)); !work) {
      return fail(work.error());
    }
  }
  if (analysis.verdict != Verdict::consistent) {
    outcome.findings = explain(*item.contract, input, analysis, adapter_names(item.one));
  }
  return outcome;
}

Result<std::vector<CaseOutcome>> run_cases(const std::vector<PreparedCase>& cases,
                                           const RunOptions& options) {
  std::vector<CaseOutcome> outcomes;
  Analyser analyser;
  for (const PreparedCase& item : cases) {
    auto outcome = check_laws(item, analyser);
    if (!outcome) {
      return fail(outcome.error());
    }
    outcomes.push_back(std::move(*outcome));
  }
  std::map<std::string, std::size_t> first_of;
  const std::vector<Pass> passes = plan_passes(cases, outcomes, first_of);
  double total = 0;
  for (const Pass& pass : passes) {
    total += pass.cost;
  }
  std::mutex mutex;
  double done = 0;
  parallel_for(static_cast<std::int64_t>(passes.size()), options.jobs, [&](std::int64_t i) {
    const Pass& pass = passes[static_cast<std::size_t>(i)];
    std::vector<const PreparedCase*> items;
    for (const std::size_t number : pass.cases) {
      items.push_back(&cases[number]);
    }
    auto results = run_numbers(items);
    const std::scoped_lock lock(mutex);
    for (std::size_t k = 0; k < results.size(); ++k) {
      outcomes[pass.cases[k]].numbers = std::move(results[k]);
    }
    done += pass.cost;
    options.progress(fmt::format("numbers: {:3.0f} % of the weights", 100 * done / total));
  });
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CaseOutcome& outcome = outcomes[i];
    if (cases[i].numbers && cases[i].geometry) {
      const auto found = first_of.find(numeric_key(cases[i]));
      if (found != first_of.end() && found->second != i) {
        outcome.numbers = outcomes[found->second].numbers;
        outcome.numbers_shared = true;
      }
    }
    reconcile(cases[i], outcome);
    outcome.expected = as_expected(outcome, cases[i].expect);
  }
  return outcomes;
}

std::vector<std::string> describe_sources(const PreparedCase& item,
                                          const NumericDifference& difference) {
  const auto names = adapter_names(item.one);
  std::vector<std::string> lines;
  for (const auto& source : difference.sources) {
    for (const Provenance& from : source.from) {
      const auto adapter_rows = [&](int adapter, std::string_view of, std::int64_t first) {
        return fmt::format("adapter {}'s {} rows {}-{}", names[static_cast<std::size_t>(adapter)],
                           of, first, first + from.rows - 1);
      };
      const std::string what = std::visit(
          Overloaded{[](const Zeros&) { return std::string("zeros"); },
                     [](const Outside&) { return std::string("memory outside the pool"); },
                     [&](const LoraBRows& b) {
                       return adapter_rows(b.adapter, part_name(b.part), b.first_row);
                     },
                     [&](const LoraARows& a) {
                       return adapter_rows(a.adapter, a.part ? part_name(*a.part) : "shared A",
                                           a.first_index);
                     },
                     [](const auto&) { return std::string("nothing that was loaded"); }},
          from.found);
      const std::string slot =
          from.slot && *from.slot != source.slot ? fmt::format(" of slot {}", *from.slot) : "";
      lines.push_back(
          fmt::format("{} delta of adapter {} (slot {}) came from {}{}", part_name(difference.part),
                      names[static_cast<std::size_t>(source.adapter)], source.slot, what, slot));
    }
  }
  return lines;
}

}  // namespace tplora
