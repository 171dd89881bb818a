#include "verify/report/check_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "sim/base/json.hpp"
#include "sim/base/printable.hpp"
#include "verify/safetensors/tensor_type.hpp"

namespace tplora::core {
namespace {

constexpr std::size_t kMostPlaces = 40;
constexpr std::size_t kMostTensors = 8;
constexpr std::size_t kMostSame = 4;

std::string range(const char* one, std::int64_t first, std::int64_t last) {
  return first == last ? fmt::format("{} {}", one, first)
                       : fmt::format("{}s {}-{}", one, first, last);
}

std::string adapter_name(const std::vector<std::string>& adapters, int number) {
  const auto i = static_cast<std::size_t>(number);
  return i < adapters.size() ? "adapter " + adapters[i]
                             : fmt::format("an adapter number {}", number);
}

std::string holder_text(const Holder& found, std::int64_t rows,
                        const std::vector<std::string>& adapters) {
  struct Words {
    std::int64_t rows;
    const std::vector<std::string>& adapters;
    std::string operator()(const FoundZero&) const { return "zeros"; }
    std::string operator()(const FoundNotFinite&) const {
      return "NaN or infinity, as memory that nothing wrote";
    }
    std::string operator()(const FoundUnknown&) const { return "values that are no label"; }
    std::string operator()(const FoundEnd&) const { return "nothing"; }
    std::string operator()(const FoundRow& row) const {
      return fmt::format("{} {} of {}", part_name(row.row.part),
                         range("row", row.row.row, row.row.row + rows - 1),
                         row.of_base ? "the base weight" : adapter_name(adapters, row.row.adapter));
    }
    std::string operator()(const FoundARow& row) const {
      return fmt::format("A of {}, {} of {}", part_name(row.row.part),
                         range("row", row.row.row, row.row.row + rows - 1),
                         adapter_name(adapters, row.row.adapter));
    }
  };
  return std::visit(Words{rows, adapters}, found);
}

const char* law_name(CheckLaw law) {
  switch (law) {
    case CheckLaw::identity: return "identity";
    case CheckLaw::residue: return "no residue";
    case CheckLaw::fit: break;
  }
  return "fit";
}

bool is_a(const PlaceFinding& finding) {
  return finding.tensor.starts_with("lora_a");
}

std::string index_text(const TensorComparison& one, std::int64_t at) {
  std::vector<std::int64_t> index(one.shape.size());
  for (std::size_t i = one.shape.size(); i-- > 0;) {
    index[i] = at % one.shape[i];
    at /= one.shape[i];
  }
  return fmt::format("({})", fmt::join(index, ", "));
}

std::string judged_text(const TensorComparison& one) {
  return fmt::format(
      "    {} bits differ; at most {:g} units in the last place from the exact result (the golden: "
      "{:g}), {:.3g} of the bound\n",
      one.bits_differ, one.worst_ulp, one.golden_worst_ulp, one.worst_of_bound);
}

std::string comparison_text(const TensorComparison& one) {
  if (one.mismatched == 0) {
    return one.judged ? fmt::format("  {} of tp_rank {} {}: right\n", one.tensor, one.tp_rank,
                                    shape_text(one.shape)) +
                            judged_text(one)
                      : "";
  }
  std::string text =
      fmt::format("  {} of tp_rank {} {}\n    Mismatched elements: {} / {} ({:.1f}%)\n", one.tensor,
                  one.tp_rank, shape_text(one.shape), one.mismatched, one.elements,
                  100.0 * static_cast<double>(one.mismatched) / static_cast<double>(one.elements));
  if (one.first) {
    text += fmt::format("    Greatest absolute difference: {} at index {}\n", one.greatest_absolute,
                        index_text(one, one.at_absolute));
    text += fmt::format("    Greatest relative difference: {} at index {}\n", one.greatest_relative,
                        index_text(one, one.at_relative));
  }
  text += one.judged ? judged_text(one) : "";
  if (one.first) {
    text += fmt::format("    First at index {}: found {}, expected {}\n",
                        index_text(one, *one.first), one.found, one.expected);
  }
  return text;
}

/// Whether two findings are the same but for the rank and its rows.
bool alike(const PlaceFinding& a, const PlaceFinding& b) {
  const auto key = [](const PlaceFinding& one) {
    const auto* row = std::get_if<FoundRow>(&one.found);
    const auto* a_row = std::get_if<FoundARow>(&one.found);
    return std::tuple(
        one.tensor, one.law, one.part, one.adapter, one.slot, one.tokens_of, one.found.index(),
        row != nullptr && row->of_base, row != nullptr ? row->row.part : Part::q,
        row != nullptr ? row->row.adapter : -1, a_row != nullptr ? a_row->row.part : Part::q,
        a_row != nullptr ? a_row->row.adapter : -1);
  };
  return key(a) == key(b);
}

/// One line for findings that are alike, with the ranks on which they are.
std::string place_lines(const CheckReport& report) {
  struct Group {
    const PlaceFinding* first;
    std::vector<std::int64_t> ranks;
  };
  std::vector<Group> groups;
  for (const PlaceFinding& finding : report.places) {
    const auto group = std::find_if(groups.begin(), groups.end(),
                                    [&](const Group& one) { return alike(*one.first, finding); });
    if (group == groups.end()) {
      groups.push_back({&finding, {finding.tp_rank}});
    } else if (group->ranks.back() != finding.tp_rank) {
      group->ranks.push_back(finding.tp_rank);
    }
  }
  std::string text;
  for (std::size_t i = 0; i < std::min(groups.size(), kMostPlaces); ++i) {
    const std::vector<std::int64_t> others(groups[i].ranks.begin() + 1, groups[i].ranks.end());
    text += fmt::format("    tp_rank {}: {}{}\n", groups[i].first->tp_rank,
                        place_text(*groups[i].first, report.names),
                        others.empty()
                            ? ""
                            : fmt::format("; likewise on tp_rank{} {}",
                                          others.size() == 1 ? "" : "s", fmt::join(others, ", ")));
  }
  if (groups.size() > kMostPlaces) {
    text += fmt::format("    ... and {} more (--json has all)\n", groups.size() - kMostPlaces);
  }
  return text;
}

/// Heights of buffers, told once for all ranks that have them.
std::string fit_lines(const CheckReport& report) {
  std::map<std::tuple<std::string, std::int64_t, std::int64_t>, std::vector<std::int64_t>> ranks;
  for (const FitFinding& one : report.fits) {
    ranks[{one.tensor, one.rows, one.due}].push_back(one.tp_rank);
  }
  std::string text;
  for (const auto& [fit, where] : ranks) {
    const auto& [tensor, rows, due] = fit;
    text += fmt::format("  {} has {} rows on tp_rank{} {}, and {} columns for it (law fit)\n",
                        tensor, rows, where.size() == 1 ? "" : "s", fmt::join(where, ", "), due);
  }
  return text;
}

Json holder_json(const PlaceFinding& finding, const std::vector<std::string>& adapters) {
  const Holder& found = finding.found;
  Json json = {{"text", holder_text(found, finding.last_row - finding.first_row + 1, adapters)}};
  if (const auto* row = std::get_if<FoundRow>(&found)) {
    json["part"] = part_name(row->row.part);
    json["first_row"] = row->row.row;
    json["adapter"] = row->of_base ? Json() : Json(adapter_name(adapters, row->row.adapter));
  } else if (const auto* a = std::get_if<FoundARow>(&found)) {
    json["part"] = part_name(a->row.part);
    json["first_row"] = a->row.row;
    json["adapter"] = adapter_name(adapters, a->row.adapter);
  }
  return json;
}

Json place_json(const PlaceFinding& finding, const std::vector<std::string>& adapters) {
  Json json = {
      {"tensor", finding.tensor}, {"tp_rank", finding.tp_rank}, {"law", law_name(finding.law)}};
  if (finding.part) {
    json["part"] = part_name(*finding.part);
    json["rows"] = {finding.first_row, finding.last_row};
    if (!is_a(finding)) {
      json["heads"] = {finding.first_head, finding.last_head};
    }
  }
  json["columns"] = {finding.first_column, finding.last_column};
  if (finding.adapter) {
    json["adapter"] = adapters[static_cast<std::size_t>(*finding.adapter)];
  }
  if (finding.slot) {
    json["slot"] = *finding.slot;
  }
  json["found"] = holder_json(finding, adapters);
  json["message"] = place_text(finding, adapters);
  return json;
}

}  // namespace

std::string place_text(const PlaceFinding& finding, const std::vector<std::string>& adapters) {
  const std::int64_t rows = finding.last_row - finding.first_row + 1;
  const std::string found = holder_text(finding.found, rows, adapters);
  const std::string part(finding.part ? part_name(*finding.part) : "");
  if (is_a(finding)) {
    return fmt::format(
        "{}, slot {}: of {}'s A of {}, {} {} expected behind the one before; found "
        "{}",
        finding.tensor, finding.slot.value_or(0),
        adapter_name(adapters, finding.adapter.value_or(0)), part,
        range("row", finding.first_row, finding.last_row), rows == 1 ? "is" : "are", found);
  }
  const std::string where = fmt::format("{}{}, {} {}, {} (columns {}-{})", finding.tensor,
                                        finding.slot ? fmt::format(", slot {}", *finding.slot) : "",
                                        part, range("head", finding.first_head, finding.last_head),
                                        range("row", finding.first_row, finding.last_row),
                                        finding.first_column, finding.last_column);
  const std::string whose =
      finding.adapter      ? adapter_name(adapters, *finding.adapter) + "'s delta"
      : !finding.tokens_of ? std::string("the base weight")
      : *finding.tokens_of < 0
          ? std::string("the base weight (tokens without adapter)")
          : "the base weight (tokens of " + adapter_name(adapters, *finding.tokens_of) + ")";
  return fmt::format("{}: {} comes from {}, expected {} (law {})", where, whose, found,
                     finding.nothing_due
                         ? "none, the adapter does not target it"
                         : "its own " + range("row", finding.first_row, finding.last_row),
                     law_name(finding.law));
}

std::string check_text(const CheckReport& report) {
  std::int64_t elements = 0;
  std::set<std::string> given;
  for (const TensorComparison& one : report.tensors) {
    elements += one.elements;
    given.insert(one.tensor);
  }
  const char* verdict = !report.right() ? "wrong" : report.vacuous.empty() ? "right" : "vacuous";
  std::string text =
      fmt::format("{}\n  {} elements of {} compared\n", verdict, elements, fmt::join(given, ", "));
  if (!report.not_given.empty()) {
    text += fmt::format("  not given: {}\n", fmt::join(report.not_given, ", "));
  }
  std::size_t told = 0;
  for (const SameBits& one : report.same) {
    if (++told > kMostSame && !one.is_bug) {
      continue;
    }
    text += one.is_bug ? fmt::format("  bit-equal to what published bug {} gives here\n", one.what)
                       : fmt::format("  bit-equal under {}\n", one.what);
  }
  if (told > kMostSame) {
    text += fmt::format(
        "  {} computations in all give these bits: more tokens would tell them apart\n", told);
  }
  for (const MissingRanks& one : report.missing) {
    text += fmt::format("  {} is missing of tp_rank{} {} (--partial allows that)\n", one.tensor,
                        one.ranks.size() == 1 ? "" : "s", fmt::join(one.ranks, ", "));
  }
  text += fit_lines(report);
  if (!report.places.empty()) {
    text += "  what stands there instead:\n" + place_lines(report);
  }
  for (const std::string& one : report.resemblance) {
    text += "  " + one + "\n";
  }
  std::size_t wrong = 0;
  for (const TensorComparison& one : report.tensors) {
    wrong += one.mismatched > 0 || one.judged ? 1U : 0U;
    text += wrong <= kMostTensors ? comparison_text(one) : "";
  }
  if (wrong > kMostTensors) {
    text += fmt::format("  ... and {} more tensors (--json has all)\n", wrong - kMostTensors);
  }
  for (const std::string& one : report.notes) {
    text += "  note: " + one + "\n";
  }
  for (const std::string& one : report.vacuous) {
    text += "  vacuous: " + one + "\n";
  }
  return text + "  case: " + print_case(report.item.spec) + "\n";
}

std::string check_json(const CheckReport& report) {
  Json tensors = Json::array();
  for (const TensorComparison& one : report.tensors) {
    Json json = {{"tensor", one.tensor},
                 {"tp_rank", one.tp_rank},
                 {"shape", one.shape},
                 {"elements", one.elements},
                 {"mismatched", one.mismatched}};
    if (one.judged) {
      json["bits_differ"] = one.bits_differ;
      json["greatest_ulps"] = one.worst_ulp;
      json["golden_greatest_ulps"] = one.golden_worst_ulp;
      json["greatest_part_of_bound"] = one.worst_of_bound;
    }
    if (one.mismatched > 0) {
      json["greatest_absolute_difference"] = one.greatest_absolute;
      json["greatest_relative_difference"] = one.greatest_relative;
      json["first"] = one.first ? Json(index_text(one, *one.first)) : Json();
    }
    tensors.push_back(json);
  }
  Json places = Json::array();
  for (const PlaceFinding& one : report.places) {
    places.push_back(place_json(one, report.names));
  }
  Json fits = Json::array();
  for (const FitFinding& one : report.fits) {
    fits.push_back({{"tensor", one.tensor},
                    {"tp_rank", one.tp_rank},
                    {"rows", one.rows},
                    {"expected", one.due}});
  }
  Json missing = Json::array();
  for (const MissingRanks& one : report.missing) {
    missing.push_back({{"tensor", one.tensor}, {"tp_ranks", one.ranks}});
  }
  Json same = Json::array();
  for (const SameBits& one : report.same) {
    same.push_back({{one.is_bug ? "bug" : "computation", one.what}});
  }
  const Json json = {
      {"format", "tplora-check/1"},
      {"case", print_case(report.item.spec)},
      {"verdict", report.right() ? (report.vacuous.empty() ? "right" : "vacuous") : "wrong"},
      {"tensors", tensors},
      {"fit", fits},
      {"missing", missing},
      {"places", places},
      {"same_bits", same},
      {"resemblance", report.resemblance},
      {"not_given", report.not_given},
      {"vacuous", report.vacuous}};
  return json.dump(1) + "\n";
}

int check_exit_code(const CheckReport& report) {
  return !report.right() ? 1 : report.vacuous.empty() ? 0 : 3;
}

}  // namespace tplora::core
