#include "verify/golden/module_rows.hpp"

namespace tplora::core {
namespace {

/// The rows of q as a checkpoint stores them: as the geometry counts them, or all q and then all
/// gates.
void append_q(const QkvGeometry& g, GateLayout gate, std::int64_t first_head, std::int64_t heads,
              std::vector<RowRun>& runs) {
  const std::int64_t per_head = g.rows_per_head(Part::q);
  if (gate != GateLayout::halves) {
    runs.push_back({Part::q, first_head * per_head, heads * per_head});
    return;
  }
  for (std::int64_t half = 0; half < 2; ++half) {
    for (std::int64_t head = first_head; head < first_head + heads; ++head) {
      runs.push_back({Part::q, head * per_head + half * per_head / 2, per_head / 2});
    }
  }
}

}  // namespace

std::vector<RowRun> rows_of_tensor(const QkvGeometry& g, const CheckpointForm& form,
                                   std::span<const Part> parts) {
  std::vector<RowRun> runs;
  const std::int64_t groups = form.order == RowOrder::blocks ? 1 : g.num_key_value_heads;
  for (std::int64_t group = 0; group < groups; ++group) {
    for (const Part part : parts) {
      const std::int64_t heads = g.heads(part) / groups;
      if (part == Part::q) {
        append_q(g, form.gate, group * heads, heads, runs);
      } else {
        runs.push_back(
            {part, group * heads * g.rows_per_head(part), heads * g.rows_per_head(part)});
      }
    }
  }
  return runs;
}

std::vector<std::vector<Part>> parts_of_modules(Fusion fusion) {
  switch (fusion) {
    case Fusion::separate: return {{Part::q}, {Part::k}, {Part::v}};
    case Fusion::kv: return {{Part::q}, {Part::k, Part::v}};
    case Fusion::qkv: break;
  }
  return {{Part::q, Part::k, Part::v}};
}

std::int64_t count_rows(std::span<const RowRun> runs) {
  std::int64_t rows = 0;
  for (const RowRun& run : runs) {
    rows += run.rows;
  }
  return rows;
}

std::vector<RowRun> rows_of_fused_b(const QkvGeometry& g, const CheckpointForm& form) {
  return rows_of_tensor(g, form.fusion == Fusion::separate ? CheckpointForm{} : form, kParts);
}

std::vector<RowRun> rows_of_part_b(const QkvGeometry& g, const CheckpointForm& form, Part part) {
  CheckpointForm own;
  own.gate = form.gate;
  return rows_of_tensor(g, own, std::span(&part, 1));
}

}  // namespace tplora::core
