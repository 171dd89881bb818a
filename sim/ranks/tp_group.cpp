#include "sim/ranks/tp_group.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/layout/spaces.hpp"

namespace tplora::core {
namespace {

/// B rows packed at a time: enough to amortise a call, small enough for the cache.
constexpr std::int64_t kExpandRows = 256;

/// The factor of each part, in fp32.
using PartFactors = std::array<float, 3>;

PartFactors factors_of(const RankLoad& load) {
  return {load.scaling(Part::q), load.scaling(Part::k), load.scaling(Part::v)};
}

/// An adapter's values as the engine stores them: B passes through the program's load stage, once
/// for each of `scalings`.
class StoredAdapter final : public AdapterRows<float> {
 public:
  StoredAdapter(const Adapter& adapter, const Arithmetic& arithmetic,
                std::span<const PartFactors> scalings)
      : adapter_(adapter) {
    for (const Part part : kParts) {
      const auto number = static_cast<std::size_t>(part);
      auto& stored = b_[number];
      stored.assign(adapter.b(part).begin(), adapter.b(part).end());
      for (float& value : stored) {
        for (const PartFactors& scaling : scalings) {
          value = apply(arithmetic.program->load_b, value, scaling[number], arithmetic.dtype);
        }
      }
    }
  }
  [[nodiscard]] const float* a_row(std::int32_t space, std::int64_t row) const override {
    const Part part = space == kSharedA ? Part::q : part_of(space);
    const auto& a = adapter_.a(part);
    const std::int64_t lora_rank = adapter_.spec().rank_of(part);
    ensure_checked([&] { return 0 <= row && row < lora_rank && !a.empty(); },
                   "a row of an adapter's A is loaded");
    return a.data() + row * static_cast<std::int64_t>(a.size()) / lora_rank;
  }
  [[nodiscard]] const float* b_row(std::int32_t space, std::int64_t row) const override {
    const auto& b = b_[static_cast<std::size_t>(part_of(space))];
    const std::int64_t begin = row * adapter_.spec().rank_of(part_of(space));
    ensure_checked([&] { return 0 <= row && begin < static_cast<std::int64_t>(b.size()); },
                   "a row of an adapter's B is loaded");
    return b.data() + begin;
  }

 private:
  const Adapter& adapter_;
  std::array<std::vector<float>, 3> b_;
};

/// x rows of the chosen tokens, together.
std::vector<float> rows_of(const Batch& batch, std::span<const std::int64_t> tokens) {
  std::vector<float> rows;
  rows.reserve(tokens.size() * static_cast<std::size_t>(batch.hidden_size));
  for (const std::int64_t token : tokens) {
    const auto row = batch.x.subspan(static_cast<std::size_t>(token * batch.hidden_size),
                                     static_cast<std::size_t>(batch.hidden_size));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

}  // namespace

TpGroup::TpGroup(const Contract& contract, const Deployment& deployment, const Analysis& analysis,
                 const Arithmetic& arithmetic, const Batch& batch)
    : contract_(contract),
      deployment_(deployment),
      analysis_(analysis),
      arithmetic_(arithmetic),
      batch_(batch),
      x_({.values = batch.x.data(),
          .tokens = batch.tokens(),
          .cols = batch.hidden_size,
          .row_stride = batch.hidden_size}) {
  ensure(analysis.failures.empty(), "only a plan without failures is run");
  ensure(static_cast<std::int64_t>(analysis.ranks.size()) == deployment.tp_size,
         "each rank of the deployment was planned");
  ensure(static_cast<std::int64_t>(batch.x.size()) == batch.tokens() * batch.hidden_size,
         "each token has a row of x");
  ensure(arithmetic.program != nullptr, "a rounding program was chosen");
  for (const RankState& rank : analysis.ranks) {
    const auto size = static_cast<std::size_t>(rank.build.width * batch.tokens());
    bases_.emplace_back(size, canonical_nan());
  }
}

void TpGroup::load_adapters(std::span<const Adapter> adapters) {
  ensure(pools_.empty(), "adapters are loaded once");
  const float fresh = contract_.pool.fresh == PoolFresh::zero ? 0.0F : canonical_nan();
  for (const RankState& rank : analysis_.ranks) {
    pools_.emplace_back(rank.build, deployment_, batch_.hidden_size, canonical_nan(), fresh);
  }
  for (int event = 0; event < static_cast<int>(analysis_.events.size()); ++event) {
    const PoolEvent& one = analysis_.events[static_cast<std::size_t>(event)];
    if (one.slot < 0) {
      continue;
    }
    const auto number = static_cast<std::size_t>(one.adapter);
    ensure(number < adapters.size() && adapters[number].spec().lora_rank == one.shape.lora_rank &&
               adapters[number].spec().part_ranks == one.shape.part_ranks &&
               adapters[number].spec().targets == one.shape.targets,
           "an event loads one of the adapters, of the shape analysed");
    std::vector<PartFactors> scalings;
    for (const int each : scaling_events(contract_.pool.scale, analysis_.events, event, event)) {
      scalings.push_back(factors_of(analysis_.ranks.front().load(each)));
    }
    const StoredAdapter stored(adapters[number], arithmetic_, scalings);
    for (std::size_t rank = 0; rank < pools_.size(); ++rank) {
      pools_[rank].load(contract_, analysis_.ranks[rank].load(event), one.shape, stored, one.slot);
    }
  }
}

void TpGroup::accept_panel(Part part, std::int64_t first_row, const Panel& panel,
                           std::span<const float> bias) {
  ensure(first_row >= 0 && panel.cols() == batch_.hidden_size,
         "rows of a weight are as long as those of x");
  ensure(bias.empty() || static_cast<std::int64_t>(bias.size()) == panel.rows(),
         "each row of a panel has a bias, or none has");
  const std::int64_t end_row = first_row + panel.rows();
  for (std::size_t rank = 0; rank < bases_.size(); ++rank) {
    const RankBuild& build = analysis_.ranks[rank].build;
    for (const Segment& segment : build.columns.segments()) {
      const std::int64_t from = std::max(first_row, segment.from);
      const std::int64_t end = std::min(end_row, segment.from + segment.rows);
      if (segment.space != space_of(part) || from >= end) {
        continue;
      }
      float* const out = bases_[rank].data() + segment.at + (from - segment.from);
      dot_rows(arithmetic_.base, x_, panel,
               {.first_row = from - first_row, .rows = end - from, .out_stride = build.width}, out);
      for (std::int64_t token = 0; token < batch_.tokens(); ++token) {
        for (std::int64_t i = 0; i < end - from; ++i) {
          float& y = out[token * build.width + i];
          y = bias.empty() ? y : y + bias[static_cast<std::size_t>(from - first_row + i)];
          y = apply(arithmetic_.program->base, y, 1.0F, arithmetic_.dtype);
        }
      }
    }
  }
}

void TpGroup::finish() {
  ensure(pools_.size() == bases_.size(), "adapters are loaded before they are used");
  outputs_ = bases_;
  for (const LiveAdapter& live : analysis_.live) {
    std::vector<std::int64_t> tokens;
    for (std::int64_t token = 0; token < batch_.tokens(); ++token) {
      if (batch_.adapter_of_token[static_cast<std::size_t>(token)] == live.adapter) {
        tokens.push_back(token);
      }
    }
    if (tokens.empty()) {
      continue;
    }
    // Shrink outputs of every rank first: a contract may gather them over its group.
    std::vector<std::vector<std::vector<float>>> u(pools_.size());
    for (std::size_t rank = 0; rank < pools_.size(); ++rank) {
      shrink(rank, live, tokens, u[rank]);
    }
    for (std::size_t rank = 0; rank < pools_.size(); ++rank) {
      if (contract_.lora_a.gather == Gather::none) {
        expand(rank, live, tokens, u[rank]);
        continue;
      }
      const auto group_size = static_cast<std::size_t>(analysis_.ranks[rank].build.group_size);
      const std::size_t first = rank / group_size * group_size;
      ensure(first + group_size <= u.size(), "a group is whole");
      std::vector<std::vector<float>> gathered(u[rank].size());
      for (std::size_t peer = first; peer < first + group_size; ++peer) {
        for (std::size_t buffer = 0; buffer < gathered.size(); ++buffer) {
          gathered[buffer].insert(gathered[buffer].end(), u[peer][buffer].begin(),
                                  u[peer][buffer].end());
        }
      }
      expand(rank, live, tokens, gathered);
    }
  }
}

// u[buffer]: [A rows of the slot, tokens]: row-major by A row, so that a gather over ranks is a
// concatenation.
void TpGroup::shrink(std::size_t rank, const LiveAdapter& live,
                     std::span<const std::int64_t> tokens,
                     std::vector<std::vector<float>>& u) const {
  const std::vector<float> rows_of_x = rows_of(batch_, tokens);
  const auto count = static_cast<std::int64_t>(tokens.size());
  const TokenTiles x({.values = rows_of_x.data(),
                      .tokens = count,
                      .cols = batch_.hidden_size,
                      .row_stride = batch_.hidden_size});
  const std::size_t buffers = contract_.lora_a.buffers.size();
  u.resize(buffers);
  Panel panel(kPanelRows, batch_.hidden_size);
  std::vector<float> dots(static_cast<std::size_t>(count * kPanelRows));
  for (std::size_t buffer = 0; buffer < buffers; ++buffer) {
    const auto& a = pools_[rank].a(static_cast<int>(buffer));
    u[buffer].resize(static_cast<std::size_t>(a.rows * count));
    for (std::int64_t row = 0; row < a.rows; row += kPanelRows) {
      const std::int64_t rows = std::min(kPanelRows, a.rows - row);
      panel.pack(a.memory.data() + a.row_begin(live.slot, row), rows, a.cols, a.cols);
      dot_rows(arithmetic_.lora, x, panel, {.rows = rows, .out_stride = rows}, dots.data());
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < count; ++j) {
          u[buffer][static_cast<std::size_t>((row + i) * count + j)] =
              apply(arithmetic_.program->shrink, dots[static_cast<std::size_t>(j * rows + i)], 1.0F,
                    arithmetic_.dtype);
        }
      }
    }
  }
}

void TpGroup::expand(std::size_t rank, const LiveAdapter& live,
                     std::span<const std::int64_t> tokens,
                     const std::vector<std::vector<float>>& u) {
  const RankLoad& load = analysis_.ranks[rank].load(live.event);
  const PartFactors factors = factors_of(analysis_.ranks[rank].load(live.scaled));
  const bool same = factors[0] == factors[1] && factors[0] == factors[2];
  for (const KernelLaunch& one : load.launches) {
    ensure(static_cast<std::size_t>(one.a) < u.size(), "a launch reads a shrink output");
    const auto& u_of_launch = u[static_cast<std::size_t>(one.a)];
    if (same) {
      launch(rank, live, factors[0], tokens, one, u_of_launch);
      continue;
    }
    // Columns of each part have their own factor.
    analysis_.ranks[rank].build.columns.visit(
        one.out, one.out + one.rows, [&](const Segment& columns) {
          KernelLaunch of_part = one;
          of_part.out = columns.at;
          of_part.b_at += columns.at - one.out;
          of_part.rows = columns.rows;
          const std::size_t part =
              columns.space < 0 ? 0 : static_cast<std::size_t>(part_of(columns.space));
          launch(rank, live, factors[part], tokens, of_part, u_of_launch);
        });
  }
}

void TpGroup::launch(std::size_t rank, const LiveAdapter& live, float scaling,
                     std::span<const std::int64_t> tokens, const KernelLaunch& one,
                     const std::vector<float>& u) {
  const RoundingProgram& program = *arithmetic_.program;
  const std::int64_t width = analysis_.ranks[rank].build.width;
  const auto count = static_cast<std::int64_t>(tokens.size());
  std::vector<float> inputs(static_cast<std::size_t>(count * one.depth));
  for (std::int64_t j = 0; j < count; ++j) {
    for (std::int64_t q = 0; q < one.depth; ++q) {
      const auto index = static_cast<std::size_t>((one.a_at + q) * count + j);
      const float value = index < u.size() ? u[index] : canonical_nan();
      inputs[static_cast<std::size_t>(j * one.depth + q)] =
          apply(program.expand_input, value, scaling, arithmetic_.dtype);
    }
  }
  const TokenTiles u_tiles(
      {.values = inputs.data(), .tokens = count, .cols = one.depth, .row_stride = one.depth});
  // Columns past the output row would be written into the next token's row; they are reported by
  // law 3 and dropped here.
  const std::int64_t rows = std::clamp<std::int64_t>(width - one.out, 0, one.rows);
  std::vector<float> block(static_cast<std::size_t>(kExpandRows * one.depth));
  std::vector<float> dots(static_cast<std::size_t>(kExpandRows * count));
  Panel panel(kExpandRows, one.depth);
  for (std::int64_t row = 0; row < rows; row += kExpandRows) {
    const std::int64_t some = std::min(kExpandRows, rows - row);
    for (std::int64_t i = 0; i < some; ++i) {
      float* const to = block.data() + i * one.depth;
      for (std::int64_t q = 0; q < one.depth; ++q) {
        to[q] = pools_[rank].b(one.b, live.slot, (one.b_at + row + i) * one.b_stride + q);
      }
    }
    panel.pack(block.data(), some, one.depth, one.depth);
    dot_rows(arithmetic_.lora, u_tiles, panel, {.rows = some, .out_stride = some}, dots.data());
    for (std::int64_t j = 0; j < count; ++j) {
      float* const out =
          outputs_[rank].data() + tokens[static_cast<std::size_t>(j)] * width + one.out + row;
      for (std::int64_t i = 0; i < some; ++i) {
        const float delta = apply(program.delta, dots[static_cast<std::size_t>(j * some + i)],
                                  scaling, arithmetic_.dtype);
        out[i] = apply(program.sum, out[i] + delta, scaling, arithmetic_.dtype);
      }
    }
  }
}

}  // namespace tplora::core
