#include "verify/report/text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "verify/report/pieces.hpp"

namespace tplora {
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
    text += fmt::format("{}{} {} (rows {}-{})", text.empty() ? "" : ", ", held[i].part, heads,
                        held[i].from, last_row);
    i = end;
  }
  return text;
}

std::string piece_line(const char* name, const DescribedPiece& piece) {
  const std::string rows =
      piece.rows == 0 ? std::string("-")
                      : fmt::format("{}-{}", piece.to, piece.to + piece.rows - 1);
  const std::string note = piece.rows == piece.wanted_rows
                               ? ""
                               : fmt::format("   <- {} of {} rows: source row {} on",
                                             piece.rows, piece.wanted_rows, piece.from);
  return fmt::format("    {:<8} {:<3} {:<13} {}{}\n", name, piece.part, rows,
                     held_text(piece.holds), note);
}

constexpr std::size_t kFindingsShown = 20;

std::string other_layer_line(const LayerReport& layer) {
  return fmt::format("{} {}: {}{}\n", layer.item.one.model, layer.item.kind,
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

std::string row_map(const PreparedCase& item, const Analysis& analysis) {
  std::string text;
  for (const RankState& rank : analysis.ranks) {
    const DescribedRank described = describe_rank(item, rank);
    text += fmt::format("  tp_rank {}: output {} columns, LoRA-B buffer {} rows, slice {} rows\n",
                        described.tp_rank, rank.build.width, described.b_buffer_rows,
                        described.b_slice_rows);
    for (const DescribedPiece& piece : described.weight) {
      text += piece_line("weight", piece);
    }
    for (const DescribedPiece& piece : described.b) {
      text += piece_line(piece.buffer.c_str(), piece);
    }
  }
  return text;
}

std::string findings_text(const std::vector<Finding>& findings, std::size_t most) {
  std::string text;
  const auto groups = group_findings(findings);
  for (std::size_t i = 0; i < std::min(most, groups.size()); ++i) {
    const FindingGroup& group = groups[i];
    text += fmt::format("  - {}\n", group.first.message());
    if (group.ranks.size() > 1) {
      text += fmt::format("    likewise on tp_ranks {}\n", ranges(group.ranks));
    }
  }
  if (groups.size() > most) {
    text += fmt::format("  - and {} more kinds of findings\n", groups.size() - most);
  }
  return text;
}

std::string layout_text(const std::vector<LayerReport>& layers, std::size_t shown) {
  std::string text;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i != shown) {
      text += other_layer_line(layers[i]);
    }
  }
  const auto& [item, analysis, findings] = layers[shown];
  if (!item.geometry) {
    return text + other_layer_line(layers[shown]);
  }
  const Case& one = item.one;
  text += fmt::format("{}{}, engine {}, tp_size {}: {}\n  {}\n", one.model,
                      one.layer.empty() ? "" : " " + one.layer, item.contract->name, one.tp_size,
                      verdict_name(analysis.verdict), geometry_text(*item.geometry));
  text += fmt::format("  a shape assertion alone would {}\n",
                      analysis.shape_check ? "pass" : "fail");
  if (analysis.verdict != Verdict::refused) {
    text += row_map(item, analysis);
  }
  if (!findings.empty()) {
    text += "findings:\n" + findings_text(findings, kFindingsShown);
    text += fmt::format("  replay: tplora replay \"{}\"\n", print_case(one));
  }
  return text;
}

}  // namespace tplora
