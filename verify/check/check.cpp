#include "verify/check/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "sim/base/ensure.hpp"
#include "sim/base/parallel_for.hpp"
#include "sim/base/printable.hpp"
#include "verify/check/candidate.hpp"
#include "verify/check/rank_check.hpp"
#include "verify/check/search.hpp"
#include "verify/golden/manifest.hpp"
#include "verify/golden/own_tensors.hpp"

namespace tplora::core {
namespace {

bool is_output(const std::string& name) {
  return name == "y" || name == "y_base" || name == "delta";
}

/// A case whose tensors are the golden's own.
Result<PreparedCase> prepare_from(const std::filesystem::path& golden, const ReadManifest& manifest,
                                  const Case& one, const ConfigFolders& configs) {
  for (const auto& [name, sum] : manifest.sha256) {
    if (name.starts_with("checkpoint/") || name.starts_with("adapters/")) {
      const auto file = InputFile::open(golden / name);
      const auto found = file ? sha256_of_file(*file) : fail(file.error());
      if (!found) {
        return fail(found.error());
      }
      if (*found != sum) {
        return fail("was changed since the golden was made", (golden / name).string());
      }
    }
  }
  // A config.json that somebody named may be gone or another by now: the golden has its own.
  Case with_own_config = one;
  if (one.model.ends_with(".json")) {
    with_own_config.model = (golden / "checkpoint" / "config.json").string();
  }
  auto own = prepare_own(with_own_config, golden_tensors(golden, manifest.layer, one), configs);
  if (!own) {
    return fail(own.error());
  }
  own->item.spec.model = one.model;
  return std::move(own->item);
}

class Checker {
 public:
  Checker(const CheckOptions& options, ReadManifest manifest, PreparedCase item)
      : options_(options), manifest_(std::move(manifest)) {
    report_.judge = options.judge;
    report_.item = std::move(item);
    report_.vacuous = manifest_.vacuous;
    report_.names = adapter_names(report_.item.spec);
  }

  Result<CheckReport> run(const ConfigFolders& configs) {
    auto candidate = read_candidate(options_.candidate, manifest_);
    if (!candidate) {
      return fail(candidate.error());
    }
    find_missing(*candidate);
    // Ranks are independent; what is wrong is told in their order.
    std::vector<Result<RankResult>> results(manifest_.ranks.size(), RankResult{});
    parallel_for(static_cast<std::int64_t>(results.size()), options_.threads, [&](std::int64_t i) {
      const auto number = static_cast<std::size_t>(i);
      std::vector<const CandidateTensor*> tensors;
      for (const CandidateTensor& tensor : candidate->tensors) {
        if (tensor.tp_rank == manifest_.ranks[number]) {
          tensors.push_back(&tensor);
        }
      }
      if (!tensors.empty()) {
        results[number] =
            check_rank(options_, manifest_, report_.item, manifest_.ranks[number], tensors);
      }
    });
    for (Result<RankResult>& result : results) {
      if (!result) {
        return fail(result.error());
      }
      take(std::move(*result));
    }
    const bool outputs = std::any_of(report_.tensors.begin(), report_.tensors.end(),
                                     [](const TensorComparison& one) {
                                       return is_output(one.tensor) || one.tensor.starts_with("u.");
                                     });
    if (!outputs) {  // buffers and weights show what they hold, whatever the tokens are
      report_.vacuous.clear();
    }
    look_for_resemblance();
    if (!report_.right()) {
      search(configs);
    }
    return std::move(report_);
  }

 private:
  void take(RankResult result) {
    const auto append = [](auto& all, auto& more) {
      std::move(more.begin(), more.end(), std::back_inserter(all));
    };
    append(report_.tensors, result.tensors);
    append(report_.places, result.places);
    append(report_.fits, result.fits);
    append(outputs_, result.outputs);
    append(buffers_, result.buffers);
    for (std::string& note : result.notes) {
      if (std::find(report_.notes.begin(), report_.notes.end(), note) == report_.notes.end()) {
        report_.notes.push_back(std::move(note));
      }
    }
  }

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
      const bool given = std::any_of(ranks.begin(), ranks.end(), [&](const auto& one) {
        return one.first == name || one.first.starts_with(std::string(name) + ".");
      });
      if (!given) {
        report_.not_given.emplace_back(name);
      }
    }
  }

  /// What else gives just these bits.
  void search(const ConfigFolders& configs) {
    const auto alike = look_alike(report_.item, outputs_);
    report_.resemblance.insert(report_.resemblance.end(), alike.begin(), alike.end());
    // A name must give everything that was given: what else is wrong has no such name.
    const bool outputs_wrong = std::any_of(
        report_.tensors.begin(), report_.tensors.end(),
        [](const TensorComparison& one) { return one.mismatched > 0 && is_output(one.tensor); });
    const bool others_wrong = std::any_of(
        report_.tensors.begin(), report_.tensors.end(), [](const TensorComparison& one) {
          return one.mismatched > 0 && !is_output(one.tensor) && one.tensor != "lora_b";
        });
    if (others_wrong) {
      return;
    }
    const bool b_wrong = std::any_of(buffers_.begin(), buffers_.end(),
                                     [](const GivenBuffer& one) { return one.wrong; });
    if (outputs_wrong && !b_wrong) {
      report_.same = find_computation(report_.item, outputs_, options_.threads);
    }
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
    std::map<std::string, std::vector<std::int64_t>> ranks;  // by what is said, in one order
    for (const TensorComparison& one : report_.tensors) {
      if (one.mismatched > 0 && one.constant) {
        ranks[fmt::format("{} is {} everywhere: it was never written", one.tensor,
                          one.constant_value)]
            .push_back(one.tp_rank);
      } else if (one.mismatched > 0 && one.not_finite > 0) {
        ranks[fmt::format("{} has elements that are NaN or infinite where a number is due",
                          one.tensor)]
            .push_back(one.tp_rank);
      }
    }
    for (const auto& [what, where] : ranks) {
      report_.resemblance.push_back(fmt::format(
          "{}, on tp_rank{} {}", what, where.size() == 1 ? "" : "s", fmt::join(where, ", ")));
    }
  }

  const CheckOptions& options_;
  ReadManifest manifest_;
  CheckReport report_;
  std::vector<GivenOutput> outputs_;
  std::vector<GivenBuffer> buffers_;
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
    return one.data == DataKind::file ? prepare_from(options.golden, *manifest, one, configs)
                                      : prepare(one, configs);
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
