#include "sim/layout/law_fit.hpp"

#include <fmt/format.h>

#include "sim/base/ensure.hpp"

namespace tplora::core {

namespace {

template <class Sentence>
PlanFailure misfit(const Scope& scope, const Buffer& buffer, const Sentence& sentence) {
  PlanFailure broken{.verdict = Verdict::crash,
                     .law = Law::fit,
                     .tp_rank = scope.value(symbol::tp_rank),
                     .sentence = {},
                     .place = {}};
  if (scope.detail() == Detail::sentences) {
    broken.sentence = sentence();
    broken.place = buffer.rows.place();
  }
  return broken;
}

PlanFailure wrong_rows(const Scope& scope, const Buffer& buffer, std::int64_t has,
                       std::int64_t wants, std::int64_t columns) {
  return misfit(scope, buffer, [&] {
    return fmt::format(
        "buffer {} has {} rows and the slice has {}: shape [{}, {}] against [{}, {}]; the buffer "
        "is {}",
        buffer.name, has, wants, has, columns, wants, columns, scope.describe(buffer.rows));
  });
}

}  // namespace

std::optional<PlanFailure> check_fit(const Scope& scope, const Contract& contract,
                                     const AdapterShape& adapter, const RankBuild& build,
                                     const RankLoad& load) {
  ensure(load.slice_rows.size() == build.b_rows.size() && load.b_maps.size() == build.b_rows.size(),
         "a load has a slice of B for each buffer of the rank");
  ensure(load.a_maps.size() == build.a_rows.size(),
         "a load has rows of A for each buffer of the rank");
  const std::int64_t lora_rank = adapter.largest_rank();
  const std::int64_t max_lora_rank = scope.value(symbol::R);
  if (lora_rank > max_lora_rank && !build.b_rows.empty()) {
    const Buffer& first = contract.lora_b.buffers.front();
    return misfit(scope, first, [&] {
      return fmt::format(
          "buffer {} has R = {} columns and the slice has the adapter's lora_rank, {}", first.name,
          max_lora_rank, lora_rank);
    });
  }
  for (std::size_t i = 0; i < build.b_rows.size(); ++i) {
    const bool fits = contract.lora_b.fit == Fit::exact ? load.slice_rows[i] == build.b_rows[i]
                                                        : load.slice_rows[i] <= build.b_rows[i];
    if (!fits) {
      return wrong_rows(scope, contract.lora_b.buffers[i], build.b_rows[i], load.slice_rows[i],
                        lora_rank);
    }
  }
  for (std::size_t i = 0; i < build.a_rows.size(); ++i) {
    const auto segments = load.a_maps[i].segments();
    if (!segments.empty() && segments.back().end() > build.a_rows[i]) {
      return wrong_rows(scope, contract.lora_a.buffers[i], build.a_rows[i], segments.back().end(),
                        scope.value(symbol::hidden));
    }
  }
  return std::nullopt;
}

}  // namespace tplora::core
