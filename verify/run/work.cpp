#include "verify/run/work.hpp"

#include <fmt/format.h>

#include <numeric>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

// The largest published layer at 64 tokens is near 2^36 multiplications; 2^31 floats are 8 GiB.
constexpr double kMaxMultiplications = 4398046511104.0;  // 2^42: tens of minutes
constexpr double kMaxFloats = 2147483648.0;              // 2^31
/// Multiplications of a pass over the weights that take as long as scaling one element: 0.13 ns
/// against 5.8 ns on the machine where this was measured.
constexpr double kScaling = 45;

double sum(const std::vector<std::int64_t>& rows) {
  return std::accumulate(rows.begin(), rows.end(), 0.0, [](double all, std::int64_t one) {
    return all + static_cast<double>(one);
  });
}

}  // namespace

NumericWork reference_work(const PreparedCase& item) {
  ensure(item.geometry.has_value(), "numbers are run of a layer with a qkv projection");
  const auto hidden = static_cast<double>(item.geometry->hidden_size);
  const auto rows = static_cast<double>(item.geometry->total_rows());
  const auto tokens = static_cast<double>(item.spec.tokens.size());
  double adapters = 0;
  for (const AdapterSpec& adapter : item.spec.adapters) {
    adapters += static_cast<double>(adapter.largest_rank()) * (3 * hidden + 2 * rows);
  }
  // It keeps its outputs with and without deltas.
  return {.multiplications = rows * hidden * tokens,
          .floats = tokens * (hidden + 2 * rows) + adapters};
}

NumericWork numeric_work(const LayerReport& laws) {
  const PreparedCase& item = laws.item;
  const Analysis& analysis = laws.analysis;
  ensure(item.geometry && analysis.failures.empty(), "numbers run where every rank is planned");
  const auto hidden = static_cast<double>(item.geometry->hidden_size);
  const auto rows = static_cast<double>(item.geometry->total_rows());
  const auto tokens = static_cast<double>(item.spec.tokens.size());
  double width = 0;  // of all ranks, which keep their outputs with and without deltas too
  double slot = 0;
  for (const RankState& rank : analysis.ranks) {
    width += static_cast<double>(rank.build.width);
    slot += sum(rank.build.a_rows) * hidden +
            sum(rank.build.b_rows) * static_cast<double>(item.spec.max_lora_rank);
  }
  // What the steps put into slots: A and B, the latter once for each factor; and zeros before.
  const double cleared = item.contract->pool.clear == PoolClear::slot ? slot : 0;
  double staged = 0;
  for (int event = 0; event < static_cast<int>(analysis.events.size()); ++event) {
    const PoolEvent& one = analysis.events[static_cast<std::size_t>(event)];
    const auto factors =
        scaling_events(item.contract->pool.scale, analysis.events, event, event).size();
    const auto lora_rank = static_cast<double>(one.shape.largest_rank());
    staged +=
        one.slot < 0
            ? 0
            : cleared + lora_rank * (3 * hidden + kScaling * rows * static_cast<double>(factors));
  }
  const NumericWork reference = reference_work(item);
  return {.multiplications = reference.multiplications + width * hidden * tokens + staged,
          .floats =
              reference.floats + 2 * tokens * width + static_cast<double>(item.spec.slots) * slot};
}

Result<void> check_work(const PreparedCase& item, const NumericWork& work, double bytes) {
  const auto refuse = [&](const std::string& sentence) -> Result<void> {
    return fail("the case takes " + sentence, item.contract->file);
  };
  if (work.multiplications > kMaxMultiplications) {
    return refuse(fmt::format("{:.2g} multiplications, expected at most {:.2g}",
                              work.multiplications, kMaxMultiplications));
  }
  if (work.floats > kMaxFloats) {
    return refuse(
        fmt::format("{:.2g} floats in memory, expected at most {:.2g}", work.floats, kMaxFloats));
  }
  constexpr double kMiB = 1024.0 * 1024.0;
  if (4 * work.floats > bytes) {
    return refuse(fmt::format("{:.4g} MiB of memory, expected at most {:.4g} MiB",
                              4 * work.floats / kMiB, bytes / kMiB));
  }
  return {};
}

}  // namespace tplora::core
