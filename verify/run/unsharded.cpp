#include "verify/run/unsharded.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "sim/base/checked.hpp"
#include "sim/base/ensure.hpp"
#include "sim/base/parallel_for.hpp"
#include "sim/data/generator.hpp"

namespace tplora::core {
namespace {

/// Weight rows made at a time: a panel stays in the second-level cache for usual hidden sizes.
constexpr std::int64_t kWeightRows = kPanelRows;
/// Of a part, that threads take: many enough for all cores to end together.
constexpr std::int64_t kStretches = 64;

const QkvGeometry& geometry_of(const PreparedCase& item) {
  ensure(item.geometry.has_value(), "numbers are run of a layer with a qkv projection");
  return *item.geometry;
}

std::shared_ptr<const LogicalTensors> tensors_of(const PreparedCase& item) {
  if (item.tensors != nullptr) {
    return item.tensors;
  }
  return std::make_shared<Generator>(DataSpec{.kind = item.spec.data,
                                              .dtype = item.spec.dtype,
                                              .seed = item.spec.seed,
                                              .geometry = geometry_of(item)});
}

std::vector<Adapter> make_adapters(const LogicalTensors& tensors, const Case& spec) {
  std::vector<Adapter> adapters;
  for (const AdapterSpec& adapter : adapters_after_steps(spec)) {
    adapters.push_back(tensors.adapter(adapter, static_cast<std::int32_t>(adapters.size())));
  }
  return adapters;
}

}  // namespace

ExpandDepths expand_depths(const Analysis& analysis, std::size_t adapters) {
  ExpandDepths depths;
  if (!analysis.failures.empty()) {
    return depths;
  }
  depths.resize(adapters);
  for (const LiveAdapter& live : analysis.live) {
    std::array<std::set<std::int64_t>, 3> found;
    for (const RankState& rank : analysis.ranks) {
      for (const KernelLaunch& launch : rank.load(live.event).launches) {
        rank.build.columns.visit(launch.out, launch.out + launch.rows, [&](const Segment& segment) {
          if (segment.space >= 0) {
            found[static_cast<std::size_t>(segment.space)].insert(launch.depth);
          }
        });
      }
    }
    for (std::size_t part = 0; part < 3; ++part) {
      depths[static_cast<std::size_t>(live.adapter)][part] =
          found[part].size() == 1 ? *found[part].begin() : 0;
    }
  }
  return depths;
}

Unsharded::Unsharded(const PreparedCase& item, ExpandDepths depths, bool keep_steps)
    : geometry_(geometry_of(item)),
      tensors_(tensors_of(item)),
      arithmetic_{.base = item.spec.base_accumulator.value_or(item.spec.accumulator),
                  .lora = item.spec.accumulator,
                  .program = find_program(item.contract->program),
                  .dtype = item.spec.dtype},
      x_(tensors_->x(static_cast<std::int64_t>(item.spec.tokens.size()))),
      batch_{.x = x_, .hidden_size = geometry_.hidden_size, .adapter_of_token = item.spec.tokens},
      adapters_(make_adapters(*tensors_, item.spec)),
      depths_(std::move(depths)),
      reference_({.geometry = geometry_,
                  .dtype = arithmetic_.dtype,
                  .base_accumulator = arithmetic_.base,
                  .lora_accumulator = arithmetic_.lora,
                  .program = arithmetic_.program,
                  .x = x_,
                  .adapter_of_token = item.spec.tokens,
                  .adapters = adapters_,
                  .keep_steps = keep_steps}) {}

void Unsharded::run(const EachPanel& each, int threads, const std::function<bool()>& over) {
  std::array<RowRange, 3> all;
  for (const Part part : kParts) {
    all[static_cast<std::size_t>(part)] = {.first = 0, .rows = geometry_.rows(part)};
  }
  run_rows(all, threads, each, over);
}

void Unsharded::use_depths(const ExpandDepths& depths) {
  if (depths != depths_) {
    depths_ = depths;
    reference_.finish(depths_);
  }
}

void Unsharded::run_rows(const std::array<RowRange, 3>& rows, int threads, const EachPanel& each,
                         const std::function<bool()>& over) {
  for (const Part part : kParts) {
    const RowRange& range = rows[static_cast<std::size_t>(part)];
    const std::vector<float> bias =
        geometry_.qkv_bias ? tensors_->bias(part) : std::vector<float>();
    // A stretch of panels has one buffer.
    const std::int64_t panels = ceil_div(range.rows, kWeightRows);
    const std::int64_t stretches = threads == 1 ? 1 : std::min(panels, kStretches);
    parallel_for(stretches, threads, [&](std::int64_t stretch) {
      Panel panel(kWeightRows, geometry_.hidden_size);
      for (std::int64_t number = panels * stretch / stretches;
           number < panels * (stretch + 1) / stretches && !over(); ++number) {
        const std::int64_t first = number * kWeightRows;
        const std::int64_t some = std::min(kWeightRows, range.rows - first);
        const std::int64_t row = range.first + first;
        tensors_->weight_panel(part, row, some, panel);
        const auto some_bias =
            bias.empty() ? std::span<const float>()
                         : std::span<const float>(bias).subspan(static_cast<std::size_t>(row),
                                                                static_cast<std::size_t>(some));
        reference_.accept_panel(part, row, panel, some_bias);
        if (each) {
          each(part, row, panel, some_bias);
        }
      }
    });
  }
  if (!over()) {
    reference_.finish(depths_);
  }
}

}  // namespace tplora::core
