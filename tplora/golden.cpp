#include <fmt/format.h>

#include <span>

#include "sim/base/ensure.hpp"
#include "tplora/handles.hpp"
#include "verify/golden/owned_heads.hpp"
#include "verify/run/laws.hpp"
#include "verify/run/unsharded.hpp"
#include "verify/run/work.hpp"

namespace tplora {
namespace {

GoldenAdapter plain(const core::Adapter& adapter) {
  GoldenAdapter copy{.name = adapter.spec().name,
                     .lora_ranks = {},
                     .scaling = {},
                     .shared_a = adapter.spec().shared_a,
                     .a = {},
                     .b = {}};
  for (const Part part : kParts) {
    const auto i = static_cast<std::size_t>(part);
    copy.lora_ranks[i] = adapter.spec().rank_of(part);
    copy.scaling[i] = adapter.spec().scaling(part);
    copy.b[i] = adapter.b(part);
    if (!copy.shared_a || part == Part::q) {
      copy.a[i] = adapter.a(part);
    }
  }
  return copy;
}

/// What tp_rank owns by the model alone. Precondition: the group divides the query heads.
GoldenRank owned_by(const QkvGeometry& g, std::int64_t tp_rank, std::int64_t group_size) {
  const auto own = core::owned_heads(g, tp_rank, group_size);
  core::ensure(own.has_value(), "a golden is cut for ranks that divide the query heads");
  GoldenRank rank;
  rank.tp_rank = tp_rank;
  rank.first_q = own->first_q;
  rank.q_heads = own->q_heads;
  rank.first_kv = own->first_kv;
  rank.kv_heads = own->kv_heads;
  rank.width = own->width;
  return rank;
}

/// Cuts the rank's columns out of the unsharded outputs.
void cut_outputs(const Golden& all, GoldenRank& rank) {
  const QkvGeometry& g = all.geometry;
  for (std::int64_t token = 0; token < all.tokens; ++token) {
    for (const Part part : kParts) {
      const auto i = static_cast<std::size_t>(part);
      const bool q = part == Part::q;
      const auto from = static_cast<std::ptrdiff_t>(
          token * g.rows(part) + (q ? rank.first_q : rank.first_kv) * g.rows_per_head(part));
      const auto count =
          static_cast<std::ptrdiff_t>((q ? rank.q_heads : rank.kv_heads) * g.rows_per_head(part));
      const auto append = [&](const std::vector<float>& whole, std::vector<float>& cut) {
        cut.insert(cut.end(), whole.begin() + from, whole.begin() + from + count);
      };
      append(all.y_base[i], rank.y_base);
      append(all.y[i], rank.y);
    }
  }
}

/// A golden keeps what the reference has, and once more cut by rank.
Result<void> check_golden_work(const core::PreparedCase& item, std::int64_t group_size) {
  core::NumericWork work = core::reference_work(item);
  const auto width = static_cast<double>(owned_by(*item.geometry, 0, group_size).width);
  work.floats += work.floats + 2 * width * static_cast<double>(item.spec.tp_size) *
                                   static_cast<double>(item.spec.tokens.size());
  return core::check_work(item, work);
}

Golden golden_of(const core::PreparedCase& item, std::int64_t group_size) {
  const auto laws = core::check_laws(item);
  core::Unsharded unsharded(
      item,
      laws ? core::expand_depths(laws->analysis, item.spec.adapters.size()) : core::ExpandDepths{});
  unsharded.run();
  const QkvGeometry& g = *item.geometry;
  Golden golden = core::Access::make(core::GoldenData{unsharded.tensors()});
  golden.geometry = g;
  golden.tokens = unsharded.batch().tokens();
  golden.adapter_of_token = item.spec.tokens;
  golden.x.assign(unsharded.batch().x.begin(), unsharded.batch().x.end());
  for (const core::Adapter& adapter : unsharded.adapters()) {
    golden.adapters.push_back(plain(adapter));
  }
  for (const Part part : kParts) {
    const auto i = static_cast<std::size_t>(part);
    const auto copy = [](std::span<const float> from) {
      return std::vector<float>(from.begin(), from.end());
    };
    golden.bias[i] = g.qkv_bias ? unsharded.tensors()->bias(part) : std::vector<float>();
    golden.y_base[i] = copy(unsharded.reference().base_output(part));
    golden.y[i] = copy(unsharded.reference().output(part));
  }
  for (std::int64_t tp_rank = 0; tp_rank < item.spec.tp_size; ++tp_rank) {
    golden.ranks.push_back(owned_by(g, tp_rank, group_size));
    cut_outputs(golden, golden.ranks.back());
  }
  golden.case_line = core::print_case(item.spec);
  return golden;
}

}  // namespace

Result<std::vector<float>> Golden::weight(Part part, std::int64_t first_row,
                                          std::int64_t rows) const {
  core::ensure(data_ != nullptr, "a golden that is asked was not moved away");
  const std::int64_t has = geometry.rows(part);
  if (first_row < 0 || rows < 0 || first_row > has || rows > has - first_row) {
    return fail(fmt::format("rows {} to {} of {}: expected rows from 0 to {}", first_row,
                            first_row + rows, part_name(part), has));
  }
  std::vector<float> weight(static_cast<std::size_t>(rows * geometry.hidden_size));
  data_->tensors->weight_rows(part, first_row, rows, weight.data());
  return weight;
}

Result<Golden> golden(const Engine& engine, const QkvGeometry& geometry, const Serving& serving) {
  auto item = core::serving_case(engine, geometry, serving);
  if (!item) {
    return fail(item.error());
  }
  const std::int64_t group_size = serving.tp_size / item->spec.dp_size;
  if (const auto own = core::owned_heads(geometry, 0, group_size); !own) {
    return fail(own.error());
  }
  if (auto work = check_golden_work(*item, group_size); !work) {
    return fail(work.error());
  }
  return golden_of(*item, group_size);
}

}  // namespace tplora
