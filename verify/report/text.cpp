#include "verify/report/text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/layout/claims.hpp"
#include "verify/explain/story.hpp"
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
    text += fmt::format("{}{} {} (rows {}-{})", text.empty() ? "" : ", ", held[i].part, heads,
                        held[i].from, last_row);
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
      const std::string where =
          all ? ""
          : f.columns->first == f.columns->last
              ? fmt::format("column {}: ", f.columns->first)
              : fmt::format("columns {}-{}: ", f.columns->first, f.columns->last);
      return where +
             (f.delta ? "the kernel meets " + found_text(f) : "expected " + expected_text(f));
    }
  }
  return "";
}

std::string piece_line(const DescribedPiece& piece, const std::string& wrong, Paint paint) {
  const std::string rows = piece.rows == 0
                               ? std::string("-")
                               : fmt::format("{}-{}", piece.to, piece.to + piece.rows - 1);
  std::string note = piece.rows == piece.wanted_rows
                         ? ""
                         : fmt::format("{} of {} rows, source row {} on", piece.rows,
                                       piece.wanted_rows, piece.from);
  if (!wrong.empty()) {
    note += (note.empty() ? "" : ": ") + wrong;
  }
  const std::string line =
      fmt::format("  {} {:<8} {:<3} {:<13} {}{}", note.empty() ? ' ' : '!', piece.buffer,
                  piece.part, rows, held_text(piece.holds), note.empty() ? "" : "   <- " + note);
  return paint.wrong(line, !note.empty()) + "\n";
}

/// What concerns the whole rank: heads that do not belong together, a buffer that does not fit.
std::string rank_note(std::int64_t tp_rank, const std::vector<Finding>& findings) {
  for (const Finding& f : findings) {
    if (f.tp_rank == tp_rank && !f.columns && f.law != Law::agreement) {
      return fmt::format("   <- law {}", law_name(f.law));
    }
  }
  return "";
}

std::string rank_map(const PreparedCase& item, const RankState& rank,
                     const std::vector<Finding>& findings, Paint paint) {
  const DescribedRank described = describe_rank(item, rank);
  const std::string note = rank_note(described.tp_rank, findings);
  const std::string head = fmt::format(
      "  tp_rank {}: output {} columns, LoRA-B buffer {} rows, slice {} rows{}", described.tp_rank,
      rank.build.width, described.b_buffer_rows, described.b_slice_rows, note);
  std::string text = paint.wrong(head, !note.empty()) + "\n";
  const std::string adapter =
      item.spec.adapters.empty() ? std::string() : item.spec.adapters.front().name;
  for (const DescribedPiece& piece : described.weight) {
    text += piece_line(piece, wrong_note(piece, "", described.tp_rank, findings), paint);
  }
  for (const DescribedPiece& piece : described.b) {
    text += piece_line(piece, wrong_note(piece, adapter, described.tp_rank, findings), paint);
  }
  return text;
}

std::string rows_text(const std::vector<std::pair<std::int64_t, std::int64_t>>& rows) {
  std::string text;
  for (const auto& [first, last] : rows) {
    text += fmt::format("{}{}-{}", text.empty() ? "" : ", ", first, last);
  }
  return text;
}

std::string story_text(const Story& story) {
  const Finding& f = story.first;
  const std::string where = story.ranks.size() == 1
                                ? fmt::format("tp_rank {}", ranges(story.ranks))
                                : fmt::format("tp_ranks {}", ranges(story.ranks));
  if (!f.is_about_rows()) {
    return fmt::format("    {}: {}\n", where, cause_text(f));
  }
  const std::string example =
      story.ranks.size() == 1 ? "" : fmt::format("on tp_rank {}: ", f.tp_rank);
  const std::string whose =
      f.delta ? fmt::format(" of adapter {} (slot {})", f.adapter(), f.delta->slot) : "";
  const std::string what =
      f.part ? fmt::format("{} {} {}, rows {}", part_name(*f.part),
                           story.heads.size() == 1 ? "head" : "heads", ranges(story.heads),
                           rows_text(story.rows))
             : fmt::format("output columns {}-{}", f.columns->first, f.columns->last);
  return fmt::format("    {}: {}{}: law {}{}\n      {}found {}, expected {}\n", where, what, whose,
                     law_name(f.law), f.consequence ? ", in consequence" : "", example,
                     found_text(f), expected_text(f));
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
    text += rank_map(item, rank, findings, paint);
  }
  return text;
}

std::string findings_text(const std::vector<Finding>& findings, std::size_t most) {
  std::string text;
  const auto groups = group_findings(findings);
  for (std::size_t i = 0; i < std::min(most, groups.size()); ++i) {
    const FindingGroup& group = groups[i];
    const Finding& first = group.stories.front().first;
    const bool of_rows = first.is_about_rows();
    text += fmt::format("  {}{}\n", group.cause_place, of_rows ? ": " + cause_text(first) : "");
    if (!group.together_with.empty()) {
      text += fmt::format("  and {}\n", group.together_with);
    }
    for (const std::string& place : group.other_places) {
      text += fmt::format("  or {}\n", place);
    }
    for (const Story& story : group.stories) {
      text += story_text(story);
    }
  }
  if (groups.size() > most) {
    text += fmt::format("  and {} more formulas with findings\n", groups.size() - most);
  }
  return text;
}

std::string same_as_text(const std::vector<std::string>& bugs) {
  return bugs.empty() ? "" : fmt::format("  same fault as {}\n", fmt::join(bugs, ", "));
}

std::string unclaimed_text(const PreparedCase& item) {
  if (!item.geometry) {
    return "";
  }
  const auto unmet = unmet_claim(*item.contract, *item.geometry,
                                 layout_case(item.spec, *item.geometry).deployment);
  return unmet ? fmt::format("  outside what contract {} claims: {} {} ({})\n", item.contract->name,
                             unmet->claim->that.text(),
                             unmet->undefined ? "has no value here" : "does not hold",
                             unmet->claim->say)
               : "";
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
    text += "findings:\n" + findings_text(findings, kFindingsShown);
    text += same_as_text(same_as);
    text += fmt::format("  replay: tplora replay \"{}\"\n", print_case(one));
  }
  return text;
}

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

/// Lines of `text` that `other` lacks, each behind `sign`.
std::string only_in(const std::string& text, const std::string& other, char sign) {
  const auto theirs = lines_of(other);
  std::string result;
  for (const std::string& line : lines_of(text)) {
    if (std::find(theirs.begin(), theirs.end(), line) == theirs.end()) {
      result += fmt::format("{} {}\n", sign, line);
    }
  }
  return result;
}

/// Empty where the engine refuses: then there is no plan.
std::string plan_text(const LayerReport& layer, std::size_t rank) {
  const bool planned = layer.item.geometry && layer.analysis.verdict != Verdict::refused;
  return planned ? rank_map(layer.item, layer.analysis.ranks[rank], layer.findings, {}) : "";
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
    const std::string a = plan_text(first, rank);
    const std::string b = plan_text(second, rank);
    if (a == b) {
      same.push_back(static_cast<std::int64_t>(rank));
    }
    const std::string head = a.substr(0, a.find('\n') + 1);
    text += a != b && b.starts_with(head) ? "  " + head : "";
    text += only_in(a, b, '-') + only_in(b, a, '+');
  }
  return same.empty() ? text : text + fmt::format("  the same plan on tp_ranks {}\n", ranges(same));
}

}  // namespace tplora::core
