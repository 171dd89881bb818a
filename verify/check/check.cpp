#include "verify/check/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include "sim/base/ensure.hpp"
#include "sim/base/printable.hpp"
#include "verify/check/candidate.hpp"
#include "verify/check/compare_tensor.hpp"
#include "verify/check/exact_forward.hpp"
#include "verify/check/read_labels.hpp"
#include "verify/check/search.hpp"
#include "verify/check/slot_buffers.hpp"
#include "verify/golden/manifest.hpp"
#include "verify/golden/owned_heads.hpp"

namespace tplora::core {
namespace {

/// A tensor of this many values at most is held whole to be explained.
constexpr std::int64_t kMostExplained = std::int64_t{1} << 27;

class Checker {
 public:
  Checker(const CheckOptions& options, ReadManifest manifest, PreparedCase item)
      : options_(options), manifest_(std::move(manifest)) {
    report_.judge = options.judge;
    report_.item = std::move(item);
    report_.golden_ranks = manifest_.ranks;
    report_.vacuous = manifest_.vacuous;
    report_.names = adapter_names(report_.item.spec);
  }

  Result<CheckReport> run(const ConfigFolders& configs) {
    auto candidate = read_candidate(options_.candidate, manifest_);
    if (!candidate) {
      return fail(candidate.error());
    }
    find_missing(*candidate);
    for (const std::int64_t tp_rank : manifest_.ranks) {
      std::vector<const CandidateTensor*> tensors;
      for (const CandidateTensor& tensor : candidate->tensors) {
        if (tensor.tp_rank == tp_rank) {
          tensors.push_back(&tensor);
        }
      }
      if (tensors.empty()) {
        continue;
      }
      if (auto checked = check_rank(tp_rank, tensors); !checked) {
        return fail(checked.error());
      }
    }
    look_for_resemblance();
    if (options_.search && !report_.right()) {
      search(configs);
    }
    return std::move(report_);
  }

 private:
  void find_missing(const Candidate& candidate) {
    std::map<std::string, std::set<std::int64_t>> ranks;
    for (const CandidateTensor& tensor : candidate.tensors) {
      ranks[tensor.name].insert(tensor.tp_rank);
    }
    for (const auto& [name, given] : ranks) {
      MissingRanks missing{name, {}};
      std::copy_if(manifest_.ranks.begin(), manifest_.ranks.end(),
                   std::back_inserter(missing.ranks),
                   [&set = given](std::int64_t rank) { return !set.contains(rank); });
      if (!missing.ranks.empty() && !options_.partial) {
        report_.missing.push_back(std::move(missing));
      }
    }
    for (const char* name : {"y", "y_base", "delta", "weight", "lora_b"}) {
      if (!ranks.contains(name)) {
        report_.not_given.emplace_back(name);
      }
    }
  }

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
    const Case& one = report_.item.spec;
    const auto own = owned_heads(*report_.item.geometry, tp_rank, one.tp_size / one.dp_size);
    if (!own) {
      return fail(own.error());
    }
    const LabelContext context{report_.item, *own, resident()};
    std::vector<const CandidateTensor*> buffers;
    for (const CandidateTensor* tensor : tensors) {
      if (is_slot_buffer(tensor->name)) {
        buffers.push_back(tensor);
      } else if (auto checked = check_tensor(context, **golden, *tensor); !checked) {
        return checked;
      }
    }
    auto results = check_slot_buffers(context, **golden, buffers);
    if (!results) {
      return fail(results.error());
    }
    for (BufferResult& result : *results) {
      keep(result.places);
      if (result.comparison.tensor == "lora_b" && result.comparison.mismatched > 0) {
        buffers_.push_back({tp_rank, result.comparison.shape[1], result.comparison.shape[2],
                            std::move(result.values)});
      }
      if (result.fit) {
        report_.fits.push_back(*result.fit);
      }
      report_.tensors.push_back(std::move(result.comparison));
    }
    return {};
  }

  void keep(const std::vector<PlaceFinding>& places) {
    report_.places.insert(report_.places.end(), places.begin(), places.end());
  }

  [[nodiscard]] std::vector<int> resident() const {
    const Case& one = report_.item.spec;
    std::vector<int> slots(static_cast<std::size_t>(one.slots), -1);
    for (const LiveAdapter& live : live_adapters(shapes_of(one.adapters), one.steps)) {
      slots[static_cast<std::size_t>(live.slot)] = live.adapter;
    }
    return slots;
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
    report_.tensors.push_back(std::move(*comparison));
    const bool explain =
        report_.tensors.back().mismatched > 0 && report_.tensors.back().elements <= kMostExplained;
    return explain ? explain_tensor(context, tensor, golden, *expected) : Result<void>();
  }

  Result<void> explain_tensor(const LabelContext& context, const CandidateTensor& tensor,
                              const SafetensorsFile& golden, const TensorEntry& expected) {
    const bool output = tensor.name == "y" || tensor.name == "y_base" || tensor.name == "delta";
    const bool labels = context.item.spec.data == DataKind::labels;
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
    if (options_.judge != Judge::bits && (output || tensor.name.starts_with("u."))) {
      judge(context, *values, *due, expected);
      if (report_.tensors.back().mismatched == 0) {
        return {};
      }
    }
    if (!output && !(labels && tensor.name == "weight")) {
      return {};
    }
    if (labels) {
      keep(output ? places_of_output(context, tensor.name, *values)
                  : places_of_weight(context, *values));
    }
    if (output && !report_.tensors.back().constant) {
      outputs_.push_back({context.own, tensor.name, std::move(*values), std::move(*due)});
    }
    return {};
  }

  /// Counts as mismatched only what the judge does not allow.
  void judge(const LabelContext& context, const std::vector<float>& values,
             const std::vector<float>& due, const TensorEntry& expected) {
    TensorComparison& one = report_.tensors.back();
    const auto exact = exact_values(report_.item, context.own, one.tensor, options_.threads);
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
  }

  /// What else gives just these bits.
  void search(const ConfigFolders& configs) {
    const auto alike = look_alike(report_.item, outputs_);
    report_.resemblance.insert(report_.resemblance.end(), alike.begin(), alike.end());
    report_.same = find_computation(report_.item, outputs_, options_.threads);
    if (!report_.same.empty()) {  // says more of them
      std::erase_if(report_.places, [](const PlaceFinding& one) {
        return std::holds_alternative<FoundUnknown>(one.found);
      });
    }
    const auto catalogue = BugCatalogue::read(configs);
    if (!catalogue) {
      report_.notes.push_back("published bugs were not tried: " + catalogue.error().text());
      return;
    }
    bool too_much = false;
    const auto bugs =
        find_bug(report_.item, *catalogue, outputs_, buffers_, options_.threads, too_much);
    report_.same.insert(report_.same.end(), bugs.begin(), bugs.end());
    if (too_much) {
      report_.notes.emplace_back(
          "published bugs were not tried: the case is too large for that, a smaller model or "
          "fewer tokens show as much");
    }
  }

  /// What needs no search to see.
  void look_for_resemblance() {
    for (const TensorComparison& one : report_.tensors) {
      const auto say = [&](const std::string& what) {
        report_.resemblance.push_back(
            fmt::format("{} of tp_rank {} {}", one.tensor, one.tp_rank, what));
      };
      if (one.mismatched > 0 && one.constant) {
        say(fmt::format("is {} everywhere: it was never written", one.constant_value));
      }
      if (one.mismatched > 0 && one.not_finite > 0 && !one.constant) {
        say(fmt::format("has {} elements that are NaN or infinite where a number is due",
                        one.not_finite));
      }
    }
  }

  const CheckOptions& options_;
  ReadManifest manifest_;
  CheckReport report_;
  std::vector<WrongOutput> outputs_;
  std::vector<WrongBuffer> buffers_;
};

}  // namespace

bool CheckReport::right() const {
  return missing.empty() && fits.empty() && places.empty() && !tensors.empty() &&
         std::all_of(tensors.begin(), tensors.end(),
                     [](const TensorComparison& one) { return one.mismatched == 0; });
}

Result<CheckReport> check_candidate(const CheckOptions& options, const ConfigFolders& configs) {
  auto manifest = read_manifest(options.golden);
  if (!manifest) {
    return fail(manifest.error());
  }
  auto item = parse_case(manifest->case_line).and_then([&](const Case& one) {
    return prepare(one, configs);
  });
  if (!item) {
    return fail(fmt::format("its case cannot be read any more: {}", item.error().text()),
                (options.golden / "manifest.json").string());
  }
  if (!item->geometry || manifest->ranks.empty()) {
    return fail("has no ranks to check", (options.golden / "manifest.json").string());
  }
  return Checker(options, std::move(*manifest), std::move(*item)).run(configs);
}

}  // namespace tplora::core
