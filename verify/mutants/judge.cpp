#include "verify/mutants/judge.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "sim/layout/claims.hpp"
#include "sim/layout/proof_points.hpp"
#include "sim/layout/prover.hpp"

namespace tplora::core {
namespace {

/// Launches that do something, in one order.
std::vector<KernelLaunch> working(const std::vector<KernelLaunch>& launches) {
  std::vector<KernelLaunch> list;
  std::copy_if(launches.begin(), launches.end(), std::back_inserter(list),
               [](const KernelLaunch& one) { return one.rows > 0; });
  std::sort(list.begin(), list.end(),
            [](const KernelLaunch& a, const KernelLaunch& b) { return a.out < b.out; });
  return list;
}

/// Equal but for the depth of contractions.
bool same_places(const RankLoad& a, const RankLoad& b) {
  const auto x = working(a.launches);
  const auto y = working(b.launches);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                    [](const KernelLaunch& p, const KernelLaunch& q) {
                      return p.a == q.a && p.b == q.b && p.a_at == q.a_at && p.b_at == q.b_at &&
                             p.out == q.out && p.rows == q.rows && p.b_stride == q.b_stride;
                    });
}

bool same_depths(const RankLoad& a, const RankLoad& b) {
  const auto x = working(a.launches);
  const auto y = working(b.launches);
  return std::equal(
      x.begin(), x.end(), y.begin(), y.end(),
      [](const KernelLaunch& p, const KernelLaunch& q) { return p.depth == q.depth; });
}

/// The rows of a slice that hold something.
std::vector<IntervalMap> without_zeros(const std::vector<IntervalMap>& maps) {
  std::vector<IntervalMap> result(maps.size());
  for (std::size_t i = 0; i < maps.size(); ++i) {
    for (const Segment& segment : maps[i].segments()) {
      if (segment.space != kZeros) {
        result[i].append(segment);
      }
    }
  }
  return result;
}

/// What a slice holds where kernels look for rows of parts that the adapter targets, in the order
/// of the output columns. Elsewhere rows of B meet no row of A but zeros.
std::vector<Segment> rows_in_use(const RankState& rank, const RankLoad& load,
                                 const AdapterShape& shape) {
  std::vector<Segment> rows;
  for (const KernelLaunch& one : working(load.launches)) {
    rank.due.visit(one.out, one.out + one.rows, [&](const Segment& column) {
      if (column.space < 0 || !shape.has(part_of(column.space))) {
        return;
      }
      const std::int64_t begin = one.b_at + (column.at - one.out);
      load.b_maps[static_cast<std::size_t>(one.b)].visit(begin, begin + column.rows,
                                                         [&](Segment piece) {
                                                           piece.at += column.at - begin;
                                                           rows.push_back(piece);
                                                         });
    });
  }
  return rows;
}

/// The worst difference between two consistent plans of a rank. Where A is gathered, which rank
/// holds which of its rows reaches no output: that the gathered rows are right is law 2. `zeros`:
/// parts that an adapter leaves out have rows of zeros.
Judge::Sentence difference(const Analysis& of_a, const RankState& a, const RankState& b,
                           bool a_gathered, bool zeros) {
  const RankBuild& x = a.build;
  const RankBuild& y = b.build;
  if (x.columns != y.columns || x.first_q != y.first_q || x.q_heads != y.q_heads ||
      x.first_kv != y.first_kv || x.kv_heads != y.kv_heads) {
    return {Fate::survived, "the base layer"};
  }
  Judge::Sentence worst{Fate::equivalent, ""};
  const auto spare = [&](bool differs, const char* reason) {
    worst =
        differs && worst.fate == Fate::equivalent ? Judge::Sentence{Fate::spare, reason} : worst;
  };
  spare(x.b_rows != y.b_rows, "the length of a lora_b buffer");
  spare(x.a_rows != y.a_rows, "the length of a lora_a buffer");
  for (int event = 0; event < static_cast<int>(a.load_of.size()); ++event) {
    const RankLoad& p = a.load(event);
    const RankLoad& q = b.load(event);
    const bool a_differs = without_zeros(p.a_maps) != without_zeros(q.a_maps);
    spare(a_differs && a_gathered, "which rank holds which rows of a gathered A");
    const AdapterShape& shape = of_a.events[static_cast<std::size_t>(event)].shape;
    const bool b_differs = without_zeros(p.b_maps) != without_zeros(q.b_maps);
    const bool in_use = !zeros || rows_in_use(a, p, shape) != rows_in_use(b, q, shape);
    if ((b_differs && in_use) || (a_differs && !a_gathered)) {
      return {Fate::survived, "the rows of a slice"};
    }
    spare(b_differs, "rows of B that meet only zeros of A");
    if (!same_places(p, q)) {
      return {Fate::survived, "the place of a kernel launch"};
    }
    spare(p.b_maps != q.b_maps || p.a_maps != q.a_maps, "zeros written where zeros were");
    spare(!same_depths(p, q), "a contraction that is longer or shorter over zeros");
  }
  return worst;
}

}  // namespace

std::string_view fate_name(Fate fate) {
  constexpr std::array<std::string_view, 6> kNames = {"law",        "verdict", "bad_contract",
                                                      "equivalent", "spare",   "survived"};
  return kNames[static_cast<std::size_t>(fate)];
}

Judge::Judge(const Contract& contract, std::int64_t max_heads, std::int64_t max_tp_size)
    : contract_(contract) {
  Analyser analyser(Detail::verdicts);
  const bool dp = contract.mentions(symbol::dp_size);
  const bool config = contract.mentions(symbol::KV_config) || contract.mentions(symbol::D_config) ||
                      contract.mentions(symbol::H_config);
  for (std::int64_t H = max_heads; H >= 1; --H) {
    for (std::int64_t KV = 1; KV <= H; ++KV) {
      for (std::int64_t tp_size = 1; H % KV == 0 && tp_size <= max_tp_size; ++tp_size) {
        for (const auto& [D, Dv, gate, less] : {std::array<std::int64_t, 4>{3, 3, 1, 1},
                                                {3, 3, 2, 0},
                                                {4, 5, 1, 1},
                                                {8, 8, 2, 1},
                                                {8, 8, 1, 0},
                                                {1, 1, 1, 1},
                                                {5, 4, 2, 1}}) {
          for (const std::int64_t dp_size : {1, 2}) {
            if (dp_size == 2 && (!dp || tp_size % 2 != 0)) {
              continue;
            }
            LayoutCase input = proof_case(contract, {.H = H,
                                                     .KV = KV,
                                                     .D = D,
                                                     .Dv = Dv,
                                                     .gate = gate,
                                                     .tp_size = tp_size,
                                                     .dp_size = dp_size,
                                                     .lora_rank = 2 * tp_size - less,
                                                     .max_lora_rank = 2 * tp_size});
            add(contract, analyser, input);
            if (!contract.takes_fused_adapters()) {
              for (const std::array<bool, 3> targets :
                   {std::array{true, false, true}, {true, true, false}, {false, true, false}}) {
                LayoutCase part = input;
                part.adapters[0].targets = targets;
                add(contract, analyser, part);
              }
            }
            if (config) {
              for (const std::array<std::int64_t, 3> values : {std::array<std::int64_t, 3>{H, 0, D},
                                                               {H, KV, 0},
                                                               {2 * H, 2 * KV, D},
                                                               {H, 1, D},
                                                               {2 * H, KV, 0}}) {
                LayoutCase other = input;
                other.geometry.config_num_attention_heads = values[0];
                other.geometry.config_num_key_value_heads = values[1];
                other.geometry.config_head_dim = values[2];
                add(contract, analyser, other);
              }
            }
          }
        }
      }
    }
  }
  sort_points();
}

// Where the original is consistent a mutant is caught soonest.
void Judge::sort_points() {
  std::stable_partition(points_.begin(), points_.end(),
                        [](const Point& point) { return point.verdict == Verdict::consistent; });
}

void Judge::add(const Contract& contract, Analyser& analyser, LayoutCase input) {
  if (!inside_claims(contract, input.geometry, input.deployment).value_or(false)) {
    return;
  }
  const Analysis& analysis = analyser.run(contract, input);
  if (!analysis.bad_contract && analysis.verdict != Verdict::silent) {
    points_.push_back({std::move(input), analysis.verdict});
  }
}

Judge::Sentence Judge::judge(const Contract& mutant) const {
  Analyser analyser(Detail::verdicts);
  bool verdict = false;
  bool bad = false;
  for (const Point& point : points_) {
    const Analysis& analysis = analyser.run(mutant, point.input);
    if (analysis.bad_contract) {
      bad = true;
      continue;
    }
    const bool good = analysis.verdict == Verdict::consistent;
    if (point.verdict == Verdict::consistent && !good) {
      const bool by_law = analysis.verdict == Verdict::silent ||
                          std::any_of(analysis.failures.begin(), analysis.failures.end(),
                                      [](const PlanFailure& f) { return f.law == Law::fit; });
      if (by_law) {
        return {Fate::law, ""};
      }
    }
    // What the original refuses and the mutant lets through is a broken law just the same.
    if (analysis.verdict == Verdict::silent) {
      return {Fate::law, ""};
    }
    verdict = verdict || analysis.verdict != point.verdict;
  }
  if (bad || verdict) {
    return {bad ? Fate::bad_contract : Fate::verdict, ""};
  }
  return compare_plans(mutant);
}

Judge::Sentence Judge::compare_plans(const Contract& mutant) const {
  Analyser of_mutant(Detail::verdicts);
  Analyser of_original(Detail::verdicts);
  const bool gathered = contract_.lora_a.gather == Gather::tp && mutant.lora_a.gather == Gather::tp;
  const bool zeros = contract_.pool.absent == PoolAbsent::zero && contract_.pool == mutant.pool;
  Sentence worst{Fate::equivalent, ""};
  for (const Point& point : points_) {
    if (point.verdict != Verdict::consistent) {
      continue;
    }
    const Analysis& a = of_original.run(contract_, point.input);
    const Analysis& b = of_mutant.run(mutant, point.input);
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(point.input.deployment.tp_size);
         ++rank) {
      Sentence found = difference(a, a.ranks[rank], b.ranks[rank], gathered, zeros);
      if (found.fate > worst.fate) {
        worst = std::move(found);
      }
    }
  }
  return worst;
}

std::vector<LayoutCase> Judge::broken_points(const Contract& mutant, std::size_t most) const {
  std::map<std::int64_t, const Point*> first;  // by tp_size
  std::vector<const Point*> others;
  Analyser analyser(Detail::verdicts);
  for (const Point& point : points_) {
    if (point.verdict != Verdict::consistent) {
      break;  // the consistent ones come first
    }
    const std::int64_t tp_size = point.input.deployment.tp_size;
    if (first.contains(tp_size) && others.size() == most) {
      continue;
    }
    const Analysis& analysis = analyser.run(mutant, point.input);
    if (!analysis.bad_contract &&
        (analysis.verdict == Verdict::silent || analysis.verdict == Verdict::crash) &&
        !first.emplace(tp_size, &point).second) {
      others.push_back(&point);
    }
  }
  std::vector<LayoutCase> list;
  for (const auto& [tp_size, point] : first) {
    list.push_back(point->input);
  }
  for (std::size_t i = 0; i < others.size() && list.size() < most; ++i) {
    list.push_back(others[i]->input);
  }
  return list;
}

}  // namespace tplora::core
