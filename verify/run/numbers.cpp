#include "verify/run/numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "sim/base/ensure.hpp"
#include "sim/layout/view.hpp"
#include "sim/ranks/tp_group.hpp"
#include "verify/compare/digest.hpp"
#include "verify/run/unsharded.hpp"

namespace tplora::core {
namespace {

/// The virtual ranks of one case, held against the reference.
class RanksOfCase {
 public:
  RanksOfCase(const LayerReport& laws, const Arithmetic& arithmetic, const Batch& batch)
      : item_(laws.item),
        input_(layout_case(item_.spec, *item_.geometry)),
        analysis_(laws.analysis),
        group_(std::make_unique<TpGroup>(*item_.contract, input_.deployment, analysis_, arithmetic,
                                         batch)) {}

  void accept_panel(Part part, std::int64_t first_row, const Panel& panel,
                    std::span<const float> bias) {
    group_->accept_panel(part, first_row, panel, bias);
  }

  [[nodiscard]] ExpandDepths depths() const {
    return expand_depths(analysis_, item_.spec.adapters.size());
  }

  NumericOutcome finish(const Reference& reference, std::span<const Adapter> adapters) {
    group_->load_adapters(adapters);
    group_->finish();
    NumericOutcome outcome;
    const auto ranks = static_cast<std::int64_t>(analysis_.ranks.size());
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      compare_rank(reference, rank, outcome);
    }
    if (std::none_of(kParts.begin(), kParts.end(), [&](Part part) { return targeted(part); })) {
      outcome.why_vacuous = "no token uses an adapter";
    }
    if (item_.spec.data == DataKind::labels && equal_labels(reference)) {
      outcome.why_vacuous = "two rows carry equal labels: these tokens do not show every digit";
    }
    outcome.digest = digest();
    group_.reset();
    outcome.state = outcome.wrong > 0             ? NumericOutcome::State::different
                    : outcome.why_vacuous.empty() ? NumericOutcome::State::equal
                                                  : NumericOutcome::State::vacuous;
    return outcome;
  }

 private:
  void compare_rank(const Reference& reference, std::int64_t rank, NumericOutcome& outcome) {
    const std::int64_t group_size =
        analysis_.ranks[static_cast<std::size_t>(rank)].build.group_size;
    const std::int64_t first = rank / group_size * group_size;
    const std::span<const RankState> group(analysis_.ranks.data() + first,
                                           static_cast<std::size_t>(group_size));
    std::array<bool, 3> delta_seen = {false, false, false};
    const auto owned =
        owned_rows(*item_.contract, *item_.geometry, group, static_cast<std::size_t>(rank - first));
    for (const OwnedRows& rows : owned) {
      compare_rows(reference, rank, first + rows.source, rows, outcome);
      auto& seen = delta_seen[static_cast<std::size_t>(rows.part)];
      seen = seen || delta_changes_bits(reference, rows);
    }
    for (const Part part : kParts) {
      if (!delta_seen[static_cast<std::size_t>(part)] && targeted(part)) {
        outcome.why_vacuous = fmt::format(
            "zeroing the {} delta on tp_rank {} changes no output bit", part_name(part), rank);
      }
    }
  }

  [[nodiscard]] bool targeted(Part part) const {
    return std::any_of(item_.spec.tokens.begin(), item_.spec.tokens.end(), [&](int adapter) {
      return adapter >= 0 && input_.adapters[static_cast<std::size_t>(adapter)].has(part);
    });
  }

  void compare_rows(const Reference& reference, std::int64_t rank, std::int64_t source,
                    const OwnedRows& rows, NumericOutcome& outcome) {
    const std::int64_t width = analysis_.ranks[static_cast<std::size_t>(source)].build.width;
    const auto tokens = static_cast<std::int64_t>(item_.spec.tokens.size());
    const std::int64_t inside = std::clamp<std::int64_t>(width - rows.column, 0, rows.rows);
    outcome.compared += rows.rows * tokens;
    outcome.wrong += (rows.rows - inside) * tokens;  // columns that do not exist
    const Difference bits = compare_bits(
        view_of(reference.output(rows.part).data() + rows.first_row,
                {.rows = tokens, .cols = inside, .row_stride = item_.geometry->rows(rows.part)}),
        view_of(group_->output(source).data() + rows.column,
                {.rows = tokens, .cols = inside, .row_stride = width}));
    if (bits.wrong == 0) {
      return;
    }
    outcome.wrong += bits.wrong;
    NumericDifference difference{.tp_rank = rank,
                                 .part = rows.part,
                                 .first_row = rows.first_row + bits.first_row,
                                 .last_row = rows.first_row + bits.last_row,
                                 .bits = bits,
                                 .sources = {}};
    for (const LiveAdapter& live : analysis_.live) {
      const bool used = std::any_of(bits.tokens.begin(), bits.tokens.end(), [&](std::int64_t t) {
        return item_.spec.tokens[static_cast<std::size_t>(t)] == live.adapter;
      });
      if (used) {
        difference.sources.push_back(
            {live.adapter, live.slot,
             trace_delta(*item_.contract, input_, analysis_, source, live,
                         rows.column + bits.first_row, rows.column + bits.last_row + 1)});
      }
    }
    outcome.differences.push_back(std::move(difference));
  }

  [[nodiscard]] bool delta_changes_bits(const Reference& reference, const OwnedRows& rows) const {
    const MatrixShape shape{.rows = static_cast<std::int64_t>(item_.spec.tokens.size()),
                            .cols = rows.rows,
                            .row_stride = item_.geometry->rows(rows.part)};
    const auto base = view_of(reference.base_output(rows.part).data() + rows.first_row, shape);
    const auto adapted = view_of(reference.output(rows.part).data() + rows.first_row, shape);
    return compare_bits(base, adapted).wrong > 0;
  }

  /// Whether two output columns of the reference hold the same value for every token.
  [[nodiscard]] bool equal_labels(const Reference& reference) const {
    std::set<std::vector<float>> seen;
    std::size_t columns = 0;
    for (const Part part : kParts) {
      const auto rows = static_cast<std::size_t>(item_.geometry->rows(part));
      const auto output = reference.output(part);
      for (std::size_t row = 0; row < rows; ++row) {
        std::vector<float> column;
        for (std::size_t token = 0; token < item_.spec.tokens.size(); ++token) {
          column.push_back(output[token * rows + row]);
        }
        seen.insert(std::move(column));
        ++columns;
      }
    }
    return seen.size() != columns;
  }

  [[nodiscard]] std::uint64_t digest() const {
    Digest digest;
    for (std::size_t rank = 0; rank < analysis_.ranks.size(); ++rank) {
      for (const float value : group_->output(static_cast<std::int64_t>(rank))) {
        digest.add(value);
      }
    }
    return digest.value();
  }

  const PreparedCase& item_;
  LayoutCase input_;
  const Analysis& analysis_;
  std::unique_ptr<TpGroup> group_;
};

}  // namespace

std::string weights_key(const PreparedCase& item) {
  const QkvGeometry& g = *item.geometry;
  Case one = item.spec;
  // What the weights, the inputs and the reference do not depend on.
  one.model = fmt::format("H={},KV={},D={},hidden={},Dv={},gate={},bias={}", g.num_attention_heads,
                          g.num_key_value_heads, g.head_dim, g.hidden_size, g.v_head_dim,
                          g.q_multiplier, g.qkv_bias);
  one.engine = item.contract->program;
  one.program.clear();
  one.layer.clear();
  one.tp_size = 1;
  one.dp_size = 1;
  return print_case(one);
}

std::string numeric_key(const PreparedCase& item) {
  const QkvGeometry& g = *item.geometry;
  return fmt::format("{} {} {} tp={} dp={} order={} config={},{},{}", weights_key(item),
                     item.contract->file, item.contract->variant, item.spec.tp_size,
                     item.spec.dp_size, row_order_name(g.fused_order), g.config_num_attention_heads,
                     g.config_num_key_value_heads, g.config_head_dim);
}

std::vector<NumericOutcome> run_numbers(const std::vector<const LayerReport*>& cases,
                                        const NumbersOptions& options) {
  ensure(!cases.empty(), "there is a case to run");
  Unsharded unsharded(cases.front()->item);
  std::vector<std::unique_ptr<RanksOfCase>> sharded;
  sharded.reserve(cases.size());
  for (const LayerReport* laws : cases) {
    ensure(
        laws->analysis.verdict == Verdict::consistent || laws->analysis.verdict == Verdict::silent,
        "numbers run where every rank is planned");
    sharded.push_back(
        std::make_unique<RanksOfCase>(*laws, unsharded.arithmetic(), unsharded.batch()));
  }
  const auto rows = static_cast<double>(cases.front()->item.geometry->total_rows());
  unsharded.run(
      [&](Part part, std::int64_t first_row, const Panel& panel, std::span<const float> bias) {
        for (const auto& ranks : sharded) {
          ranks->accept_panel(part, first_row, panel, bias);
        }
        options.passed(static_cast<double>(panel.rows()) / rows);
      },
      options.threads, options.over);
  std::vector<NumericOutcome> outcomes;
  outcomes.reserve(sharded.size());
  for (const auto& ranks : sharded) {
    if (options.over()) {
      return {};
    }
    unsharded.use_depths(ranks->depths());
    outcomes.push_back(ranks->finish(unsharded.reference(), unsharded.adapters()));
  }
  return outcomes;
}

}  // namespace tplora::core
