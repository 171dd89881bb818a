#include "verify/report/html_bands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "sim/base/printable.hpp"
#include "verify/report/finding_text.hpp"
#include "verify/report/markup.hpp"

namespace tplora::core {
namespace {

constexpr double kWidth = 1000;  ///< of the picture, in its own units
constexpr double kLabels = 150;  ///< of these, for names at the left
constexpr double kHeight = 22;   ///< of a band
constexpr double kStep = 28;
constexpr double kLetter = 7.3;
constexpr std::size_t kLongestName = 20;  ///< letters of a band's name
constexpr std::size_t kAdapters = 2;      ///< drawn
constexpr std::size_t kWords = 6;         ///< wrong stretches told below a picture

/// A stretch of a band.
struct Stretch {
  std::int64_t first = 0, length = 0;
  std::string look;   ///< "pq", "pk", "pv": rows of that part; "pn": none
  std::string label;  ///< in it, as far as there is room
  std::string title;  ///< in full
  bool wrong = false;
};

struct Band {
  std::string name;
  std::vector<Stretch> stretches;
  [[nodiscard]] std::int64_t end() const {
    std::int64_t last = 0;
    for (const Stretch& one : stretches) {
      last = std::max(last, one.first + one.length);
    }
    return last;
  }
};

/// Logical rows at a place of a band; heads where they are whole.
Stretch rows_at(std::int64_t first, const Segment& rows, const QkvGeometry& geometry,
                const std::string& nothing) {
  if (rows.space < 0 || rows.space > 2) {
    return {first, rows.rows, "pn", nothing, nothing, false};
  }
  const auto part = static_cast<Part>(rows.space);
  const std::string name(part_name(part));
  const std::int64_t head_rows = geometry.rows_per_head(part);
  const Range heads{rows.from / head_rows, (rows.from + rows.rows - 1) / head_rows};
  const std::string told = fmt::format("{} {}, {}", name, plural_range("head", heads),
                                       plural_range("row", {rows.from, rows.from + rows.rows - 1}));
  const bool whole = rows.from % head_rows == 0 && rows.rows % head_rows == 0;
  const std::string numbers = heads.first == heads.last
                                  ? fmt::format("{} {}", name, heads.first)
                                  : fmt::format("{} {}-{}", name, heads.first, heads.last);
  return {first, rows.rows, "p" + name, whole ? numbers : told, told, false};
}

Band band_of(const std::string& name, const IntervalMap& map, std::int64_t columns,
             const QkvGeometry& geometry, const std::string& nothing) {
  Band band{name, {}};
  map.visit(0, columns, [&](const Segment& segment) {
    band.stretches.push_back(rows_at(segment.at, segment, geometry, nothing));
  });
  return band;
}

/// Puts on a band what findings of one rank say of it: of the base weight, or of an adapter's
/// delta.
void mark_wrong(Band& band, std::int64_t tp_rank, const std::optional<std::string>& adapter,
                const std::vector<Finding>& findings) {
  for (const Finding& f : findings) {
    const bool mine = f.tp_rank == tp_rank && f.columns && f.violation &&
                      f.delta.has_value() == adapter.has_value() &&
                      (!adapter || f.adapter() == *adapter);
    if (mine && !f.consequence) {
      const std::string found = found_text(f);
      band.stretches.push_back(
          {f.columns->first, f.columns->last - f.columns->first + 1,
           f.part ? "p" + std::string(part_name(*f.part)) : "pn", "! " + found,
           fmt::format("{}: expected {}, found {}", plural_range("column", *f.columns),
                       expected_text(f), found),
           true});
    }
  }
}

/// The bands of one adapter on a rank.
std::vector<Band> adapter_bands(const LayerReport& report, const RankState& rank,
                                const LiveAdapter& live) {
  const QkvGeometry& geometry = *report.item.geometry;
  const std::string& name = report.item.spec.adapters[static_cast<std::size_t>(live.adapter)].name;
  std::vector<Band> bands;
  if (rank.has_load(live.event)) {
    const RankLoad& load = rank.load(live.event);
    const auto rows = [](const std::vector<std::int64_t>& list) {
      return std::accumulate(list.begin(), list.end(), std::int64_t{0});
    };
    const std::int64_t buffer = rows(rank.build.b_rows);
    const std::int64_t slice = rows(load.slice_rows);
    const bool fits =
        std::none_of(report.findings.begin(), report.findings.end(), [&](const Finding& one) {
          return one.law == Law::fit && one.tp_rank == rank.build.tp_rank;
        });
    const auto bar = [&](const char* what, std::int64_t length, bool wrong) {
      const std::string text = fmt::format("{}{} rows", wrong ? "! " : "", length);
      bands.push_back({what, {{0, length, "pn", text, fmt::format("{}: {}", what, text), wrong}}});
    };
    bar("LoRA-B buffer", buffer, false);
    bar("LoRA-B slice", slice, !fits);
    Band own{"own rows of " + name, {}};
    for (const KernelLaunch& launch : load.launches) {
      load.b_maps[static_cast<std::size_t>(launch.b)].visit(
          launch.b_at, launch.b_at + launch.rows, [&](const Segment& segment) {
            own.stretches.push_back(
                rows_at(launch.out + (segment.at - launch.b_at), segment, geometry, "nothing"));
          });
    }
    bands.push_back(std::move(own));
  }
  if (!rank.due.segments().empty()) {
    Band met{"kernel meets " + name, {}};
    rank.due.visit(0, rank.build.width, [&](const Segment& segment) {
      const bool targeted = segment.space >= 0 && segment.space < 3 &&
                            live.shape.has(static_cast<Part>(segment.space));
      met.stretches.push_back(targeted ? rows_at(segment.at, segment, geometry, "")
                                       : Stretch{segment.at, segment.rows, "pn", "no delta",
                                                 "the adapter does not target it", false});
    });
    mark_wrong(met, rank.build.tp_rank, name, report.findings);
    bands.push_back(std::move(met));
  }
  return bands;
}

/// Adapters in slots that something is wrong with; else the first.
std::vector<LiveAdapter> adapters_told(const LayerReport& report) {
  std::vector<LiveAdapter> told;
  const auto& all = report.analysis.live;
  std::copy_if(all.begin(), all.end(), std::back_inserter(told), [&](const LiveAdapter& live) {
    return std::any_of(report.findings.begin(), report.findings.end(), [&](const Finding& one) {
      return one.delta && one.delta->adapter == live.adapter;
    });
  });
  if (told.empty() && !all.empty()) {
    told.push_back(all.front());
  }
  told.resize(std::min(told.size(), kAdapters));
  return told;
}

std::string stretch_svg(const Stretch& one, double y, double scale) {
  const double x = kLabels + static_cast<double>(one.first) * scale;
  const double width = std::max(1.0, static_cast<double>(one.length) * scale);
  const auto rectangle = [&](const std::string& look) {
    return fmt::format("<rect {} x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.0f}\"/>",
                       look, x, y, width, kHeight);
  };
  std::string text = fmt::format(
      "<g><title>{}</title>{}", xml(one.title),
      rectangle(fmt::format("class=\"{} {}\"", one.look, one.wrong ? "wrong" : "edge-box")));
  text += one.wrong ? rectangle("fill=\"url(#hatch)\"") : "";
  const auto room = static_cast<std::size_t>(std::max(0.0, (width - 4) / kLetter));
  // What is wrong has its sign however little room there is.
  const std::string label = one.label.size() <= room ? one.label
                            : one.wrong ? one.label.substr(0, std::max<std::size_t>(room, 1))
                                        : "";
  if (!label.empty()) {
    text += fmt::format("<text{} x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
                        one.wrong ? " class=\"x\"" : "", x + 3, y + 15, xml(label));
  }
  return text + "</g>";
}

std::string rank_html(const LayerReport& report, const RankState& rank,
                      const std::vector<LiveAdapter>& adapters) {
  const QkvGeometry& geometry = *report.item.geometry;
  const std::int64_t tp_rank = rank.build.tp_rank;
  std::vector<Band> bands;
  if (!rank.due.segments().empty()) {
    bands.push_back(band_of("must be", rank.due, rank.build.width, geometry, "nothing"));
  }
  bands.push_back(
      band_of("base weight", rank.build.columns, rank.build.width, geometry, "nothing"));
  mark_wrong(bands.back(), tp_rank, std::nullopt, report.findings);
  for (const LiveAdapter& live : adapters) {
    for (Band& band : adapter_bands(report, rank, live)) {
      bands.push_back(std::move(band));
    }
  }
  std::int64_t width = 1;
  for (const Band& band : bands) {
    width = std::max(width, band.end());
  }
  const double scale = (kWidth - kLabels) / static_cast<double>(width);
  std::string text = fmt::format(
      "<h4>tp_rank {}: {} output columns</h4><div class=\"scroll\" tabindex=\"0\"><svg "
      "viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"row map of tp_rank {}\">",
      tp_rank, rank.build.width, kWidth, static_cast<double>(bands.size()) * kStep + 2, tp_rank);
  std::string words;
  std::size_t told = 0;
  double y = 2;
  for (const Band& band : bands) {
    text += fmt::format("<text class=\"t\" x=\"0\" y=\"{:.1f}\">{}</text>", y + 15,
                        xml(printable(band.name, kLongestName)));
    for (const Stretch& one : band.stretches) {
      text += stretch_svg(one, y, scale);
      if (one.wrong && told++ < kWords) {
        words += fmt::format("<li>! {}: {}\n", xml(printable(band.name, 300)),
                             xml(printable(one.title, 1000)));
      }
    }
    y += kStep;
  }
  text += "</svg></div>\n";
  words += told > kWords ? fmt::format("<li>and {} more\n", told - kWords) : "";
  return words.empty() ? text : text + "<ul class=\"m\">\n" + words + "</ul>\n";
}

}  // namespace

std::string bands_html(const LayerReport& report, std::size_t most) {
  if (!report.item.geometry || report.analysis.verdict == Verdict::refused) {
    return "";
  }
  std::vector<const RankState*> ranks;
  for (const RankState& rank : report.analysis.ranks) {
    if (rank.build.width > 0) {  // else its layer could not be planned
      ranks.push_back(&rank);
    }
  }
  std::stable_partition(ranks.begin(), ranks.end(), [&](const RankState* rank) {
    return std::any_of(report.findings.begin(), report.findings.end(),
                       [&](const Finding& one) { return one.tp_rank == rank->build.tp_rank; });
  });
  const auto adapters = adapters_told(report);
  std::string text;
  for (std::size_t i = 0; i < std::min(most, ranks.size()); ++i) {
    text += rank_html(report, *ranks[i], adapters);
  }
  return ranks.size() > most ? text + fmt::format("<p class=\"dim\">and {} more tp_ranks</p>\n",
                                                  ranks.size() - most)
                             : text;
}

}  // namespace tplora::core
