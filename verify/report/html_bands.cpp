#include "verify/report/html_bands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "verify/report/finding_record.hpp"
#include "verify/report/finding_text.hpp"
#include "verify/report/markup.hpp"
#include "verify/report/pieces.hpp"

namespace tplora::core {
namespace {

constexpr double kWidth = 1000;  ///< of the picture, in its own units
constexpr double kLabels = 130;  ///< of these, for names at the left
constexpr double kHeight = 22;   ///< of a band
constexpr double kStep = 28;
constexpr double kLetters = 7.3;  ///< of one letter

/// A stretch of a band.
struct Stretch {
  std::int64_t first = 0, length = 0;
  std::string part;   ///< "q", "k", "v"; else nothing is there
  std::string label;  ///< in it, if there is room
  std::string title;  ///< in full
  bool wrong = false;
};

struct Band {
  std::string name;
  std::vector<Stretch> stretches;
};

std::string class_of(const std::string& part) {
  return part == "q" ? "pq" : part == "k" ? "pk" : part == "v" ? "pv" : "pn";
}

/// Heads of one part next to each other as one stretch.
void add_piece(const DescribedPiece& piece, Band& band) {
  std::int64_t at = piece.column;
  for (std::size_t i = 0; i < piece.holds.size();) {
    std::size_t end = i + 1;
    while (end < piece.holds.size() && piece.holds[end].part == piece.holds[i].part &&
           piece.holds[end].from == piece.holds[end - 1].from + piece.holds[end - 1].rows) {
      ++end;
    }
    const HeldRows& first = piece.holds[i];
    const HeldRows& last = piece.holds[end - 1];
    const std::int64_t rows = last.from + last.rows - first.from;
    const std::string heads = first.head == last.head
                                  ? fmt::format("{} {}", first.part, first.head)
                                  : fmt::format("{} {}-{}", first.part, first.head, last.head);
    band.stretches.push_back({at, rows, first.part, heads,
                              fmt::format("{}: heads {}, rows {}-{}", piece.buffer, heads,
                                          first.from, first.from + rows - 1),
                              false});
    at += rows;
    i = end;
  }
  if (at < piece.column + piece.wanted_rows) {
    band.stretches.push_back(
        {at, piece.column + piece.wanted_rows - at, "", "! nothing",
         fmt::format("{} of the {} rows wanted are there", piece.rows, piece.wanted_rows), true});
  }
}

/// What the kernel meets: as it should be, but where a finding says otherwise.
Band met_band(const Band& due, std::int64_t tp_rank, const AdapterSpec& adapter,
              const std::vector<Finding>& findings) {
  Band band{"kernel meets", due.stretches};
  for (Stretch& one : band.stretches) {
    const auto part = std::find_if(kParts.begin(), kParts.end(),
                                   [&](Part of) { return one.part == part_name(of); });
    if (part == kParts.end() || !adapter.has(*part)) {
      one = {one.first, one.length, "", "no delta", "the adapter does not target it", false};
    }
  }
  for (const Finding& f : findings) {
    if (f.tp_rank == tp_rank && f.columns && f.delta && f.adapter() == adapter.name) {
      const std::string found = found_text(f);
      const std::string part = f.part ? std::string(part_name(*f.part)) : "";
      band.stretches.push_back(
          {f.columns->first, f.columns->last - f.columns->first + 1, part, "! " + found,
           fmt::format("expected {}, found {}", expected_text(f), found), true});
    }
  }
  return band;
}

std::string rectangle(const Stretch& one, double y, double scale) {
  const double x = kLabels + static_cast<double>(one.first) * scale;
  const double width = std::max(1.0, static_cast<double>(one.length) * scale);
  std::string text = fmt::format(
      "<g><title>{}</title><rect class=\"{}{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
      "height=\"{:.0f}\"/>",
      xml(one.title), class_of(one.part), one.wrong ? " wrong" : " edge-box", x, y, width, kHeight);
  if (one.wrong) {
    text += fmt::format(
        "<rect fill=\"url(#hatch)\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.0f}\"/>",
        x, y, width, kHeight);
  }
  const auto room = static_cast<std::size_t>(std::max(0.0, (width - 6) / kLetters));
  const std::string label = one.label.size() <= room ? one.label
                            : one.wrong && room > 0  ? one.label.substr(0, room)
                                                     : "";
  if (!label.empty()) {
    text += fmt::format("<text{} x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
                        one.wrong ? " class=\"x\"" : "", x + 3, y + 15, xml(label));
  }
  return text + "</g>";
}

std::string band_svg(const Band& band, double y, double scale) {
  std::string text =
      fmt::format("<text class=\"t\" x=\"0\" y=\"{:.1f}\">{}</text>", y + 15, xml(band.name));
  for (const Stretch& one : band.stretches) {
    text += rectangle(one, y, scale);
  }
  return text;
}

/// Buffer and slice on one scale.
std::string sizes_svg(const DescribedRank& rank, double y) {
  const auto most = static_cast<double>(
      std::max<std::int64_t>({rank.b_buffer_rows, rank.b_slice_rows, std::int64_t{1}}));
  const double scale = (kWidth - kLabels) / most;
  const bool fits = rank.b_buffer_rows == rank.b_slice_rows;
  const auto bar = [&](const char* name, std::int64_t rows, double at, bool wrong) {
    return band_svg({name,
                     {{0, rows, "", fmt::format("{}{} rows", wrong ? "! " : "", rows),
                       fmt::format("{}: {} rows", name, rows), wrong}}},
                    at, scale);
  };
  return bar("LoRA-B buffer", rank.b_buffer_rows, y, false) +
         bar("LoRA-B slice", rank.b_slice_rows, y + kStep, !fits);
}

std::string rank_svg(const LayerReport& report, const RankState& state) {
  const DescribedRank rank = describe_rank(report.item, state);
  Band weight{"base weight", {}};
  Band loaded{"LoRA-B loaded", {}};
  for (const DescribedPiece& piece : rank.weight) {
    add_piece(piece, weight);
  }
  for (const DescribedPiece& piece : rank.b) {
    add_piece(piece, loaded);
  }
  const auto& adapters = report.item.spec.adapters;
  const Band met = adapters.empty()
                       ? Band{"kernel meets", {}}
                       : met_band(weight, rank.tp_rank, adapters.front(), report.findings);
  const std::array<const Band*, 3> bands = {&weight, &loaded, &met};
  std::int64_t width = std::max<std::int64_t>(1, state.build.width);
  for (const Band* band : bands) {
    for (const Stretch& one : band->stretches) {
      width = std::max(width, one.first + one.length);
    }
  }
  const double scale = (kWidth - kLabels) / static_cast<double>(width);
  std::string text = fmt::format(
      "<h4>tp_rank {}: {} output columns</h4><div class=\"scroll\" tabindex=\"0\"><svg viewBox=\"0 "
      "0 "
      "{:.0f} {:.0f}\" role=\"img\" aria-label=\"row map of tp_rank {}\">",
      rank.tp_rank, state.build.width, kWidth, 5 * kStep + 4, rank.tp_rank);
  text += sizes_svg(rank, 2);
  double y = 2 + 2 * kStep;
  for (const Band* band : bands) {
    text += band_svg(*band, y, scale);
    y += kStep;
  }
  return text + "</svg></div>\n";
}

}  // namespace

std::string bands_html(const LayerReport& report, std::size_t most) {
  if (!report.item.geometry || report.analysis.verdict == Verdict::refused) {
    return "";
  }
  std::vector<const RankState*> ranks;
  for (const RankState& rank : report.analysis.ranks) {
    ranks.push_back(&rank);
  }
  const auto is_wrong = [&](const RankState* rank) {
    return std::any_of(report.findings.begin(), report.findings.end(),
                       [&](const Finding& one) { return one.tp_rank == rank->build.tp_rank; });
  };
  std::stable_partition(ranks.begin(), ranks.end(), is_wrong);
  std::string text;
  for (std::size_t i = 0; i < std::min(most, ranks.size()); ++i) {
    text += rank_svg(report, *ranks[i]);
  }
  return ranks.size() > most ? text + fmt::format("<p class=\"dim\">and {} more tp_ranks</p>\n",
                                                  ranks.size() - most)
                             : text;
}

}  // namespace tplora::core
