#include "sim/layout/law_agreement.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/layout/view.hpp"

namespace tplora::core {
namespace {

/// What is wrong with due rows, apart from the rank and the columns in which they are due.
Violation without_place(Violation violation) {
  std::visit(
      [](auto& v) {
        v.tp_rank = 0;
        if constexpr (requires { v.due; }) {
          v.due.column = 0;
        }
      },
      violation);
  return violation;
}

std::vector<Violation> faults_of(const QkvGeometry& geometry, Part part, std::int64_t head,
                                 std::span<const Violation* const> of_rank) {
  const std::int64_t begin = head * geometry.rows_per_head(part);
  const std::int64_t end = begin + geometry.rows_per_head(part);
  std::vector<Violation> faults;
  for (const Violation* v : of_rank) {
    const DueRows* due = due_of(*v);
    if (due != nullptr && due->part == part && due->first_row < end &&
        begin < due->first_row + due->rows) {
      faults.push_back(without_place(*v));
    }
  }
  return faults;
}

/// Those of each rank of the group, in order: the group's ranks follow each other.
std::vector<std::vector<const Violation*>> by_rank(std::span<const RankState> group,
                                                   std::span<const Violation> violations) {
  ensure(!group.empty(), "an attention group has ranks");
  std::vector<std::vector<const Violation*>> lists(group.size());
  for (const Violation& v : violations) {
    const std::int64_t t = tp_rank_of(v) - group.front().build.tp_rank;
    if (t >= 0 && t < static_cast<std::int64_t>(group.size())) {
      lists[static_cast<std::size_t>(t)].push_back(&v);
    }
  }
  return lists;
}

}  // namespace

void check_agreement(const Contract& contract, const QkvGeometry& geometry,
                     std::span<const RankState> group, std::vector<Violation>& violations) {
  const bool due = std::any_of(group.begin(), group.end(),
                               [](const RankState& rank) { return !rank.due.empty(); });
  if (contract.view.gather == ViewGather::all || violations.empty() || !due) {
    return;  // replicas are the same gathered columns, nothing is wrong with any, or there are none
  }
  std::vector<Violation> disagreements;
  const auto of_rank = by_rank(group, violations);
  for (std::size_t i = 1; i < group.size(); ++i) {
    const RankBuild& build = group[i].build;
    const RankBuild& before = group[i - 1].build;
    const HeadRange kv = due_kv_heads(geometry, build);
    const HeadRange kv_before = due_kv_heads(geometry, before);
    ensure(build.tp_rank == before.tp_rank + 1, "ranks of a group follow each other");
    if (kv.count < 1 || kv_before.count < 1 || kv.first != kv_before.first) {
      continue;
    }
    ensure(0 <= kv.first && kv.end() <= geometry.num_key_value_heads,
           "the KV heads of query heads that exist do");
    for (const Part part : {Part::k, Part::v}) {
      if (faults_of(geometry, part, kv.first, of_rank[i]) !=
          faults_of(geometry, part, kv.first, of_rank[i - 1])) {
        disagreements.push_back(DisagreeingReplicas{.tp_rank = build.tp_rank,
                                                    .other_tp_rank = before.tp_rank,
                                                    .part = part,
                                                    .kv_head = kv.first});
      }
    }
  }
  violations.insert(violations.end(), disagreements.begin(), disagreements.end());
}

}  // namespace tplora::core
