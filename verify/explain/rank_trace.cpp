#include "verify/explain/rank_trace.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/contract/symbols.hpp"

namespace tplora::core {
namespace {

/// No number of rows or columns is larger; what is, is left out.
constexpr std::int64_t kFar = std::int64_t{1} << 40;

class Tracer {
 public:
  Tracer(const Contract& contract, const AdapterShape& adapter, RankTrace& trace)
      : contract_(contract), adapter_(adapter), trace_(trace) {}

  void run() {
    for (const Let& let : contract_.lets) {
      if (const auto value = let.formula.evaluate(trace_.values)) {
        trace_.values[static_cast<std::size_t>(let.symbol)] = *value;
      }
    }
    trace_.heads.first_q = value_of(contract_.owns.first_q).value_or(0);
    trace_.heads.q_heads = value_of(contract_.owns.q_heads).value_or(0);
    trace_.heads.first_kv = value_of(contract_.owns.first_kv).value_or(0);
    trace_.heads.kv_heads = value_of(contract_.owns.kv_heads).value_or(0);
    copies(contract_.weight.copies, 1, trace_.weight);
    copies(contract_.lora_b.copies, contract_.lora_b.buffers.size(), trace_.b);
    copies(contract_.lora_a.copies, contract_.lora_a.buffers.size(), trace_.a);
    for (const Buffer& buffer : contract_.lora_b.buffers) {
      trace_.b_rows.push_back(value_of(buffer.rows).value_or(0));
    }
    for (const Buffer& buffer : contract_.lora_a.buffers) {
      trace_.a_rows.push_back(value_of(buffer.rows).value_or(0));
    }
    for (std::size_t i = 0; i < contract_.kernel.size(); ++i) {
      launches(i);
    }
    for (const Part part : kParts) {
      put_part(adapter_, part, trace_.values);
      FactorTrace& factor = trace_.factors[static_cast<std::size_t>(part)];
      factor.numerator = value_of(contract_.scaling_numerator);
      factor.denominator = value_of(contract_.scaling_denominator);
      factor.root = contract_.scaling_root ? value_of(*contract_.scaling_root) : 1;
    }
  }

 private:
  [[nodiscard]] std::optional<std::int64_t> value_of(const Formula& formula) const {
    const auto value = formula.evaluate(trace_.values);
    return value && -kFar < *value && *value < kFar ? value : std::nullopt;
  }

  /// Calls `body` for each turn of the loops.
  template <class Body>
  void turns(const std::vector<Loop>& loops, Indices& indices, const Body& body) {
    if (indices.size() == loops.size()) {
      if (turns_ < kMostTurns) {
        ++turns_;
        body();
      }
      return;
    }
    const Loop& loop = loops[indices.size()];
    const std::int64_t count = value_of(loop.count).value_or(0);
    for (std::int64_t i = 0; i < count && turns_ < kMostTurns; ++i) {
      trace_.values[static_cast<std::size_t>(loop.symbol)] = i;
      indices.emplace_back(loop.symbol, i);
      turns(loops, indices, body);
      indices.pop_back();
    }
  }

  void copies(const std::vector<Copy>& list, std::size_t buffers, std::vector<CopyTurn>& result) {
    std::vector<std::int64_t> extents(buffers, 0);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Copy& copy = list[i];
      Indices indices;
      turns(copy.loops, indices, [&] {
        std::int64_t& extent = extents[static_cast<std::size_t>(copy.buffer)];
        const auto from = value_of(copy.from);
        const auto rows = value_of(copy.rows);
        const auto to = copy.at ? value_of(*copy.at) : std::optional(extent);
        if (from && rows && to && *rows >= 0 && *to >= 0) {
          result.push_back({i, indices, *from, *rows, *to});
          extent = std::max(extent, *to + *rows);
        }
      });
    }
  }

  void launches(std::size_t i) {
    const KernelEntry& entry = contract_.kernel[i];
    Indices indices;
    turns(entry.loops, indices, [&] {
      const auto a_at = value_of(entry.a_at);
      const auto b_at = value_of(entry.b_at);
      const auto out = value_of(entry.out);
      const auto rows = value_of(entry.rows);
      const auto depth = value_of(entry.depth);
      if (a_at && b_at && out && rows && depth && *rows >= 0 && *depth >= 0) {
        trace_.launches.push_back({i, indices, *a_at, *b_at, *out, *rows, *depth,
                                   entry.b_stride ? value_of(*entry.b_stride) : std::nullopt});
      }
    });
  }

  const Contract& contract_;
  const AdapterShape& adapter_;
  RankTrace& trace_;
  std::size_t turns_ = 0;
};

}  // namespace

RankTrace trace_rank(const Contract& contract, const LayoutCase& input, std::int64_t tp_rank,
                     const AdapterShape& adapter) {
  ensure(0 <= tp_rank && tp_rank < input.deployment.tp_size, "a rank of the deployment");
  RankTrace trace;
  trace.tp_rank = tp_rank;
  trace.values.assign(static_cast<std::size_t>(contract.value_count), 0);
  const SymbolValues given = symbol_values(input.geometry, input.deployment);
  std::copy(given.begin(), given.end(), trace.values.begin());
  trace.values[symbol::tp_rank] = trace.values[symbol::t] = tp_rank;
  put_adapter(adapter, trace.values);
  Tracer(contract, adapter, trace).run();
  return trace;
}

std::vector<std::int64_t> values_with_let(const Contract& contract,
                                          std::vector<std::int64_t> values, std::size_t let,
                                          std::int64_t value) {
  ensure(let < contract.lets.size(), "a let of the contract");
  values[static_cast<std::size_t>(contract.lets[let].symbol)] = value;
  for (std::size_t i = let + 1; i < contract.lets.size(); ++i) {
    if (const auto next = contract.lets[i].formula.evaluate(values)) {
      values[static_cast<std::size_t>(contract.lets[i].symbol)] = *next;
    }
  }
  return values;
}

}  // namespace tplora::core
