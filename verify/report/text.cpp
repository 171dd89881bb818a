#include "verify/report/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sim/base/ensure.hpp"
#include "sim/layout/claims.hpp"
#include "verify/explain/story.hpp"
#include "verify/report/finding_record.hpp"
#include "verify/report/finding_text.hpp"
#include "verify/report/pieces.hpp"

namespace tplora::core {
namespace {

std::string held_text(const std::vector<HeldRows>& held) {
  if (held.empty()) {
    return "nothing";
  }
  // Heads next to each other, told as one range.
  std::string text;
  for (std::size_t i = 0; i < held.size();) {
    std::size_t end = i + 1;
    while (end < held.size() && held[end].part == held[i].part &&
           held[end].from == held[end - 1].from + held[end - 1].rows) {
      ++end;
    }
    const std::int64_t last_row = held[end - 1].from + held[end - 1].rows - 1;
    const std::string heads = held[i].head == held[end - 1].head
                                  ? fmt::format("head {}", held[i].head)
                                  : fmt::format("heads {}-{}", held[i].head, held[end - 1].head);
    text += fmt::format("{}{} {} ({})", text.empty() ? "" : ", ", held[i].part, heads,
                        plural_range("row", {held[i].from, last_row}));
    i = end;
  }
  return text;
}

/// What a finding that touches the piece's columns says stands there instead; empty: all is right.
std::string wrong_note(const DescribedPiece& piece, const std::string& adapter,
                       std::int64_t tp_rank, const std::vector<Finding>& findings) {
  for (const Finding& f : findings) {
    const bool here = f.tp_rank == tp_rank && f.adapter() == adapter && f.columns &&
                      f.columns->first < piece.column + piece.wanted_rows &&
                      f.columns->last >= piece.column;
    if (here) {
      const bool all = f.columns->first <= piece.column &&
                       f.columns->last >= piece.column + piece.wanted_rows - 1;
      const std::string where = all ? "" : plural_range("column", *f.columns) + ": ";
      return where +
             (f.delta ? "the kernel meets " + found_text(f) : "expected " + expected_text(f));
    }
  }
  return "";
}

/// A line of a rank's map.
struct MapLine {
  DescribedPiece piece;
  std::string wrong;  ///< what findings say of it; empty: all is right
  friend bool operator==(const MapLine&, const MapLine&) = default;
};
/// What one rank holds, and what is wrong with it.
struct RankMap {
  std::int64_t tp_rank = 0;
  std::int64_t columns = 0, b_buffer_rows = 0, b_slice_rows = 0;
  std::optional<Law> broken;  ///< a law that concerns the whole rank
  std::vector<MapLine> lines;
  friend bool operator==(const RankMap&, const RankMap&) = default;
};

std::string line_text(const MapLine& line, Paint paint) {
  const DescribedPiece& piece = line.piece;
  const std::string rows = piece.rows == 0
                               ? std::string("-")
                               : fmt::format("{}-{}", piece.to, piece.to + piece.rows - 1);
  std::string note = piece.rows == piece.wanted_rows
                         ? ""
                         : fmt::format("{} of {} rows, source row {} on", piece.rows,
                                       piece.wanted_rows, piece.from);
  if (!line.wrong.empty()) {
    note += (note.empty() ? "" : ": ") + line.wrong;
  }
  const std::string text =
      fmt::format("  {} {:<8} {:<3} {:<13} {}{}", note.empty() ? ' ' : '!', piece.buffer,
                  piece.part, rows, held_text(piece.holds), note.empty() ? "" : "   <- " + note);
  return paint.wrong(text, !note.empty()) + "\n";
}

std::string head_text(const RankMap& map, Paint paint) {
  const std::string text =
      fmt::format("  tp_rank {}: output {} columns, LoRA-B buffer {} rows, slice {} rows{}",
                  map.tp_rank, map.columns, map.b_buffer_rows, map.b_slice_rows,
                  map.broken ? fmt::format("   <- law {}", law_name(*map.broken)) : "");
  return paint.wrong(text, map.broken.has_value()) + "\n";
}

/// Heads that do not belong together, a buffer that does not fit.
std::optional<Law> broken_on_rank(std::int64_t tp_rank, const std::vector<Finding>& findings) {
  for (const Finding& f : findings) {
    if (f.tp_rank == tp_rank && !f.columns && f.law != Law::agreement) {
      return f.law;
    }
  }
  return std::nullopt;
}

RankMap rank_map(const PreparedCase& item, const RankState& rank,
                 const std::vector<Finding>& findings) {
  const DescribedRank described = describe_rank(item, rank);
  RankMap map{.tp_rank = described.tp_rank,
              .columns = rank.build.width,
              .b_buffer_rows = described.b_buffer_rows,
              .b_slice_rows = described.b_slice_rows,
              .broken = broken_on_rank(described.tp_rank, findings),
              .lines = {}};
  const std::string adapter =
      item.spec.adapters.empty() ? std::string() : item.spec.adapters.front().name;
  for (const DescribedPiece& piece : described.weight) {
    map.lines.push_back({piece, wrong_note(piece, "", map.tp_rank, findings)});
  }
  for (const DescribedPiece& piece : described.b) {
    map.lines.push_back({piece, wrong_note(piece, adapter, map.tp_rank, findings)});
  }
  return map;
}

constexpr std::size_t kFindingsShown = 20;

std::string other_layer_line(const LayerReport& layer) {
  return fmt::format("{} {}: {}{}\n", layer.item.spec.model, layer.item.kind,
                     verdict_name(layer.analysis.verdict),
                     layer.item.geometry ? "" : " (" + layer.item.why_no_qkv + ")");
}

}  // namespace

std::string geometry_text(const QkvGeometry& g) {
  return fmt::format("{} q heads, {} kv heads, head_dim {}{}, hidden_size {}{}{}",
                     g.num_attention_heads, g.num_key_value_heads, g.head_dim,
                     g.v_head_dim == g.head_dim ? "" : fmt::format(", v_head_dim {}", g.v_head_dim),
                     g.hidden_size, g.q_multiplier == 2 ? ", gated q" : "",
                     g.qkv_bias ? ", bias" : "");
}

std::string checkpoint_text(const CheckpointForm& form) {
  std::string text = form.tensors.empty() ? "not said" : std::string(form.tensors);
  if (form.fusion != Fusion::separate) {
    text +=
        fmt::format(", {} fused in {} order", fusion_name(form.fusion), row_order_name(form.order));
  }
  if (form.gate != GateLayout::none) {
    text +=
        fmt::format(", output gate {}", form.gate == GateLayout::per_head ? "beside each q head"
                                                                          : "behind all q heads");
  }
  return text + (form.transposed ? ", stored [in, out] (Conv1D)" : "");
}

std::string row_map(const PreparedCase& item, const Analysis& analysis,
                    const std::vector<Finding>& findings, Paint paint) {
  std::string text;
  for (const RankState& rank : analysis.ranks) {
    const RankMap map = rank_map(item, rank, findings);
    text += head_text(map, paint);
    for (const MapLine& line : map.lines) {
      text += line_text(line, paint);
    }
  }
  return text;
}

std::string counted(std::size_t count, const std::string& one, const std::string& several) {
  return fmt::format("{} {}", count, count == 1 ? one : several.empty() ? one + "s" : several);
}

std::string same_as_text(const std::vector<std::string>& bugs) {
  return bugs.empty() ? "" : fmt::format("  same fault as {}\n", fmt::join(bugs, ", "));
}

std::string unclaimed(const PreparedCase& item) {
  if (!item.geometry) {
    return "";
  }
  const auto unmet = unmet_claim(*item.contract, *item.geometry,
                                 layout_case(item.spec, *item.geometry).deployment);
  return unmet ? fmt::format("outside what contract {} claims: {} {} ({})", item.contract->name,
                             unmet->claim->that.text(),
                             unmet->undefined ? "has no value here" : "does not hold",
                             unmet->claim->say)
               : "";
}

std::string unclaimed_text(const PreparedCase& item) {
  const std::string sentence = unclaimed(item);
  return sentence.empty() ? "" : fmt::format("  {}\n", sentence);
}

std::string layout_text(const std::vector<LayerReport>& layers, std::size_t shown, Paint paint) {
  std::string text;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i != shown) {
      text += other_layer_line(layers[i]);
    }
  }
  const auto& [item, analysis, findings, same_as] = layers[shown];
  if (!item.geometry) {
    return text + other_layer_line(layers[shown]);
  }
  const Case& one = item.spec;
  text += fmt::format("{}{}, engine {}, tp_size {}: {}\n  {}\n", one.model,
                      one.layer.empty() ? "" : " " + one.layer, item.contract->name, one.tp_size,
                      verdict_name(analysis.verdict), geometry_text(*item.geometry));
  text += fmt::format("  checkpoint: {}\n", checkpoint_text(item.checkpoint));
  if (!item.contract->variant.empty()) {
    text += fmt::format("  rules of {} for {}\n", item.contract->name, item.contract->variant);
  }
  if (analysis.verdict != Verdict::refused) {
    text +=
        fmt::format("  a shape assertion alone would {}\n", analysis.shape_check ? "pass" : "fail");
  }
  text += unclaimed_text(item);
  if (analysis.verdict != Verdict::refused) {
    text += row_map(item, analysis, findings, paint);
  }
  if (!findings.empty()) {
    text += "findings:\n" + findings_text(record_findings(findings), kFindingsShown);
    text += same_as_text(same_as);
    text += fmt::format("  replay: tplora replay \"{}\"\n", print_case(one));
  }
  return text;
}

namespace {

/// Lines of `map` that `other` lacks, each behind `sign`.
std::string only_in(const std::optional<RankMap>& map, const std::optional<RankMap>& other,
                    char sign) {
  if (!map) {
    return "";
  }
  std::string text;
  for (const MapLine& line : map->lines) {
    if (!other || std::find(other->lines.begin(), other->lines.end(), line) == other->lines.end()) {
      text += fmt::format("{} {}", sign, line_text(line, {}));
    }
  }
  return text;
}

/// The head that both have in common, or each its own.
std::string heads_text(const std::optional<RankMap>& a, const std::optional<RankMap>& b) {
  const std::string first = a ? head_text(*a, {}) : "";
  const std::string second = b ? head_text(*b, {}) : "";
  return first == second ? "  " + first
                         : (a ? "- " + first : "") + (b ? "+ " + second : std::string());
}

/// Nothing where the engine refuses: then there is no plan.
std::optional<RankMap> planned_map(const LayerReport& layer, std::size_t rank) {
  const bool planned = layer.item.geometry && layer.analysis.verdict != Verdict::refused;
  return planned ? std::optional(rank_map(layer.item, layer.analysis.ranks[rank], layer.findings))
                 : std::nullopt;
}

std::string verdict_line(char sign, const LayerReport& layer) {
  return fmt::format("{} {}: {}, shape check {}\n", sign, layer.item.contract->name,
                     verdict_name(layer.analysis.verdict),
                     layer.analysis.shape_check ? "pass" : "fail");
}

}  // namespace

std::string difference_text(const LayerReport& first, const LayerReport& second) {
  const Case& one = first.item.spec;
  ensure(one.model == second.item.spec.model && one.tp_size == second.item.spec.tp_size &&
             first.item.kind == second.item.kind,
         "plans of one layer at one tp_size are compared");
  std::string text =
      fmt::format("{}{}, tp_size {}\n{}{}", one.model, one.layer.empty() ? "" : " " + one.layer,
                  one.tp_size, verdict_line('-', first), verdict_line('+', second));
  std::vector<std::int64_t> same;
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(one.tp_size); ++rank) {
    const std::optional<RankMap> a = planned_map(first, rank);
    const std::optional<RankMap> b = planned_map(second, rank);
    if (a == b) {
      same.push_back(static_cast<std::int64_t>(rank));
    } else {
      text += heads_text(a, b) + only_in(a, b, '-') + only_in(b, a, '+');
    }
  }
  return same.empty()
             ? text
             : text + fmt::format("  the same plan on tp_ranks {}\n", ranges_text(runs_of(same)));
}

}  // namespace tplora::core
