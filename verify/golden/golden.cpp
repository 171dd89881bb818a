#include "verify/golden/golden.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "sim/base/ensure.hpp"
#include "sim/ranks/tp_group.hpp"
#include "verify/golden/checkpoint.hpp"
#include "verify/golden/golden_notes.hpp"
#include "verify/golden/integers.hpp"
#include "verify/golden/manifest.hpp"
#include "verify/golden/new_folder.hpp"
#include "verify/golden/owned_heads.hpp"
#include "verify/golden/rank_tensors.hpp"
#include "verify/run/laws.hpp"
#include "verify/run/unsharded.hpp"
#include "verify/run/work.hpp"

namespace tplora::core {
namespace {

namespace fs = std::filesystem;

/// One golden while it is written.
class GoldenWriter {
 public:
  GoldenWriter(const PreparedCase& item, const ConfigFolders& configs, const GoldenOptions& options,
               const LayerReport& laws, std::vector<OwnedHeads> heads)
      : item_(item),
        configs_(configs),
        options_(options),
        laws_(laws),
        heads_(std::move(heads)),
        g_(*item.geometry),
        names_(module_names(item, options.tensor_prefix)),
        unsharded_(item, expand_depths(laws.analysis, item.spec.adapters.size()), true) {}

  Result<GoldenSummary> write(const fs::path& folder) {
    folder_ = folder;
    summary_.engine_verdict = laws_.analysis.verdict;
    summary_.pool = laws_.analysis.verdict == Verdict::consistent;
    compute();
    Result<void> written;
    const auto step = [&](bool wanted, auto what) {
      if (written && wanted) {
        written = what();
      }
    };
    step(options_.pieces.checkpoint, [&] { return write_checkpoint(); });
    step(options_.pieces.adapters, [&] { return write_adapters(); });
    step(options_.pieces.inputs, [&] { return write_inputs(); });
    for (const OwnedHeads& own : heads_) {
      step(options_.pieces.ranks, [&] { return write_rank(own); });
      step(options_.as_engine, [&] { return write_as_engine(own); });
    }
    step(true, [&] { return write_manifest(); });
    return written ? Result<GoldenSummary>(std::move(summary_)) : fail(written.error());
  }

 private:
  void add_notes() {
    auto& notes = summary_.notes;
    notes = options_.notes;
    if (!summary_.pool) {
      notes.push_back(fmt::format(
          "contract {} does not keep the laws here ({}): its buffers are not among the expected "
          "values, which come from the model alone; tplora replay says what is wrong",
          item_.contract->name, verdict_name(laws_.analysis.verdict)));
    }
    for (const std::string& one : vacuous_) {
      notes.push_back("vacuous: " + one);
    }
    for (std::string& one : data_notes(item_)) {
      notes.push_back(std::move(one));
    }
  }

  void say(const std::string& sentence) const {
    if (options_.progress) {
      options_.progress(sentence);
    }
  }

  void compute() {
    say("forward");
    if (laws_.analysis.failures.empty()) {
      group_ =
          std::make_unique<TpGroup>(*item_.contract, layout_case(item_.spec, g_).deployment,
                                    laws_.analysis, unsharded_.arithmetic(), unsharded_.batch());
      group_->load_adapters(unsharded_.adapters());
    }
    if (options_.as_engine) {
      unsharded_.run(
          [&](Part part, std::int64_t first_row, const Panel& panel, std::span<const float> bias) {
            group_->accept_panel(part, first_row, panel, bias);
          });
      group_->finish();
    } else {
      unsharded_.run_rows(rows_of_ranks(), options_.threads);
    }
    vacuous_ = vacuous_deltas(item_, unsharded_, heads_);
  }

  /// Of each part, the rows from the first to the last that a chosen rank owns.
  [[nodiscard]] std::array<RowRange, 3> rows_of_ranks() const {
    std::array<RowRange, 3> ranges;
    for (const Part part : kParts) {
      const auto i = static_cast<std::size_t>(part);
      std::int64_t first = g_.rows(part);
      std::int64_t end = 0;
      for (const OwnedHeads& own : heads_) {
        first = std::min(first, own.columns[i].first_row);
        end = std::max(end, own.columns[i].first_row + own.columns[i].rows);
      }
      ranges[i] = {first, std::max<std::int64_t>(end - first, 0)};
    }
    return ranges;
  }

  [[nodiscard]] std::map<std::string, std::string> metadata() const {
    return {{"tplora_case", print_case(item_.spec)}};
  }

  Result<void> keep(const std::string& name, Result<WrittenFile> written) {
    if (!written) {
      return fail(written.error());
    }
    summary_.files.push_back({name, written->bytes, written->sha256});
    say(name);
    return {};
  }

  Result<void> make_folder(const std::string& name) const { return make_folders(folder_ / name); }

  Result<void> write_checkpoint() {
    const auto config = checkpoint_config(item_, configs_.models());
    if (!config) {
      return fail(config.error());
    }
    return make_folder("checkpoint")
        .and_then([&] {
          return keep("checkpoint/config.json",
                      write_text_file(folder_ / "checkpoint/config.json", *config));
        })
        .and_then([&] {
          return keep(
              "checkpoint/model.safetensors",
              write_safetensors(folder_ / "checkpoint/model.safetensors", {{"format", "pt"}},
                                checkpoint_tensors(item_, *unsharded_.tensors(), names_)));
        });
  }

  Result<void> write_adapters() {
    for (const Adapter& adapter : unsharded_.adapters()) {
      if (std::none_of(kParts.begin(), kParts.end(),
                       [&](Part part) { return adapter.spec().has(part); })) {
        continue;  // of other modules only
      }
      AdapterFiles files = adapter_files(item_, adapter, names_);
      const std::string name = "adapters/" + adapter.spec().name + "/";
      auto written =
          make_folder(name)
              .and_then([&] {
                return keep(
                    name + "adapter_config.json",
                    write_text_file(folder_ / (name + "adapter_config.json"), files.config));
              })
              .and_then([&] {
                return keep(name + "adapter_model.safetensors",
                            write_safetensors(folder_ / (name + "adapter_model.safetensors"),
                                              {{"format", "pt"}}, std::move(files.tensors)));
              });
      if (!written) {
        return written;
      }
    }
    return {};
  }

  Result<void> write_inputs() {
    std::vector<std::int32_t> adapters(item_.spec.tokens.begin(), item_.spec.tokens.end());
    std::vector<std::int32_t> slots;
    for (const int adapter : item_.spec.tokens) {
      slots.push_back(slot_of(adapter));
    }
    const auto x = unsharded_.batch().x;
    std::vector<TensorToWrite> tensors;
    tensors.push_back(tensor_of("x", item_.spec.dtype,
                                {unsharded_.batch().tokens(), g_.hidden_size},
                                std::vector<float>(x.begin(), x.end())));
    tensors.push_back(tensor_of("adapter_of_token", std::move(adapters)));
    tensors.push_back(tensor_of("slot_of_token", std::move(slots)));
    return keep("inputs.safetensors",
                write_safetensors(folder_ / "inputs.safetensors", metadata(), std::move(tensors)));
  }

  /// -1: no token of it can run.
  [[nodiscard]] std::int32_t slot_of(int adapter) const {
    const std::vector<int> slots = adapters_in_slots(item_.spec);
    const auto found = std::find(slots.begin(), slots.end(), adapter);
    return adapter < 0 || found == slots.end() ? -1
                                               : static_cast<std::int32_t>(found - slots.begin());
  }

  Result<void> write_rank(const OwnedHeads& own) {
    std::vector<TensorToWrite> tensors = rank_tensors(item_, unsharded_, own);
    if (summary_.pool) {
      add_pool(own.tp_rank, tensors);
    }
    describe_tensors(own, tensors);
    const std::string name = fmt::format("rank{}.safetensors", own.tp_rank);
    return keep(name, write_safetensors(folder_ / name, metadata(), std::move(tensors)));
  }

  /// The engine's own buffers, as its contract fills them.
  void add_pool(std::int64_t tp_rank, std::vector<TensorToWrite>& tensors) const {
    const auto add = [&](const char* kind, const std::string& name,
                         const SlotTensor<float>& tensor) {
      std::vector<float> values = tensor.memory;
      tensors.push_back(tensor_of(fmt::format("pool.{}.{}", kind, name), item_.spec.dtype,
                                  {item_.spec.slots, tensor.rows, tensor.cols}, std::move(values)));
    };
    const FlatPool<float>& pool = group_->pool(tp_rank);
    for (std::size_t i = 0; i < item_.contract->lora_a.buffers.size(); ++i) {
      add("a", item_.contract->lora_a.buffers[i].name, pool.a(static_cast<int>(i)));
    }
    for (std::size_t i = 0; i < item_.contract->lora_b.buffers.size(); ++i) {
      add("b", item_.contract->lora_b.buffers[i].name, pool.b(static_cast<int>(i)));
    }
  }

  Result<void> write_as_engine(const OwnedHeads& own) {
    const RoundingProgram& program = *unsharded_.arithmetic().program;
    const auto width = laws_.analysis.ranks[static_cast<std::size_t>(own.tp_rank)].build.width;
    const auto whole = [](std::span<const float> values) {
      return std::vector<float>(values.begin(), values.end());
    };
    std::vector<TensorToWrite> tensors;
    add_pool(own.tp_rank, tensors);
    tensors.push_back(tensor_of("y_base", type_after(program.base, item_.spec.dtype),
                                {unsharded_.batch().tokens(), width},
                                whole(group_->base_output(own.tp_rank))));
    tensors.push_back(tensor_of("y", type_after(program.sum, item_.spec.dtype),
                                {unsharded_.batch().tokens(), width},
                                whole(group_->output(own.tp_rank))));
    const std::string name = fmt::format("as_engine/rank{}.safetensors", own.tp_rank);
    return make_folder("as_engine").and_then([&] {
      return keep(name, write_safetensors(folder_ / name, metadata(), std::move(tensors)));
    });
  }

  void describe_tensors(const OwnedHeads& own, std::span<const TensorToWrite> tensors) {
    ManifestRank rank{.heads = own, .tensors = {}};
    for (const TensorToWrite& tensor : tensors) {
      rank.tensors.push_back({tensor.name, tensor.type, tensor.shape});
    }
    ranks_.push_back(std::move(rank));
  }

  Result<void> write_manifest() {
    add_notes();
    std::map<std::string, std::string> sums;
    for (const GoldenFile& file : summary_.files) {
      sums[file.name] = file.sha256;
    }
    summary_.identity = identity_of(print_case(item_.spec), sums);
    Manifest manifest{.version = options_.version,
                      .item = item_,
                      .summary = summary_,
                      .ranks = ranks_,
                      .adapters = {},
                      .modules = names_,
                      .resident = adapters_in_slots(item_.spec),
                      .vacuous = vacuous_};
    for (const Adapter& adapter : unsharded_.adapters()) {
      manifest.adapters.push_back(adapter.spec());
    }
    return keep("manifest.json",
                write_text_file(folder_ / "manifest.json", manifest_text(manifest)));
  }

  const PreparedCase& item_;
  const ConfigFolders& configs_;
  const GoldenOptions& options_;
  const LayerReport& laws_;
  std::vector<OwnedHeads> heads_;
  const QkvGeometry& g_;
  ModuleNames names_;
  Unsharded unsharded_;
  std::unique_ptr<TpGroup> group_;
  fs::path folder_;
  GoldenSummary summary_;
  std::vector<ManifestRank> ranks_;
  std::vector<std::string> vacuous_;
};

Result<std::vector<OwnedHeads>> heads_of_ranks(const PreparedCase& item,
                                               std::vector<std::int64_t> ranks) {
  if (ranks.empty()) {
    for (std::int64_t rank = 0; rank < item.spec.tp_size; ++rank) {
      ranks.push_back(rank);
    }
  }
  std::vector<OwnedHeads> heads;
  for (const std::int64_t rank : ranks) {
    if (rank < 0 || rank >= item.spec.tp_size) {
      return fail(fmt::format("--ranks: {} is not one of the {} tp_ranks, which count from 0", rank,
                              item.spec.tp_size));
    }
    auto own = owned_heads(*item.geometry, rank, item.spec.tp_size / item.spec.dp_size);
    if (!own) {
      return fail(own.error());
    }
    heads.push_back(std::move(*own));
  }
  return heads;
}

Result<void> check_request(const PreparedCase& item, const GoldenOptions& options,
                           const LayerReport& laws) {
  for (const AdapterSpec& adapter : item.spec.adapters) {
    if (adapter.part_rows != std::array<std::int64_t, 3>{}) {
      return fail(
          fmt::format("adapter {} has other rows than the layer: it is another model's, and "
                      "nothing comes out of it",
                      adapter.name));
    }
  }
  for (const AdapterSpec& adapter : item.spec.adapters) {
    if (adapter.largest_rank() > item.spec.max_lora_rank) {
      return fail(
          fmt::format("adapter {} has lora_rank {}, and R={}: no slot holds it, and nothing "
                      "comes out of it",
                      adapter.name, adapter.largest_rank(), item.spec.max_lora_rank));
    }
  }
  if (item.tensors != nullptr && (!options.pieces.checkpoint || !options.pieces.adapters)) {
    return fail(
        "--only: with --base the folder needs its checkpoint and adapters, which check reads "
        "again");
  }
  if (options.as_engine && !laws.analysis.failures.empty()) {
    return fail(
        fmt::format("--as-engine: the contract ends with {} here, there is nothing to "
                    "compute",
                    verdict_name(laws.analysis.verdict)));
  }
  if (item.spec.data == DataKind::integers) {
    if (const auto budget = integer_budget(item); !budget) {
      return fail(budget.error());
    }
  }
  NumericWork work = laws.analysis.failures.empty() ? numeric_work(laws) : reference_work(item);
  work.floats *= 2;  // the steps, and what is cut by rank
  return check_work(item, work);
}

}  // namespace

Result<GoldenSummary> write_golden(const PreparedCase& item, const ConfigFolders& configs,
                                   const GoldenOptions& options) {
  if (options.folder.empty()) {
    return fail("--out: expected the name of a new folder, found an empty one");
  }
  if (!item.geometry) {
    return fail("the layer has no qkv projection: " + item.why_no_qkv);
  }
  auto heads = heads_of_ranks(item, options.ranks);
  if (!heads) {
    return fail(heads.error());
  }
  const auto laws = check_laws(item);
  if (!laws) {
    return fail(laws.error());
  }
  if (auto possible = check_request(item, options, *laws); !possible) {
    return fail(possible.error());
  }
  auto folder = NewFolder::create(options.folder);
  if (!folder) {
    return fail(folder.error());
  }
  auto summary =
      GoldenWriter(item, configs, options, *laws, std::move(*heads)).write(folder->path());
  if (!summary) {
    return summary;
  }
  if (auto named = folder->name_it(); !named) {
    return fail(named.error());
  }
  return summary;
}

}  // namespace tplora::core
