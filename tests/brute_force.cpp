#include "tests/brute_force.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

namespace tplora::test {

using namespace core;
namespace {

/// A label: who stands here. kind: '.' nothing, '0' zero, 'w' base weight, 'a' an A row, 'b' a B
/// element.
struct Cell {
  char kind = '.';
  int adapter = -1;
  int part = -1;  // 0 q, 1 k, 2 v, 3 shared A
  std::int64_t row = -1;
  std::int64_t col = -1;
  // NOLINTNEXTLINE(modernize-use-nullptr): it takes the comparison's own 0 for a pointer
  auto operator<=>(const Cell&) const = default;
};
using Cells = std::vector<Cell>;

struct Stop {
  Verdict verdict;
  Law law;
  bool undefined;
};

constexpr std::int64_t kFar = std::int64_t{1} << 48;

std::int64_t rank_of(const AdapterShape& shape, int part) {
  const std::int64_t own = shape.part_ranks[static_cast<std::size_t>(part)];
  return own == 0 ? shape.lora_rank : own;
}

/// Columns of the widest of an adapter's tensors of B.
std::int64_t widest(const AdapterShape& shape) {
  std::int64_t most = 0;
  for (int part = 0; part < 3; ++part) {
    most =
        shape.targets[static_cast<std::size_t>(part)] ? std::max(most, rank_of(shape, part)) : most;
  }
  return most == 0 ? shape.lora_rank : most;
}

/// The labels of a fused tensor, row by row.
Cells fused(const QkvGeometry& g, FusedOrder order) {
  Cells cells;
  const std::int64_t q_rows = g.head_dim * g.q_multiplier;
  const auto head = [&](int part, std::int64_t number, std::int64_t rows, std::int64_t begin = 0,
                        std::int64_t end = -1) {
    for (std::int64_t i = begin; i < (end < 0 ? rows : end); ++i) {
      cells.push_back({'w', -1, part, number * rows + i, -1});
    }
  };
  const bool halves = order == FusedOrder::per_group_halves;
  const std::int64_t H = g.num_attention_heads;
  const std::int64_t KV = g.num_key_value_heads;
  const std::int64_t groups = order == FusedOrder::blocks ? 1 : KV;
  for (std::int64_t group = 0; group < groups; ++group) {
    for (std::int64_t half = 0; half < (halves ? g.q_multiplier : 1); ++half) {
      for (std::int64_t i = 0; i < H / groups; ++i) {
        const std::int64_t begin = halves ? half * g.head_dim : 0;
        head(0, group * (H / groups) + i, q_rows, begin, halves ? begin + g.head_dim : -1);
      }
    }
    for (std::int64_t i = 0; i < KV / groups; ++i) {
      head(1, group * (KV / groups) + i, g.head_dim);
    }
    for (std::int64_t i = 0; i < KV / groups; ++i) {
      head(2, group * (KV / groups) + i, g.v_head_dim);
    }
  }
  return cells;
}

/// What really stands in the tensor that a fused source reads.
FusedOrder real_order(const QkvGeometry& g, FusedOrder assumed, FusedBy by) {
  if (by == FusedBy::engine) {
    return assumed;
  }
  return g.fused_order == RowOrder::blocks ? FusedOrder::blocks : FusedOrder::per_group;
}

Cells source(const QkvGeometry& g, Source from, FusedOrder order) {
  Cells all = fused(g, from == Source::fused ? order : FusedOrder::blocks);
  if (from != Source::fused) {
    std::erase_if(all, [&](const Cell& cell) { return cell.part != static_cast<int>(from); });
  }
  return all;
}

class Rank {
 public:
  Rank(const Contract& contract, const LayoutCase& input, std::int64_t tp_rank)
      : c(contract), in(input), g(input.geometry) {
    values.assign(static_cast<std::size_t>(c.value_count), 0);
    const SymbolValues given = symbol_values(g, in.deployment);
    std::copy(given.begin(), given.end(), values.begin());
    values[symbol::tp_rank] = values[symbol::t] = tp_rank;
    build();
  }

  std::int64_t eval(const Formula& f, Verdict otherwise) {
    const auto result = f.evaluate(values);
    if (!result) {
      throw Stop{otherwise, Law::check, f.is_undefined(values)};
    }
    return *result;
  }

  void step(const PoolStep& step);

  const Contract& c;
  const LayoutCase& in;
  const QkvGeometry& g;
  std::vector<std::int64_t> values;
  std::set<int> unknown;  // lets that have no value
  std::int64_t T = 1, t = 0, q0 = 0, qn = 0, k0 = 0, kn = 0;
  Cells columns;
  std::vector<std::int64_t> view;  // columns in the order in which attention looks at them
  std::vector<std::int64_t> b_rows, a_rows;
  std::map<std::tuple<int, std::int64_t>, std::vector<Cells>> b;  // (buffer, slot): [row][col]
  std::map<std::tuple<int, std::int64_t>, Cells> a;               // (buffer, slot): [row]
  struct Launch {
    std::int64_t a, b, a_at, b_at, out, rows, depth, b_stride;
  };
  std::map<int, std::vector<Launch>> launches;                     // by adapter
  std::map<int, AdapterShape> shapes;                              // as rescales leave them
  std::map<int, std::map<Source, Cells>> host_b, host_a;           // where cut in place
  std::map<int, std::vector<std::array<long double, 3>>> factors;  // by adapter: of each use
  const AdapterShape* current = nullptr;                           // of the step at hand

 private:
  /// What the copies bring to each buffer, and where the last of it ends.
  struct Slices {
    explicit Slices(std::size_t buffers) : rows(buffers), extent(buffers, 0) {}
    std::vector<Cells> rows;
    std::vector<std::int64_t> extent;
  };
  void take_shape(const PoolStep& step);
  std::vector<Launch> kernel();
  std::array<long double, 3> scaling();
  void check_fit(const AdapterShape& shape, const Slices& b_slices, const Slices& a_slices) const;
  void store(int number, std::int64_t slot, const Slices& b_slices, const Slices& a_slices);

  /// The lets of some phases, in order. Returns why the first one without a value has none.
  std::optional<Stop> lets(std::initializer_list<Phase> phases, Verdict otherwise) {
    std::optional<Stop> stop;
    for (const Phase phase : phases) {
      for (const Let& let : c.lets) {
        if (let.phase != phase) {
          continue;
        }
        if (!stop) {
          try {
            values[static_cast<std::size_t>(let.symbol)] = eval(let.formula, otherwise);
            continue;
          } catch (const Stop& why) {
            stop = why;
          }
        }
        unknown.insert(let.symbol);
      }
    }
    return stop;
  }

  void checks(Check::When when, Verdict unnamed) {
    for (const Check& check : c.checks) {
      const auto& used = check.that.used_symbols();
      if (check.when != when || std::any_of(used.begin(), used.end(), [&](const auto& each) {
            return unknown.count(each.symbol) != 0;
          })) {
        continue;
      }
      const bool refused = check.otherwise == Check::Else::refused;
      if (eval(check.that, refused ? Verdict::refused : unnamed) == 0) {
        throw Stop{refused ? Verdict::refused : Verdict::crash, Law::check, false};
      }
    }
  }

  void build() {
    const auto stop = lets({Phase::deployment, Phase::tp_rank}, Verdict::refused);
    checks(Check::When::build, Verdict::refused);
    if (stop) {
      throw Stop(*stop);
    }
    T = values[symbol::T];
    t = values[symbol::t];
    q0 = eval(c.owns.first_q, Verdict::refused);
    qn = eval(c.owns.q_heads, Verdict::refused);
    k0 = eval(c.owns.first_kv, Verdict::refused);
    kn = eval(c.owns.kv_heads, Verdict::refused);
    std::vector<Cells> out(1);
    std::vector<std::int64_t> extent(1, 0);
    copies(c.weight.copies, real_order(g, c.weight.order, c.weight.fused_by), c.weight.past_end,
           out, extent, Verdict::refused, nullptr, false);
    columns = out[0];
    columns.resize(static_cast<std::size_t>(extent[0]));
    for (const ViewCopy& copy : c.view.copies) {
      loops(copy.loops, 0, Verdict::refused, [&] {
        const std::int64_t from = eval(copy.from, Verdict::refused);
        const std::int64_t rows = eval(copy.rows, Verdict::refused);
        if (from < 0 || rows < 0 || from > kFar || rows > kFar) {
          throw Stop{Verdict::refused, Law::check, from < 0 || rows < 0};
        }
        for (std::int64_t i = 0; i < rows; ++i) {
          view.push_back(from + i);
        }
      });
    }
    if (T < 1 || t < 0 || t >= T) {
      throw Stop{Verdict::refused, Law::check, false};
    }
    for (auto [buffers, rows] :
         {std::pair{&c.lora_b.buffers, &b_rows}, {&c.lora_a.buffers, &a_rows}}) {
      for (const Buffer& buffer : *buffers) {
        rows->push_back(eval(buffer.rows, Verdict::crash));
        if (rows->back() < 0 || rows->back() > kFar) {
          throw Stop{Verdict::crash, Law::check, false};
        }
      }
    }
    for (std::int64_t slot = 0; slot < in.deployment.slots; ++slot) {
      fill(slot, Cell{c.pool.fresh == PoolFresh::zero ? '0' : '.', -1, -1, -1, -1});
    }
  }

  void clear(std::int64_t slot) { fill(slot, Cell{'0', -1, -1, -1, -1}); }

  void fill(std::int64_t slot, const Cell& with) {
    for (std::size_t i = 0; i < b_rows.size(); ++i) {
      b[{static_cast<int>(i), slot}] =
          std::vector<Cells>(static_cast<std::size_t>(b_rows[i]),
                             Cells(static_cast<std::size_t>(in.deployment.max_lora_rank), with));
    }
    for (std::size_t i = 0; i < a_rows.size(); ++i) {
      a[{static_cast<int>(i), slot}] = Cells(static_cast<std::size_t>(a_rows[i]), with);
    }
  }

  /// Walks the loops of an entry, calling body once for each combination.
  template <class Body>
  void loops(const std::vector<Loop>& list, std::size_t level, Verdict otherwise,
             const Body& body) {
    if (level == list.size()) {
      return body();
    }
    const std::int64_t count = eval(list[level].count, otherwise);
    for (std::int64_t i = 0; i < count; ++i) {
      values[static_cast<std::size_t>(list[level].symbol)] = i;
      loops(list, level + 1, otherwise, body);
    }
  }

  /// No shape: of weights. Else of an adapter's A or B.
  void copies(const std::vector<Copy>& list, FusedOrder order, PastEnd past_end,
              std::vector<Cells>& out, std::vector<std::int64_t>& extent, Verdict otherwise,
              const AdapterShape* shape, bool is_a, std::map<Source, Cells>* host = nullptr) {
    std::map<Source, Cells> taken;
    for (const Copy& copy : list) {
      loops(copy.loops, 0, otherwise, [&] {
        const auto buffer = static_cast<std::size_t>(copy.buffer);
        const std::int64_t from = eval(copy.from, otherwise);
        const std::int64_t rows = eval(copy.rows, otherwise);
        const std::int64_t to = copy.at ? eval(*copy.at, otherwise) : extent[buffer];
        if (rows < 0 || to < 0 || rows > kFar || to > kFar || from > kFar || from < -kFar) {
          throw Stop{otherwise, Law::check, rows < 0 || to < 0};
        }
        Cells tensor;
        if (shape == nullptr) {
          tensor = source(g, copy.source, order);
        } else if (is_a) {
          const int part = copy.source == Source::shared ? 3 : static_cast<int>(copy.source);
          const std::int64_t own =
              part == 3 ? 0 : shape->part_ranks[static_cast<std::size_t>(part)];
          for (std::int64_t i = 0; i < (own == 0 ? shape->lora_rank : own); ++i) {
            tensor.push_back({'a', -1, part, i, -1});
          }
        } else if (shape->part_rows == std::array<std::int64_t, 3>{}) {
          tensor = source(g, copy.source, order);
        } else {
          for (int part = 0; part < 3; ++part) {
            const std::int64_t own = shape->part_rows[static_cast<std::size_t>(part)];
            const std::int64_t rows_of_part = own == 0 ? g.rows(static_cast<Part>(part)) : own;
            for (std::int64_t i = 0; i < rows_of_part; ++i) {
              if (copy.source == Source::fused || static_cast<int>(copy.source) == part) {
                tensor.push_back({'w', -1, part, i, -1});
              }
            }
          }
        }
        if (host != nullptr && host->count(copy.source) != 0) {
          tensor = host->at(copy.source);
        }
        const auto size = static_cast<std::int64_t>(tensor.size());
        std::int64_t at = to;
        for (std::int64_t i = from; i < from + rows; ++i) {
          const bool inside = i >= 0 && i < size;
          if (!inside && past_end == PastEnd::error) {
            throw Stop{otherwise, Law::check, false};
          }
          if (!inside && past_end == PastEnd::clip) {
            continue;
          }
          auto& cells = out[buffer];
          if (static_cast<std::int64_t>(cells.size()) <= at) {
            cells.resize(static_cast<std::size_t>(at) + 1);
          }
          cells[static_cast<std::size_t>(at)] =
              inside ? tensor[static_cast<std::size_t>(i)] : Cell{'0', -1, -1, -1, -1};
          taken[copy.source].push_back(cells[static_cast<std::size_t>(at)]);
          ++at;
        }
        taken[copy.source];  // nothing of it, perhaps
        extent[buffer] = std::max(extent[buffer], at);
      });
    }
    if (host != nullptr && c.pool.cut == PoolCut::in_place) {
      *host = std::move(taken);
    }
  }
};

void Rank::step(const PoolStep& step) {
  const int number = step.adapter;
  if (step.kind == PoolStep::Kind::evict) {
    return;
  }
  take_shape(step);
  for (const Let& let : c.lets) {
    if (let.phase == Phase::adapter) {
      unknown.erase(let.symbol);
    }
  }
  const auto stop = lets({Phase::adapter}, Verdict::crash);
  checks(Check::When::load, Verdict::crash);
  if (stop) {
    throw Stop(*stop);
  }
  if (step.kind == PoolStep::Kind::rescale) {  // rows stay as they are, numbers are looked up again
    const auto factor = scaling();
    if (c.pool.scale == PoolScale::table) {
      factors[number] = {factor};
    }
    return;
  }
  Slices b_slices(b_rows.size());
  Slices a_slices(a_rows.size());
  copies(c.lora_b.copies, real_order(g, c.lora_b.order, c.lora_b.fused_by), c.lora_b.past_end,
         b_slices.rows, b_slices.extent, Verdict::crash, &shapes[number], false, &host_b[number]);
  copies(c.lora_a.copies, FusedOrder::blocks, c.lora_a.past_end, a_slices.rows, a_slices.extent,
         Verdict::crash, &shapes[number], true, &host_a[number]);
  launches[number] = kernel();
  const auto one = scaling();
  auto& factor = factors[number];
  if (c.pool.scale != PoolScale::cache) {
    factor.clear();
  }
  factor.push_back(one);
  check_fit(shapes[number], b_slices, a_slices);
  store(number, step.slot, b_slices, a_slices);
}

/// What the step says of its adapter, and the symbols that follow.
void Rank::take_shape(const PoolStep& step) {
  const int number = step.adapter;
  shapes.try_emplace(number, in.adapters[static_cast<std::size_t>(number)]);
  if (step.kind == PoolStep::Kind::rescale) {
    shapes[number].lora_alpha = step.lora_alpha * shapes[number].alpha_unit;
  }
  if (step.kind == PoolStep::Kind::load) {
    host_b.erase(number);
    host_a.erase(number);
    factors.erase(number);
  }
  const AdapterShape& shape = shapes[number];
  current = &shape;
  values[symbol::r] = shape.lora_rank;
  values[symbol::alpha] = shape.lora_alpha;
  values[symbol::alpha_unit] = shape.alpha_unit;
  values[symbol::rslora] = shape.rslora ? 1 : 0;
  for (std::size_t part = 0; part < 3; ++part) {
    values[symbol::has_q + part] = shape.targets[part] ? 1 : 0;
    values[symbol::r_q + part] =
        shape.part_ranks[part] == 0 ? shape.lora_rank : shape.part_ranks[part];
    values[symbol::rows_q + part] =
        shape.part_rows[part] == 0 ? g.rows(static_cast<Part>(part)) : shape.part_rows[part];
  }
}

std::vector<Rank::Launch> Rank::kernel() {
  std::vector<Launch> all;
  for (const KernelEntry& entry : c.kernel) {
    loops(entry.loops, 0, Verdict::crash, [&] {
      Launch one{entry.a, entry.b, 0, 0, 0, 0, 0, in.deployment.max_lora_rank};
      for (auto [field, formula] : {std::pair{&one.a_at, &entry.a_at},
                                    {&one.b_at, &entry.b_at},
                                    {&one.out, &entry.out},
                                    {&one.rows, &entry.rows},
                                    {&one.depth, &entry.depth}}) {
        *field = eval(*formula, Verdict::crash);
      }
      if (entry.b_stride) {
        one.b_stride = eval(*entry.b_stride, Verdict::crash);
      }
      for (const std::int64_t n :
           {one.a_at, one.b_at, one.out, one.rows, one.depth, one.b_stride}) {
        if (n < 0 || n > kFar) {
          throw Stop{Verdict::crash, Law::check, n < 0};
        }
      }
      all.push_back(one);
    });
  }
  return all;
}

/// Of each part.
std::array<long double, 3> Rank::scaling() {
  std::array<long double, 3> factor = {};
  const AdapterShape& shape = *current;
  for (std::size_t part = 0; part < 3; ++part) {
    values[symbol::part_r] = shape.part_ranks[part] == 0 ? shape.lora_rank : shape.part_ranks[part];
    values[symbol::part_alpha] =
        shape.part_alphas[part] == 0 ? shape.lora_alpha : shape.part_alphas[part];
    const std::int64_t num = eval(c.scaling_numerator, Verdict::crash);
    const std::int64_t den = eval(c.scaling_denominator, Verdict::crash);
    const std::int64_t root = c.scaling_root ? eval(*c.scaling_root, Verdict::crash) : 1;
    if (den == 0 || root <= 0) {
      throw Stop{Verdict::crash, Law::check, true};
    }
    factor[part] = static_cast<long double>(num) / static_cast<long double>(shape.alpha_unit) /
                   static_cast<long double>(den) / std::sqrt(static_cast<long double>(root));
  }
  return factor;
}

void Rank::check_fit(const AdapterShape& shape, const Slices& b_slices,
                     const Slices& a_slices) const {
  bool fits = widest(shape) <= in.deployment.max_lora_rank;
  for (std::size_t i = 0; i < b_rows.size(); ++i) {
    const std::int64_t extent = b_slices.extent[i];
    fits = fits && (c.lora_b.fit == Fit::exact ? extent == b_rows[i] : extent <= b_rows[i]);
  }
  for (std::size_t i = 0; i < a_rows.size(); ++i) {
    fits = fits && static_cast<std::int64_t>(a_slices.rows[i].size()) <= a_rows[i];
  }
  if (!fits) {
    throw Stop{Verdict::crash, Law::fit, false};
  }
}

void Rank::store(int number, std::int64_t slot, const Slices& b_slices, const Slices& a_slices) {
  const AdapterShape& shape = shapes[number];
  const Cell zero{'0', -1, -1, -1, -1};
  if (c.pool.clear == PoolClear::slot) {
    clear(slot);
  }
  const auto stored = [&](Cell cell) -> std::optional<Cell> {
    if (cell.kind == '.') {
      return std::nullopt;
    }
    if (cell.kind == '0' || cell.part == 3 || shape.targets[static_cast<std::size_t>(cell.part)]) {
      cell.adapter = cell.kind == '0' ? -1 : number;
      return cell;
    }
    return c.pool.absent == PoolAbsent::zero ? std::optional(zero) : std::nullopt;
  };
  for (std::size_t i = 0; i < b_rows.size(); ++i) {
    auto& rows = b[{static_cast<int>(i), slot}];
    for (std::size_t row = 0; row < b_slices.rows[i].size(); ++row) {
      const Cell& what = b_slices.rows[i][row];
      const bool own = what.kind == 'w' && shape.targets[static_cast<std::size_t>(what.part)] &&
                       shape.part_ranks[static_cast<std::size_t>(what.part)] != 0;
      const std::int64_t columns_of_row =
          own ? shape.part_ranks[static_cast<std::size_t>(what.part)]
              : std::min(shape.lora_rank, widest(shape));
      for (std::int64_t col = 0; col < columns_of_row; ++col) {
        if (auto cell = stored(what)) {
          if (cell->kind != '0') {
            cell->kind = 'b';
            cell->col = col;
          }
          rows[row][static_cast<std::size_t>(col)] = *cell;
        }
      }
    }
    if (c.pool.clear == PoolClear::tail) {
      for (Cells& row : rows) {
        std::fill(row.begin() + widest(shape), row.end(), zero);
      }
    }
  }
  for (std::size_t i = 0; i < a_rows.size(); ++i) {
    for (std::size_t row = 0; row < a_slices.rows[i].size(); ++row) {
      if (const auto cell = stored(a_slices.rows[i][row])) {
        a[{static_cast<int>(i), slot}][row] = *cell;
      }
    }
  }
}

/// One attention group and everything that is wrong in it.
class Group {
 public:
  Group(const Contract& contract, const LayoutCase& input, std::vector<Rank*> ranks,
        std::set<Law>& broken)
      : c_(contract), in_(input), g_(input.geometry), ranks_(std::move(ranks)), broken_(broken) {}

  void check(const std::vector<LiveAdapter>& live) {
    if (heads_exist()) {
      owners();
      for (const Rank* rank : ranks_) {
        pairing(*rank);
      }
      set_due();
      views();
    } else {
      broken_.insert(Law::cover);
    }
    for (const Rank* rank : ranks_) {
      for (const LiveAdapter& one : idle(*rank) ? std::vector<LiveAdapter>() : live) {
        delta(*rank, one);
      }
    }
    // Ranks that gather all outputs look at the same columns.
    for (std::size_t i = 1; i < ranks_.size() && c_.view.gather == ViewGather::none; ++i) {
      if (!idle(*ranks_[i]) && !idle(*ranks_[i - 1]) &&
          first_kv(*ranks_[i]) == first_kv(*ranks_[i - 1]) &&
          replica(*ranks_[i]) != replica(*ranks_[i - 1])) {
        broken_.insert(Law::agreement);
      }
    }
  }

 private:
  /// No query head here, and no other rank looks at this one's output.
  bool idle(const Rank& r) const { return c_.view.gather == ViewGather::none && r.qn == 0; }

  bool heads_exist() const {
    const std::int64_t H = g_.num_attention_heads, KV = g_.num_key_value_heads;
    return std::all_of(ranks_.begin(), ranks_.end(), [&](const Rank* r) {
      return r->q0 >= 0 && r->qn >= 0 && r->q0 + r->qn <= H && r->k0 >= 0 && r->kn >= 0 &&
             r->k0 + r->kn <= KV;
    });
  }

  void owners() {
    const std::int64_t run = g_.num_attention_heads / g_.num_key_value_heads;
    for (std::int64_t head = 0; head < g_.num_attention_heads; ++head) {
      if (std::count_if(ranks_.begin(), ranks_.end(), [&](const Rank* r) {
            return r->q0 <= head && head < r->q0 + r->qn;
          }) != 1) {
        broken_.insert(Law::cover);
      }
    }
    for (std::int64_t kv = 0; kv < g_.num_key_value_heads; ++kv) {
      std::int64_t have = 0, need = 0;
      for (const Rank* r : ranks_) {
        have += r->qn > 0 && r->k0 <= kv && kv < r->k0 + r->kn ? 1 : 0;
        bool uses = false;
        for (std::int64_t head = r->q0; head < r->q0 + r->qn; ++head) {
          uses = uses || head / run == kv;
        }
        need += uses ? 1 : 0;
      }
      if (have != need) {
        broken_.insert(Law::cover);
      }
    }
  }

  /// Local query head i uses local KV head i // (local q heads / local KV heads).
  void pairing(const Rank& r) {
    const std::int64_t run = g_.num_attention_heads / g_.num_key_value_heads;
    if (r.qn == 0) {
      return;
    }
    if (r.kn == 0 || r.qn % r.kn != 0) {
      broken_.insert(Law::pairing);
      return;
    }
    for (std::int64_t i = 0; i < r.qn; ++i) {
      if ((r.q0 + i) / run != r.k0 + i / (r.qn / r.kn)) {
        broken_.insert(Law::pairing);
      }
    }
  }

  /// The KV head of a rank's first query head.
  std::int64_t first_kv(const Rank& r) const {
    return r.q0 / (g_.num_attention_heads / g_.num_key_value_heads);
  }

  /// The columns a rank's attention expects, by the contract's view: query heads, and the KV heads
  /// that these belong to.
  Cells local_view(const Rank& r) const {
    Cells cells;
    const auto put = [&](int part, std::int64_t first, std::int64_t heads) {
      const std::int64_t rows = part == 0   ? g_.head_dim * g_.q_multiplier
                                : part == 1 ? g_.head_dim
                                            : g_.v_head_dim;
      if (part == 0 && g_.q_multiplier == 2 && c_.view.order == FusedOrder::per_group_halves) {
        for (std::int64_t half = 0; half < 2; ++half) {
          for (std::int64_t head = first; head < first + heads; ++head) {
            for (std::int64_t i = 0; i < g_.head_dim; ++i) {
              cells.push_back({'w', -1, 0, head * rows + half * g_.head_dim + i, -1});
            }
          }
        }
        return;
      }
      for (std::int64_t i = first * rows; i < (first + heads) * rows; ++i) {
        cells.push_back({'w', -1, part, i, -1});
      }
    };
    std::set<std::int64_t> kv_heads;
    for (std::int64_t head = r.q0; head < r.q0 + r.qn; ++head) {
      kv_heads.insert(head / (g_.num_attention_heads / g_.num_key_value_heads));
    }
    const auto kn = static_cast<std::int64_t>(kv_heads.size());
    const std::int64_t k0 = kv_heads.empty() ? 0 : *kv_heads.begin();
    const std::int64_t groups = c_.view.order != FusedOrder::blocks && kn > 0 ? kn : 1;
    for (std::int64_t i = 0; i < groups; ++i) {
      put(0, r.q0 + i * (r.qn / groups), r.qn / groups);
      put(1, k0 + i * (kn / groups), kn / groups);
      put(2, k0 + i * (kn / groups), kn / groups);
    }
    return cells;
  }

  /// Cells by place in attention's order -> cells by column.
  Cells by_column(const Rank& r, const Cells& by_place) const {
    if (c_.view.copies.empty()) {
      return by_place;
    }
    Cells cells(by_place.size());
    std::size_t place = 0;
    for (const std::int64_t column : r.view) {
      cells.resize(std::max(cells.size(), static_cast<std::size_t>(column) + 1));
      if (place < by_place.size()) {
        cells[static_cast<std::size_t>(column)] = by_place[place];
      }
      ++place;
    }
    for (; place < by_place.size(); ++place) {
      cells[place] = by_place[place];
    }
    return cells;
  }

  /// What must stand in each rank's columns; what lies behind the last rank's is its own to miss.
  void set_due() {
    const Cells all = by_column(*ranks_.front(), fused(g_, c_.view.order));
    std::size_t begin = 0;
    for (const Rank* r : ranks_) {
      Cells& due = due_[r];
      if (c_.view.gather == ViewGather::none) {
        due = by_column(*r, local_view(*r));
      } else {
        const std::size_t end = r == ranks_.back() ? all.size() : begin + r->columns.size();
        due.assign(all.begin() + static_cast<std::ptrdiff_t>(std::min(begin, all.size())),
                   all.begin() + static_cast<std::ptrdiff_t>(std::max(std::min(begin, all.size()),
                                                                      std::min(end, all.size()))));
        begin += r->columns.size();
      }
      for (std::size_t i = 0; i < due.size(); ++i) {
        seen_[r].push_back({-1, due[i], -1, {}, i < r->columns.size() ? r->columns[i] : Cell{}});
      }
      due.resize(r->columns.size());
    }
  }

  void views() {
    if (c_.view.gather == ViewGather::none) {
      for (const Rank* r : ranks_) {
        if (!idle(*r) && (r->columns != due_.at(r) || local_view(*r).size() != r->columns.size())) {
          broken_.insert(Law::cover);
        }
      }
      return;
    }
    Cells all;
    for (const Rank* r : ranks_) {
      all.insert(all.end(), r->columns.begin(), r->columns.end());
    }
    if (all != by_column(*ranks_.front(), fused(g_, c_.view.order))) {
      broken_.insert(Law::cover);
    }
  }

  /// Everything that reaches the outputs of the first KV head due to a rank, in no order.
  std::vector<std::tuple<int, Cell, std::int64_t, Cell, Cell>> replica(const Rank& r) {
    auto all = seen_[&r];
    std::erase_if(all, [&](const auto& entry) {
      const Cell& base = std::get<1>(entry);
      const std::int64_t rows = base.part == 1 ? g_.head_dim : g_.v_head_dim;
      return base.part == 0 || base.row / rows != first_kv(r);
    });
    std::sort(all.begin(), all.end());
    return all;
  }

  /// A row `index` as this rank's kernels see it.
  Cell a_cell(const Rank& r, std::int64_t buffer, std::int64_t slot, std::int64_t index) const {
    Cells seen;
    for (const Rank* peer : ranks_) {
      if (c_.lora_a.gather == Gather::tp || peer == &r) {
        const Cells& cells = peer->a.at({static_cast<int>(buffer), slot});
        seen.insert(seen.end(), cells.begin(), cells.end());
      }
    }
    return index < static_cast<std::int64_t>(seen.size()) ? seen[static_cast<std::size_t>(index)]
                                                          : Cell{};
  }

  /// Whether row `index` of the slot's A, behind the slot's end, is outside the pool or holds
  /// nothing that was ever written.
  bool unknown_past(const Rank& r, std::int64_t buffer, std::int64_t slot,
                    std::int64_t index) const {
    const std::int64_t rows = r.a_rows[static_cast<std::size_t>(buffer)];
    const std::int64_t address = slot * rows + index;
    if (rows == 0 || address >= rows * in_.deployment.slots) {
      return true;
    }
    const Cells& cells = r.a.at({static_cast<int>(buffer), address / rows});
    return cells[static_cast<std::size_t>(address % rows)].kind == '.';
  }

  void delta(const Rank& r, const LiveAdapter& live) {
    std::vector<int> deltas(r.columns.size(), 0);
    bool foreign = false;
    for (std::size_t part = 0; part < 3; ++part) {
      const std::int64_t own_rows = live.shape.part_rows[part];
      foreign = foreign || (live.shape.targets[part] && own_rows != 0 &&
                            own_rows != g_.rows(static_cast<Part>(part)));
    }
    if (foreign) {  // nobody can say what is due
      broken_.insert(Law::fit);
      return;
    }
    for (std::size_t part = 0; part < 3; ++part) {
      if (live.shape.targets[part]) {
        const std::int64_t own_alpha = live.shape.part_alphas[part];
        const std::int64_t own_rank = live.shape.part_ranks[part];
        const auto lora_rank =
            static_cast<long double>(own_rank == 0 ? live.shape.lora_rank : own_rank);
        long double over =
            (live.shape.rslora ? std::sqrt(lora_rank) : lora_rank) *
            static_cast<long double>(live.shape.alpha_unit) /
            static_cast<long double>(own_alpha == 0 ? live.shape.lora_alpha : own_alpha);
        for (const auto& factor : r.factors.at(live.adapter)) {
          over *= factor[part];
        }
        if (std::abs(over - 1) > 1e-9L) {
          broken_.insert(Law::scaling);
        }
      }
    }
    Cells due = due_[&r];
    due.resize(r.columns.size());
    for (const Rank::Launch& one : r.launches.at(live.adapter)) {
      for (std::int64_t i = 0; i < one.rows; ++i) {
        const std::int64_t column = one.out + i;
        if (column >= static_cast<std::int64_t>(r.columns.size())) {
          broken_.insert(Law::bounds);
          break;
        }
        ++deltas[static_cast<std::size_t>(column)];
        if (due[static_cast<std::size_t>(column)].kind == 'w') {
          column_delta(r, live, one, due[static_cast<std::size_t>(column)], one.b_at + i);
        }
      }
    }
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const Cell& base = due[i];
      if (base.kind == 'w' && live.shape.targets[static_cast<std::size_t>(base.part)] &&
          deltas[i] != 1) {
        broken_.insert(Law::identity);
      }
    }
  }

  void column_delta(const Rank& r, const LiveAdapter& live, const Rank::Launch& one,
                    const Cell& base, std::int64_t b_row) {
    const std::int64_t rows = r.b_rows[static_cast<std::size_t>(one.b)];
    const std::int64_t R = in_.deployment.max_lora_rank;
    const bool strided = one.b_stride != R;
    const std::int64_t wanted = live.shape.targets[static_cast<std::size_t>(base.part)]
                                    ? rank_of(live.shape, base.part)
                                    : 0;
    if (one.depth < wanted) {
      broken_.insert(Law::identity);
    }
    for (std::int64_t q = 0; q < one.depth; ++q) {
      // In elements of the whole tensor; with its own stride a row has no end of its own.
      const std::int64_t element = live.slot * rows * R + b_row * one.b_stride + q;
      const std::int64_t address = strided ? element / R : live.slot * rows + b_row;
      const std::int64_t col = strided ? element % R : q;
      const std::int64_t slot = rows == 0 ? in_.deployment.slots : address / rows;
      if (slot != live.slot || col >= R) {
        broken_.insert(Law::bounds);
        const bool outside = slot >= in_.deployment.slots || col >= R;
        seen_[&r].push_back({live.adapter,
                             base,
                             q,
                             {},
                             outside
                                 ? Cell{'x'}
                                 : r.b.at({static_cast<int>(one.b), slot})[static_cast<std::size_t>(
                                       address % rows)][static_cast<std::size_t>(col)]});
        continue;
      }
      const Cell a = a_cell(r, one.a, live.slot, one.a_at + q);
      const Cell& b =
          r.b.at({static_cast<int>(one.b),
                  slot})[static_cast<std::size_t>(address % rows)][static_cast<std::size_t>(col)];
      const bool a_past = c_.lora_a.gather == Gather::none &&
                          one.a_at + q >= r.a_rows[static_cast<std::size_t>(one.a)];
      if (a_past &&
          (q < wanted ? b == Cell{'b', live.adapter, base.part, base.row, q}
                      : b.kind != '0' || unknown_past(r, one.a, live.slot, one.a_at + q))) {
        broken_.insert(Law::bounds);
        seen_[&r].push_back({live.adapter, base, q, {'x'}, b});
        continue;
      }
      const bool unknown = a.kind == '.' || b.kind == '.';
      if (unknown || (a.kind != '0' && b.kind != '0')) {
        seen_[&r].push_back({live.adapter, base, q, a, b});
      }
      const Cell want_a{'a', live.adapter, live.shape.shared_a ? 3 : base.part, q, -1};
      const Cell want_b{'b', live.adapter, base.part, base.row, q};
      if (q < wanted && (a != want_a || b != want_b)) {
        const Cell& wrong = b == want_b ? a : b;
        const bool others = wrong.adapter >= 0 && wrong.adapter != live.adapter;
        broken_.insert(others || wrong.kind == '.' ? Law::residue : Law::identity);
      }
      if (q >= wanted && !a_past && (unknown || (a.kind != '0' && b.kind != '0'))) {
        broken_.insert(Law::residue);
      }
    }
  }

  const Contract& c_;
  const LayoutCase& in_;
  const QkvGeometry& g_;
  std::vector<Rank*> ranks_;
  std::set<Law>& broken_;
  std::map<const Rank*, Cells> due_;
  /// By rank: adapter, base label, lora_rank index (-1: the base alone), A cell, B cell.
  std::map<const Rank*, std::vector<std::tuple<int, Cell, std::int64_t, Cell, Cell>>> seen_;
};

}  // namespace

BruteResult brute_force(const Contract& contract, const LayoutCase& input) {
  BruteResult result;
  std::vector<Rank> ranks;
  ranks.reserve(static_cast<std::size_t>(input.deployment.tp_size));
  bool failed = false;
  const auto stopped = [&](const Stop& stop) {
    result.verdict = std::max(result.verdict, stop.verdict);
    result.bad_contract = result.bad_contract || stop.undefined;
    failed = true;
  };
  for (std::int64_t rank = 0; rank < input.deployment.tp_size; ++rank) {
    try {
      ranks.emplace_back(contract, input, rank);
    } catch (const Stop& stop) {
      stopped(stop);
      continue;
    }
    bool one_failed = false;
    for (const PoolStep& step : input.steps) {
      if (one_failed) {
        continue;
      }
      try {
        ranks.back().step(step);
      } catch (const Stop& stop) {
        stopped(stop);
        one_failed = true;
      }
    }
  }
  if (failed) {
    return result;
  }
  const std::int64_t T = ranks.front().T;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (static_cast<std::int64_t>(ranks.size()) % T != 0 || ranks[rank].T != T ||
        ranks[rank].t != static_cast<std::int64_t>(rank) % T) {
      result.verdict = Verdict::refused;
      return result;
    }
  }
  for (std::size_t first = 0; first < ranks.size(); first += static_cast<std::size_t>(T)) {
    std::vector<Rank*> group;
    std::size_t width = 0;
    for (std::size_t i = first; i < first + static_cast<std::size_t>(T); ++i) {
      group.push_back(&ranks[i]);
      width += ranks[i].columns.size();
    }
    for (const Rank* rank : group) {
      std::vector<std::int64_t> view = rank->view;
      std::sort(view.begin(), view.end());
      bool whole =
          view.size() == (contract.view.gather == ViewGather::all ? width : rank->columns.size());
      for (std::size_t i = 0; i < view.size(); ++i) {
        whole = whole && view[i] == static_cast<std::int64_t>(i);
      }
      whole = whole && (contract.view.gather == ViewGather::none || rank->view == group[0]->view);
      if (!contract.view.copies.empty() && !whole) {
        result.verdict = Verdict::refused;
        result.bad_contract = true;
        return result;
      }
    }
    Group(contract, input, group, result.broken)
        .check(live_adapters(input.adapters, input.steps, contract.pool.lookup));
  }
  result.verdict = result.broken.empty() ? Verdict::consistent : Verdict::silent;
  return result;
}

}  // namespace tplora::test
