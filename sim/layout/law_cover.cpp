#include "sim/layout/law_cover.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "sim/base/ensure.hpp"
#include "sim/layout/map_facts.hpp"
#include "sim/layout/spaces.hpp"
#include "sim/layout/view.hpp"

namespace tplora::core {
namespace {

std::int64_t heads_of(const QkvGeometry& geometry, Part part) {
  return part == Part::q ? geometry.num_attention_heads : geometry.num_key_value_heads;
}

/// Whether all heads that a rank owns exist.
bool heads_exist(const QkvGeometry& geometry, const RankBuild& build, Part part) {
  const HeadRange own = owned_heads(build, part);
  const std::int64_t heads = heads_of(geometry, part);
  return own.first >= 0 && own.count >= 0 && own.count <= heads && own.first <= heads - own.count;
}

/// The usual case, without counting: ranks own runs of heads that follow each other, each run
/// `times` times, to the last head.
bool heads_in_order(std::span<const RankState> group, Part part, std::int64_t heads,
                    std::int64_t times) {
  HeadRange run;
  std::int64_t owners = times;
  for (const RankState& rank : group) {
    const HeadRange own = owned_heads(rank.build, part);
    const bool again = owners < times && own.first == run.first && own.count == run.count;
    if (!again && (owners != times || own.first != run.end())) {
      return false;
    }
    owners = again ? owners + 1 : 1;
    run = own;
  }
  return owners == times && run.end() == heads;
}

/// Whether each rank owns exactly the KV heads its query heads belong to, so that a KV head has as
/// many owners as its query heads have.
bool heads_together(const QkvGeometry& geometry, std::span<const RankState> group) {
  const std::int64_t run = geometry.num_attention_heads / geometry.num_key_value_heads;
  return std::all_of(group.begin(), group.end(), [&](const RankState& rank) {
    const HeadRange q = owned_heads(rank.build, Part::q);
    const HeadRange kv = owned_heads(rank.build, Part::k);
    return q.count == 0 ? kv.count == 0
                        : q.first / run == kv.first && (q.end() - 1) / run == kv.end() - 1;
  });
}

/// How many ranks own each head and have query heads at all: the others owe nobody a KV head.
std::vector<std::int64_t> owners_of(std::span<const RankState> group, Part part,
                                    std::int64_t heads) {
  std::vector<std::int64_t> owners(static_cast<std::size_t>(heads), 0);
  for (const RankState& rank : group) {
    const HeadRange own = owned_heads(rank.build, part);
    ensure(0 <= own.first && own.end() <= heads, "owners are counted of heads that exist");
    for (std::int64_t head = own.first; rank.build.q_heads > 0 && head < own.end(); ++head) {
      ++owners[static_cast<std::size_t>(head)];
    }
  }
  return owners;
}

/// How many ranks own a query head of each KV head: that many replicas it must have.
std::vector<std::int64_t> replicas_of(const QkvGeometry& geometry,
                                      std::span<const RankState> group) {
  std::vector<std::int64_t> replicas(static_cast<std::size_t>(geometry.num_key_value_heads), 0);
  for (const RankState& rank : group) {
    const HeadRange kv = due_kv_heads(geometry, rank.build);
    ensure(kv.count == 0 || (0 <= kv.first && kv.end() <= geometry.num_key_value_heads),
           "the KV heads of query heads that exist do");
    for (std::int64_t head = kv.first; head < kv.end(); ++head) {
      ++replicas[static_cast<std::size_t>(head)];
    }
  }
  return replicas;
}

/// Law 4, the heads: within a group each query head is owned once, each KV head once a replica.
void check_owners(const QkvGeometry& geometry, std::span<const RankState> group,
                  std::vector<Violation>& violations) {
  const std::int64_t kv = geometry.num_key_value_heads;
  const auto ranks = static_cast<std::int64_t>(group.size());
  if (heads_together(geometry, group) &&
      heads_in_order(group, Part::q, geometry.num_attention_heads, 1) &&
      heads_in_order(group, Part::k, kv, std::max<std::int64_t>(1, ranks / kv))) {
    return;
  }
  const auto compare = [&](Part part, const std::vector<std::int64_t>& due) {
    const auto owners = owners_of(group, part, static_cast<std::int64_t>(due.size()));
    for (std::size_t head = 0; head < owners.size(); ++head) {
      if (owners[head] != due[head]) {
        violations.push_back(WrongOwners{.tp_rank = group.front().build.tp_rank,
                                         .part = part,
                                         .head = static_cast<std::int64_t>(head),
                                         .owners = owners[head],
                                         .due_owners = due[head]});
      }
    }
  };
  compare(Part::q,
          std::vector<std::int64_t>(static_cast<std::size_t>(geometry.num_attention_heads), 1));
  compare(Part::k, replicas_of(geometry, group));
}

/// Law 7. Attention pairs local query heads with local KV heads in equal runs, so run j of the
/// owned query heads must belong to owned KV head j.
void check_pairing(const QkvGeometry& geometry, const RankBuild& build,
                   std::vector<Violation>& violations) {
  const std::int64_t group_heads = geometry.num_attention_heads / geometry.num_key_value_heads;
  if (build.q_heads == 0) {
    return;  // no query head of this rank looks at a KV head
  }
  if (build.kv_heads == 0 || build.q_heads % build.kv_heads != 0) {
    violations.push_back(UnevenHeads{.tp_rank = build.tp_rank,
                                     .q_heads = build.q_heads,
                                     .first_kv = build.first_kv,
                                     .kv_heads = build.kv_heads});
    return;
  }
  const std::int64_t run = build.q_heads / build.kv_heads;
  for (std::int64_t j = 0; j < build.kv_heads; ++j) {
    const std::int64_t first = (build.first_q + j * run) / group_heads;
    const std::int64_t last = (build.first_q + (j + 1) * run - 1) / group_heads;
    if (first != build.first_kv + j || last != first) {
      violations.push_back(WrongPairing{
          .tp_rank = build.tp_rank, .kv_head = build.first_kv + j, .due_kv_head = first});
    }
  }
}

Content content_of_column(const Segment& piece) {
  if (piece.space == kZeros) {
    return Zeros{};
  }
  if (piece.space < 0) {
    return NeverWritten{};
  }
  return BaseRows{.part = part_of(piece.space), .first_row = piece.from};
}

/// Law 4, the base weight: what a rank's columns hold against what is due there.
void check_columns(const RankState& rank, std::vector<Violation>& violations) {
  const RankBuild& build = rank.build;
  ensure_checked([&] { return in_order(build.columns, build.width); },
                 "a rank's columns are in order, and all in its output row");
  const std::int64_t end = end_of(rank.due);
  if (end == build.width && rank.due == build.columns) {
    return;  // the usual case, without splitting
  }
  rank.due.visit(0, build.width, [&](const Segment& due) {
    build.columns.visit(due.at, due.end(), [&](const Segment& piece) {
      const std::int64_t from = due.from + (piece.at - due.at);
      if (due.space < 0) {
        violations.push_back(SurplusColumns{.tp_rank = build.tp_rank,
                                            .column = piece.at,
                                            .columns = piece.rows,
                                            .found = content_of_column(piece)});
      } else if (piece.space != due.space || piece.from != from) {
        violations.push_back(WrongBase{.tp_rank = build.tp_rank,
                                       .due = {.part = part_of(due.space),
                                               .first_row = from,
                                               .rows = piece.rows,
                                               .column = piece.at},
                                       .found = content_of_column(piece)});
      }
    });
  });
  rank.due.visit(build.width, std::max(build.width, end), [&](const Segment& due) {
    violations.push_back(MissingColumns{.tp_rank = build.tp_rank,
                                        .due = {.part = part_of(due.space),
                                                .first_row = due.from,
                                                .rows = due.rows,
                                                .column = due.at}});
  });
}

}  // namespace

void check_group(const Contract& contract, const QkvGeometry& geometry, std::span<RankState> group,
                 std::vector<Violation>& violations) {
  ensure(!group.empty(), "an attention group has ranks");
  for (const RankState& rank : group) {
    ensure(rank.build.group_rank == &rank - group.data() &&
               rank.build.group_size == static_cast<std::int64_t>(group.size()),
           "a group is all of its ranks, in t order");
    for (const Part part : {Part::q, Part::k}) {
      if (!heads_exist(geometry, rank.build, part)) {
        const HeadRange own = owned_heads(rank.build, part);
        violations.push_back(HeadsOutside{.tp_rank = rank.build.tp_rank,
                                          .part = part,
                                          .first_head = own.first,
                                          .heads = own.count});
        for (RankState& other : group) {
          other.due.clear();
        }
        return;
      }
    }
  }
  set_due_columns(contract, geometry, group);
  check_owners(geometry, group, violations);
  for (const RankState& rank : group) {
    if (!owes_nothing(contract, rank.build)) {
      check_columns(rank, violations);
    }
  }
  for (const RankState& rank : group) {
    check_pairing(geometry, rank.build, violations);
  }
}

}  // namespace tplora::core
