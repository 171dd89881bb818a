#include "verify/report/proof_report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/json.hpp"
#include "sim/layout/proof_points.hpp"
#include "verify/explain/story.hpp"
#include "verify/report/finding_record.hpp"
#include "verify/report/finding_text.hpp"
#include "verify/report/text.hpp"

namespace tplora::core {
namespace {

std::string list(const std::set<std::int64_t>& numbers) {
  return ranges_text(runs_of({numbers.begin(), numbers.end()}));
}

std::string counts(const Tally& tally) {
  return fmt::format("{} cases ({} refused, {} crash{}{})", tally.consistent, tally.refused,
                     tally.crash,
                     tally.silent > 0 ? fmt::format(", {} silently wrong", tally.silent) : "",
                     tally.undescribed > 0
                         ? fmt::format(", {} that the description does not fit", tally.undescribed)
                         : "");
}

std::string range_text(const ProofRange& range) {
  return fmt::format(
      "H up to {}, KV dividing H, D in {{{}}}, Dv in {{D, D+1}}, gate 1 and 2, tp_size "
      "up to {}{}, R = 2*tp_size, r = R-1 and R, other factors for each adapter; plain LoRA (no "
      "rsLoRA, rank_pattern or alpha_pattern), slot 0 after an earlier tenant and a fresh slot 1, "
      "nothing moved, rescaled or used in between",
      range.max_heads, fmt::join(range.head_dims, ", "), range.max_tp_size,
      range.dp_size == 1 ? "" : fmt::format(" under dp_size {}", range.dp_size));
}

/// The values of one of the three numbers of a class, over all that held.
std::string values(const ClassCoverage& coverage, std::size_t place) {
  std::set<std::int64_t> seen;
  for (const auto& triple : coverage.held) {
    seen.insert(triple[place]);
  }
  return list(seen);
}

std::string class_line(const ClassCoverage& coverage, const char* relation,
                       const std::array<const char*, 3>& names) {
  if (coverage.held.empty()) {
    return fmt::format("    {}: nothing was consistent\n", relation);
  }
  std::string text = fmt::format("    {}:", relation);
  for (std::size_t i = 0; i < 3; ++i) {
    text += fmt::format(" {} {}{}", names[i], values(coverage, i), i < 2 ? ";" : "");
  }
  const std::int64_t grid = coverage.grid();
  text += grid == 0 ? "\n" : fmt::format("; every combination of 1-{} among them\n", grid);
  return text;
}

std::string coverage_text(const Proof& proof) {
  const auto& of = [&](TpClass kind) -> const ClassCoverage& {
    return proof.coverage[static_cast<std::size_t>(kind)];
  };
  std::string text = "  covered (T = tp_size/dp_size):\n";
  text += class_line(of(TpClass::below), "T divides KV", {"KV/T", "T", "H/KV"});
  text += class_line(of(TpClass::above), "KV divides T", {"KV", "T/KV", "H/T"});
  if (of(TpClass::uneven).points > 0) {
    text += fmt::format("    neither divides the other: {} cases\n", of(TpClass::uneven).points);
  }
  return text +
         "    Inside one line a plan's formulas are polynomials in its three numbers, D, Dv, gate "
         "and "
         "tp_rank:\n    one of lower degree than the full grid is wide is settled for larger "
         "models "
         "too. A formula that\n    branches on a number outside this range is not.\n";
}

/// What other adapters there are; empty: none.
std::string other_adapters(const ProofReport& report) {
  if (report.proof.other_adapters.points() == 0) {
    return "";
  }
  return fmt::format("at D = {}: r from 1 on at tp_size up to {}, r = tp_size{}",
                     head_dim_of_other_adapters(report.range), kMaxTpOfEveryRank,
                     report.engine.contract().takes_fused_adapters()
                         ? ""
                         : ", each set of q, k and v with r = R-1");
}

/// What other numbers there are; empty: none.
std::string other_numbers_tried(const ProofReport& report) {
  if (report.proof.other_numbers.points() == 0) {
    return "";
  }
  const OtherNumbers numbers = other_numbers(report.engine.contract());
  return fmt::format("at D = {}, r = R-1: {}{}{}", head_dim_of_other_adapters(report.range),
                     numbers.of_config
                         ? "num_key_value_heads absent, 1 or twice the layer's, head_dim absent or "
                           "one more, all heads twice"
                         : "",
                     numbers.of_config && numbers.of_dp ? "; " : "",
                     numbers.of_dp ? fmt::format("dp_size {}", 2 * report.range.dp_size) : "");
}

std::string indented(const std::string& text, const char* by) {
  std::string result;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size() - 1);
    result += by + text.substr(begin, end - begin + 1);
    begin = end + 1;
  }
  return result;
}

std::string counterexample(const LayerReport& report) {
  return indented(layout_text({report}, 0, {}), "  ");
}

/// A written-out layer is of no class of models: its line would replay other rules.
std::string without_replay(const char* what, const LayerReport& report) {
  const std::string said = report.findings.empty() ? "" : message(report.findings.front());
  return fmt::format("  {}: {} at tp_size {}: {}\n{}", what, geometry_text(*report.item.geometry),
                     report.item.spec.tp_size, said, indented(same_as_text(report.same_as), "  "));
}

std::string one_line(const char* what, const LayerReport& report) {
  return without_replay(what, report) +
         fmt::format("    replay: tplora replay \"{}\"\n", print_case(report.item.spec));
}

/// Which sets of parts an engine takes everywhere, somewhere or nowhere.
std::string targets_text(const Proof& proof) {
  std::string everywhere, somewhere, nowhere;
  for (unsigned set = 1; set < 7; ++set) {
    const Proof::OfTargets& of = proof.of_targets[set];
    if (of.points == 0) {
      continue;
    }
    std::string name;
    for (const Part part : kParts) {
      name += (set >> static_cast<unsigned>(part) & 1U) != 0 ? part_name(part) : "";
    }
    if (of.consistent == 0 || of.consistent == of.points) {
      std::string& list = of.consistent == 0 ? nowhere : everywhere;
      list += (list.empty() ? "" : ", ") + name;
    } else {
      somewhere += fmt::format("{}{} ({} of {})", somewhere.empty() ? "" : ", ", name,
                               of.consistent, of.points);
    }
  }
  std::string text;
  for (const auto& [what, list] :
       {std::pair{"everywhere", &everywhere}, std::pair{"somewhere", &somewhere},
        std::pair{"nowhere", &nowhere}}) {
    text += list->empty() ? "" : fmt::format("{}{} {}", text.empty() ? "" : "; ", what, *list);
  }
  return text.empty() ? "" : "    consistent with " + text + "\n";
}

/// What came of other adapters or other numbers: the points tried, what is to be said of them, the
/// smallest that crashes and the smallest that is silent, in full where it is the first told.
std::string others_text(const char* what, const std::string& which, const Tally& tally,
                        const std::string& more, const std::optional<LayerReport>& crash,
                        const std::optional<LayerReport>& broken, bool first) {
  if (which.empty()) {
    return "";
  }
  std::string text = fmt::format("  {} ({}): {}\n{}", what, which, counts(tally), more);
  if (crash) {
    text += one_line(fmt::format("smallest crash of {}", what).c_str(), *crash);
  }
  if (broken) {
    text += first ? "  smallest counterexample:\n" + counterexample(*broken)
                  : one_line(fmt::format("smallest of {}", what).c_str(), *broken);
  }
  return text;
}

Json tally_json(const Tally& tally) {
  Json laws = Json::object();
  for (std::size_t law = 0; law < tally.broken.size(); ++law) {
    if (tally.broken[law] > 0) {
      laws[std::string(law_name(static_cast<Law>(law)))] = tally.broken[law];
    }
  }
  return {{"consistent", tally.consistent},
          {"refused", tally.refused},
          {"crash", tally.crash},
          {"silent", tally.silent},
          {"laws_broken", std::move(laws)}};
}

Json point_json(const std::optional<LayerReport>& report) {
  if (!report) {
    return nullptr;
  }
  const QkvGeometry& g = *report->item.geometry;
  Json findings = Json::array();
  for (const Finding& finding : report->findings) {
    findings.push_back({{"law", law_name(finding.law)}, {"message", message(finding)}});
  }
  return {{"H", g.num_attention_heads},
          {"KV", g.num_key_value_heads},
          {"D", g.head_dim},
          {"Dv", g.v_head_dim},
          {"gate", g.q_multiplier},
          {"tp_size", report->item.spec.tp_size},
          {"verdict", verdict_name(report->analysis.verdict)},
          {"law", law_name(first_broken_law(*report))},
          {"findings", std::move(findings)},
          {"same_as", report->same_as},
          {"case", print_case(report->item.spec)}};
}

Json class_json(const ClassCoverage& coverage, const std::array<const char*, 3>& names) {
  Json json = {{"cases", coverage.points}, {"grid", coverage.grid()}};
  for (std::size_t i = 0; i < 3; ++i) {
    json[names[i]] = values(coverage, i);
  }
  return json;
}

Json report_json(const ProofReport& report) {
  Json claims = Json::array();
  for (const Claim& claim : report.engine.contract().claims) {
    claims.push_back({{"that", claim.that.text()}, {"say", claim.say}});
  }
  const auto& coverage = report.proof.coverage;
  return {{"engine", report.engine.argument},
          {"version", report.engine.contract().version},
          {"file", report.engine.contract().file},
          {"holds", report.proof.holds()},
          {"claims", std::move(claims)},
          {"variants_not_proved", report.engine.contracts->variants().size()},
          {"range",
           {{"max_heads", report.range.max_heads},
            {"max_tp_size", report.range.max_tp_size},
            {"head_dims", report.range.head_dims},
            {"dp_size", report.range.dp_size}}},
          {"inside", tally_json(report.proof.claimed)},
          {"outside", tally_json(report.proof.unclaimed)},
          {"other_adapters", tally_json(report.proof.other_adapters)},
          {"counterexample", point_json(report.broken)},
          {"smallest_crash", point_json(report.crash)},
          {"outside_counterexample", point_json(report.unclaimed_broken)},
          {"other_adapters_tried", other_adapters(report)},
          {"other_numbers", tally_json(report.proof.other_numbers)},
          {"other_numbers_tried", other_numbers_tried(report)},
          {"other_numbers_counterexample", point_json(report.numbers_broken)},
          {"other_numbers_crash", point_json(report.numbers_crash)},
          {"other_adapters_counterexample", point_json(report.other_broken)},
          {"other_adapters_crash", point_json(report.other_crash)},
          {"outside_crash", point_json(report.unclaimed_crash)},
          {"coverage",
           {{"t_divides_kv", class_json(coverage[0], {"KV/T", "T", "H/KV"})},
            {"kv_divides_t", class_json(coverage[2], {"KV", "T/KV", "H/T"})},
            {"uneven_cases", coverage[3].points}}}};
}

}  // namespace

Law first_broken_law(const LayerReport& report) {
  Law first = Law::scaling;
  bool any = false;
  for (const Finding& finding : report.findings) {
    first = any ? std::min(first, finding.law) : finding.law;
    any = true;
  }
  return any ? first : Law::check;
}

std::string proof_text(const ProofReport& report) {
  const Proof& proof = report.proof;
  std::string text;
  if (!report.broken && report.other_broken) {
    text = fmt::format(
        "{}: law {} is broken for other adapters: {} of {} cases are silently wrong\n"
        "  with an adapter of q, k and v, r = R-1 and R: {}\n",
        report.engine.argument, law_name(first_broken_law(*report.other_broken)),
        proof.other_adapters.silent, proof.other_adapters.points(), counts(proof.claimed));
  } else if (!report.broken && report.numbers_broken) {
    text = fmt::format(
        "{}: law {} is broken for other numbers: {} of {} cases are silently wrong\n"
        "  with the layer's numbers in the config and dp_size {}: {}\n",
        report.engine.argument, law_name(first_broken_law(*report.numbers_broken)),
        proof.other_numbers.silent, proof.other_numbers.points(), report.range.dp_size,
        counts(proof.claimed));
  } else if (report.broken) {
    text = fmt::format(
        "{}: law {} is broken: {} of {} cases are silently wrong, {} consistent, {} "
        "refused, {} crash\n",
        report.engine.argument, law_name(first_broken_law(*report.broken)), proof.claimed.silent,
        proof.claimed.points(), proof.claimed.consistent, proof.claimed.refused,
        proof.claimed.crash);
  } else if (proof.claimed.consistent == 0) {
    text = fmt::format("{}: nothing is consistent: {} cases refused, {} crash\n",
                       report.engine.argument, proof.claimed.refused, proof.claimed.crash);
  } else {
    text = fmt::format("{}: consistent for {}\n", report.engine.argument, counts(proof.claimed));
  }
  text += fmt::format("  range: {}\n", range_text(report.range));
  for (const Claim& claim : report.engine.contract().claims) {
    text += fmt::format("  claimed where {}: {}\n", claim.that.text(), claim.say);
  }
  if (const auto& variants = report.engine.contracts->variants(); !variants.empty()) {
    text += fmt::format(
        "  not in this proof: its {} variants for classes of models (`layout` with a model has "
        "them)\n",
        variants.size());
  }
  text += coverage_text(proof);
  text += others_text("other adapters", other_adapters(report), proof.other_adapters,
                      targets_text(proof), report.other_crash, report.other_broken, !report.broken);
  text += others_text("other numbers", other_numbers_tried(report), proof.other_numbers, "",
                      report.numbers_crash, report.numbers_broken,
                      !report.broken && !report.other_broken);
  if (report.crash) {
    text += one_line("smallest crash", *report.crash);
  }
  if (report.broken) {
    text += "  smallest counterexample:\n" + counterexample(*report.broken);
  }
  if (proof.unclaimed.points() > 0) {
    text += fmt::format("  outside the claims: {}, for information\n", counts(proof.unclaimed));
  }
  if (report.unclaimed_broken) {
    text += one_line("smallest outside", *report.unclaimed_broken);
  }
  return text;
}

std::string proof_json(const std::vector<ProofReport>& reports) {
  Json proofs = Json::array();
  for (const ProofReport& report : reports) {
    proofs.push_back(report_json(report));
  }
  const Json json = {{"format", "tplora-prove/1"}, {"proofs", std::move(proofs)}};
  return json.dump(2);
}

std::string comparison_text(const ComparisonReport& report) {
  const Comparison& found = report.comparison;
  std::string text = fmt::format(
      "{} against {}{}: {} of {} cases got worse, {} better\n", report.engine.argument,
      report.base.argument, report.variant.empty() ? "" : fmt::format(", for {}", report.variant),
      found.worse(), found.points, found.better());
  text += fmt::format("  range: {}; other adapters and numbers as `prove` tries them\n",
                      range_text(report.range));
  for (const Claim& claim : report.base.contract().claims) {
    text += fmt::format("  of what {} claims: {}: {}\n", report.base.argument, claim.that.text(),
                        claim.say);
  }
  bool first = true;
  for (const ComparisonReport::Worse& worse : report.worse) {
    text += fmt::format("  {} -> {}: {}\n", verdict_name(worse.from), verdict_name(worse.to),
                        worse.points);
    text += !report.variant.empty() ? without_replay("smallest", worse.smallest)
            : first                 ? "  the smallest:\n" + counterexample(worse.smallest)
                                    : one_line("smallest", worse.smallest);
    first = false;
  }
  for (std::size_t from = 0; from < found.from_to.size(); ++from) {
    for (std::size_t to = 0; to < from; ++to) {
      if (found.from_to[from][to].points > 0) {
        text += fmt::format("  {} -> {}: {}\n", verdict_name(kFromBestToWorst[from]),
                            verdict_name(kFromBestToWorst[to]), found.from_to[from][to].points);
      }
    }
  }
  return text;
}

std::string comparison_json(const std::vector<ComparisonReport>& reports) {
  Json all = Json::array();
  for (const ComparisonReport& report : reports) {
    Json changes = Json::array();
    for (const ComparisonReport::Worse& worse : report.worse) {
      changes.push_back({{"from", verdict_name(worse.from)},
                         {"to", verdict_name(worse.to)},
                         {"cases", worse.points},
                         {"smallest", point_json(worse.smallest)}});
    }
    all.push_back({{"engine", report.engine.argument},
                   {"base", report.base.argument},
                   {"variant", report.variant},
                   {"range", range_text(report.range)},
                   {"cases", report.comparison.points},
                   {"worse", report.comparison.worse()},
                   {"better", report.comparison.better()},
                   {"changes", std::move(changes)}});
  }
  const Json json = {{"format", "tplora-prove-vs/1"}, {"comparisons", std::move(all)}};
  return json.dump(2);
}

}  // namespace tplora::core
