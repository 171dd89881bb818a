#include "verify/check/rank_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "sim/base/ensure.hpp"
#include "sim/base/printable.hpp"
#include "verify/check/compare_tensor.hpp"
#include "verify/check/exact_forward.hpp"
#include "verify/check/read_labels.hpp"
#include "verify/check/slot_buffers.hpp"
#include "verify/golden/rank_tensors.hpp"

namespace tplora::core {
namespace {

/// A tensor of this many values at most is held whole to be explained.
constexpr std::int64_t kMostExplained = std::int64_t{1} << 27;

class RankCheck {
 public:
  RankCheck(const CheckOptions& options, const ReadManifest& manifest, const PreparedCase& item)
      : options_(options), manifest_(manifest), item_(item) {}

  Result<RankResult> run(std::int64_t tp_rank, const std::vector<const CandidateTensor*>& tensors) {
    auto checked = check_rank(tp_rank, tensors);
    return checked ? Result<RankResult>(std::move(result_)) : fail(checked.error());
  }

 private:
  Result<std::shared_ptr<const SafetensorsFile>> open_golden(std::int64_t tp_rank) const {
    const std::string name = fmt::format("rank{}.safetensors", tp_rank);
    auto file = SafetensorsFile::open(options_.golden / name);
    if (!file) {
      return fail(file.error());
    }
    const auto sum = sha256_of_file(file->file());
    if (!sum) {
      return fail(sum.error());
    }
    const auto due = manifest_.sha256.find(name);
    if (due == manifest_.sha256.end() || due->second != *sum) {
      return fail(
          fmt::format("has SHA-256 {}, the manifest says {}: the golden was changed or is "
                      "torn, make it again",
                      sum->substr(0, 16),
                      due == manifest_.sha256.end() ? "nothing of it" : due->second.substr(0, 16)),
          file->path().string());
    }
    return std::make_shared<const SafetensorsFile>(std::move(*file));
  }

  Result<void> check_rank(std::int64_t tp_rank,
                          const std::vector<const CandidateTensor*>& tensors) {
    const auto golden = open_golden(tp_rank);
    if (!golden) {
      return fail(golden.error());
    }
    const Case& one = item_.spec;
    const auto own = owned_heads(*item_.geometry, tp_rank, one.tp_size / one.dp_size);
    if (!own) {
      return fail(own.error());
    }
    const LabelContext context{item_, *own, adapters_in_slots(item_.spec)};
    std::vector<const CandidateTensor*> buffers;
    for (const CandidateTensor* tensor : tensors) {
      if (is_slot_buffer(tensor->name)) {
        buffers.push_back(tensor);
      } else if (auto checked = check_tensor(context, **golden, *tensor); !checked) {
        return checked;
      }
    }
    note_untargeted(context, buffers);
    auto results = check_slot_buffers(context, **golden, buffers);
    if (!results) {
      return fail(results.error());
    }
    for (BufferResult& result : *results) {
      keep(result.places);
      if (result.comparison.tensor == "lora_b") {
        result_.buffers.push_back({tp_rank, result.comparison.shape[1], result.comparison.shape[2],
                                   std::move(result.values), result.comparison.mismatched > 0});
      }
      if (result.fit) {
        result_.fits.push_back(*result.fit);
      }
      result_.tensors.push_back(std::move(result.comparison));
    }
    return {};
  }

  /// Says what a slot holds that was not judged.
  void note_untargeted(const LabelContext& context,
                       const std::vector<const CandidateTensor*>& buffers) {
    const auto given = [&](const char* name) {
      return std::any_of(buffers.begin(), buffers.end(),
                         [&](const CandidateTensor* one) { return one->name.starts_with(name); });
    };
    if (!given("lora_b") || (given("lora_a") && item_.spec.data == DataKind::labels)) {
      return;
    }
    for (const int number : context.resident) {
      if (number >= 0 && item_.spec.adapters[static_cast<std::size_t>(number)].targets !=
                             std::array<bool, 3>{true, true, true}) {
        result_.notes.push_back(fmt::format(
            "rows of parts that adapter {} does not target were not judged: that takes labels, and "
            "lora_a beside lora_b, since they are harmless where A is zero",
            item_.spec.adapters[static_cast<std::size_t>(number)].name));
      }
    }
  }

  void keep(const std::vector<PlaceFinding>& places) {
    result_.places.insert(result_.places.end(), places.begin(), places.end());
  }

  Result<void> check_tensor(const LabelContext& context, const SafetensorsFile& golden,
                            const CandidateTensor& tensor) {
    const TensorEntry* expected = golden.find(tensor.name);
    if (expected == nullptr) {
      std::vector<std::string> known;
      for (const TensorEntry& entry : golden.tensors()) {
        known.push_back(entry.name);
      }
      std::sort(known.begin(), known.end());
      return fail(
          fmt::format("the golden has no tensor of that name; it has {}", fmt::join(known, ", ")),
          tensor.place());
    }
    const bool patterns = bits_of(expected->type) == 16 &&
                          (tensor.type == TensorType::u16 || tensor.type == TensorType::i16);
    if (tensor.type != expected->type && !patterns) {
      return fail(fmt::format("dtype {}: expected {}", tensor_type_name(tensor.type),
                              tensor_type_name(expected->type)),
                  tensor.place());
    }
    if (tensor.shape != expected->shape) {
      const std::vector<std::int64_t> turned(expected->shape.rbegin(), expected->shape.rend());
      return fail(fmt::format("shape {}: expected {}{}", shape_text(tensor.shape),
                              shape_text(expected->shape),
                              tensor.shape == turned ? "; is it transposed?" : ""),
                  tensor.place());
    }
    auto comparison = compare_tensor(tensor, golden, *expected, context.item.spec.dtype);
    if (!comparison) {
      return fail(comparison.error());
    }
    result_.tensors.push_back(std::move(*comparison));
    return result_.tensors.back().elements <= kMostExplained
               ? explain_tensor(context, tensor, golden, *expected)
               : Result<void>();
  }

  Result<void> explain_tensor(const LabelContext& context, const CandidateTensor& tensor,
                              const SafetensorsFile& golden, const TensorEntry& expected) {
    const bool output = tensor.name == "y" || tensor.name == "y_base" || tensor.name == "delta";
    const bool labels = context.item.spec.data == DataKind::labels;
    const bool right = result_.tensors.back().mismatched == 0;
    if (right && !output) {
      return {};
    }
    if (!output && !(labels && tensor.name == "weight") && !tensor.name.starts_with("u.")) {
      return {};
    }
    const std::int64_t count = element_count(tensor.shape).value_or(0);
    const ScalarType dtype = context.item.spec.dtype;
    auto values = read_values(*tensor.file, tensor.begin, tensor.type, dtype, 0, count);
    auto due = read_values(golden.file(), expected.begin, expected.type, dtype, 0, count);
    if (!values || !due) {
      return fail(values ? due.error() : values.error());
    }
    if (!right && options_.judge != Judge::bits) {
      auto judged = judge(context, *values, *due, expected, tensor.place());
      if (!judged || result_.tensors.back().mismatched == 0) {
        return judged;
      }
    }
    if (!output && !(labels && tensor.name == "weight")) {
      return {};
    }
    if (labels && !right) {
      keep(output ? places_of_output(context, tensor.name, *values)
                  : places_of_weight(context, *values));
    }
    if (output) {  // right ones, too: what is named must give them all
      result_.outputs.push_back({context.own, tensor.name, std::move(*values), std::move(*due)});
    }
    return {};
  }

  /// Counts as mismatched only what the judge does not allow.
  Result<void> judge(const LabelContext& context, const std::vector<float>& values,
                     const std::vector<float>& due, const TensorEntry& expected,
                     const std::string& place) {
    TensorComparison& one = result_.tensors.back();
    const auto exact = exact_values(item_, context.own, one.tensor, options_.threads);
    if (options_.judge == Judge::bound &&
        std::any_of(exact.begin(), exact.end(),
                    [](const ExactValue& value) { return !std::isfinite(value.bound); })) {
      return fail(
          "--judge bound: sums of this length under the declared accumulators have no bound, "
          "every value would be right; expected an accumulator that keeps more bits",
          place);
    }
    const ScalarType type = scalar_type_of(expected.type).value_or(ScalarType::fp32);
    one.judged = true;
    std::vector<double> distances;
    for (std::size_t i = 0; i < values.size(); ++i) {
      distances.push_back(ulp_distance(values[i], exact[i], type));
      one.golden_worst_ulp = std::max(one.golden_worst_ulp, ulp_distance(due[i], exact[i], type));
      if (distances.back() > one.worst_ulp) {
        one.worst_ulp = distances.back();
        one.at_worst = static_cast<std::int64_t>(i);
      }
    }
    const double allowed = options_.most_ulps.value_or(std::max(1.0, one.golden_worst_ulp));
    one.mismatched = 0;
    one.first.reset();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error =
          std::fabs((static_cast<double>(values[i]) - exact[i].high) - exact[i].low);
      const double part = error == 0 ? 0 : error / exact[i].bound;
      one.worst_of_bound = std::max(one.worst_of_bound, std::isnan(part) ? HUGE_VAL : part);
      const bool right =
          options_.judge == Judge::bound ? error <= exact[i].bound : distances[i] <= allowed;
      if (!right) {
        one.first = one.first.value_or(static_cast<std::int64_t>(i));
        one.expected = one.mismatched == 0 ? due[i] : one.expected;
        one.found = one.mismatched == 0 ? values[i] : one.found;
        ++one.mismatched;
      }
    }
    return {};
  }

  const CheckOptions& options_;
  const ReadManifest& manifest_;
  const PreparedCase& item_;
  RankResult result_;
};

}  // namespace

Result<RankResult> check_rank(const CheckOptions& options, const ReadManifest& manifest,
                              const PreparedCase& item, std::int64_t tp_rank,
                              const std::vector<const CandidateTensor*>& tensors) {
  return RankCheck(options, manifest, item).run(tp_rank, tensors);
}

}  // namespace tplora::core
