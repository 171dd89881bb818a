#include "verify/golden/golden.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

#include "sim/base/ensure.hpp"
#include "sim/base/sha256.hpp"
#include "sim/ranks/tp_group.hpp"
#include "verify/golden/checkpoint.hpp"
#include "verify/golden/integers.hpp"
#include "verify/golden/manifest.hpp"
#include "verify/golden/owned_heads.hpp"
#include "verify/run/laws.hpp"
#include "verify/run/unsharded.hpp"
#include "verify/run/work.hpp"

namespace tplora::core {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> cannot_write(const fs::path& path, const std::error_code& code) {
  Error error{"cannot be written: " + code.message(), path.string()};
  error.is_output = true;
  return fail(std::move(error));
}

/// A folder under a temporary name, removed unless it was given its own.
class NewFolder {
 public:
  static Result<NewFolder> create(const fs::path& folder) {
    std::error_code code;
    if (fs::exists(fs::symlink_status(folder, code))) {
      return fail("--out: it exists already; expected a new folder", folder.string());
    }
    fs::path temporary = folder;
    if (!temporary.has_filename()) {  // "out/"
      temporary = temporary.parent_path();
    }
    NewFolder made(temporary, temporary.string() + fmt::format(".{}.tmp", ::getpid()));
    fs::create_directories(made.temporary_, code);
    if (code) {
      return cannot_write(made.temporary_, code);
    }
    return made;
  }
  NewFolder(NewFolder&& other) noexcept
      : folder_(std::move(other.folder_)), temporary_(std::exchange(other.temporary_, {})) {}
  NewFolder& operator=(NewFolder&&) = delete;
  ~NewFolder() {
    if (!temporary_.empty()) {
      std::error_code ignored;
      fs::remove_all(temporary_, ignored);
    }
  }
  [[nodiscard]] const fs::path& path() const { return temporary_; }
  [[nodiscard]] Result<void> name_it() {
    std::error_code code;
    fs::rename(temporary_, folder_, code);
    if (code) {
      return cannot_write(folder_, code);
    }
    temporary_.clear();
    return {};
  }

 private:
  NewFolder(fs::path folder, fs::path temporary)
      : folder_(std::move(folder)), temporary_(std::move(temporary)) {}
  fs::path folder_, temporary_;
};

/// The dtype that a value has after `steps`: that of the model where the last one rounds.
ScalarType type_after(std::span<const Step> steps, ScalarType dtype) {
  return !steps.empty() && steps.back() == Step::round ? dtype : ScalarType::fp32;
}

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
    find_vacuous();
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

  /// Notes every delta that changes no output bit: a kernel that leaves it out would pass.
  void find_vacuous() {
    for (std::size_t number = 0; number < item_.spec.adapters.size(); ++number) {
      for (const Part part : kParts) {
        if (unsharded_.adapters()[number].spec().has(part)) {
          find_vacuous(static_cast<int>(number), part);
        }
      }
    }
    if (std::all_of(item_.spec.tokens.begin(), item_.spec.tokens.end(),
                    [](int adapter) { return adapter < 0; })) {
      vacuous_.emplace_back("no token uses an adapter");
    }
  }

  void find_vacuous(int adapter, Part part) {
    const auto y = unsharded_.reference().output(part);
    const auto base = unsharded_.reference().base_output(part);
    for (const OwnedHeads& own : heads_) {
      const ColumnsOfPart& columns = own.columns[static_cast<std::size_t>(part)];
      bool used = false;
      bool shown = false;
      for (std::size_t token = 0; token < item_.spec.tokens.size(); ++token) {
        const std::size_t from = token * static_cast<std::size_t>(g_.rows(part)) +
                                 static_cast<std::size_t>(columns.first_row);
        used = used || item_.spec.tokens[token] == adapter;
        for (std::size_t row = 0; item_.spec.tokens[token] == adapter && !shown &&
                                  row < static_cast<std::size_t>(columns.rows);
             ++row) {
          shown = !same_bits(y[from + row], base[from + row]);
        }
      }
      if (used && !shown) {
        vacuous_.push_back(fmt::format("the delta of adapter {} changes no bit of {} on tp_rank {}",
                                       item_.spec.adapters[static_cast<std::size_t>(adapter)].name,
                                       part_name(part), own.tp_rank));
      }
    }
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

  Result<void> make_folder(const std::string& name) {
    std::error_code code;
    fs::create_directories(folder_ / name, code);
    return code ? Result<void>(cannot_write(folder_ / name, code)) : Result<void>();
  }

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
                                checkpoint_tensors(item_, unsharded_.generator(), names_)));
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

  /// By slot the number of the adapter that is in it after the steps, -1 for none.
  [[nodiscard]] std::vector<int> resident() const {
    std::vector<int> slots(static_cast<std::size_t>(item_.spec.slots), -1);
    for (const LiveAdapter& live :
         live_adapters(shapes_of(item_.spec.adapters), item_.spec.steps)) {
      slots[static_cast<std::size_t>(live.slot)] = live.adapter;
    }
    return slots;
  }

  /// -1: no token of it can run.
  [[nodiscard]] std::int32_t slot_of(int adapter) const {
    const std::vector<int> slots = resident();
    const auto found = std::find(slots.begin(), slots.end(), adapter);
    return adapter < 0 || found == slots.end() ? -1
                                               : static_cast<std::int32_t>(found - slots.begin());
  }

  /// [tokens, width] of by-part values [tokens, rows(part)].
  [[nodiscard]] std::vector<float> cut(
      const OwnedHeads& own, const std::function<std::span<const float>(Part)>& of) const {
    std::vector<float> values;
    values.reserve(static_cast<std::size_t>(own.width) * item_.spec.tokens.size());
    for (std::size_t token = 0; token < item_.spec.tokens.size(); ++token) {
      for (const ColumnsOfPart& columns : own.columns) {
        const auto row = of(columns.part)
                             .subspan(token * static_cast<std::size_t>(g_.rows(columns.part)) +
                                          static_cast<std::size_t>(columns.first_row),
                                      static_cast<std::size_t>(columns.rows));
        values.insert(values.end(), row.begin(), row.end());
      }
    }
    return values;
  }

  TensorToWrite output_tensor(const std::string& name, ScalarType type, const OwnedHeads& own,
                              const std::function<std::span<const float>(Part)>& of) const {
    return tensor_of(name, type, {unsharded_.batch().tokens(), own.width}, cut(own, of));
  }

  Result<void> write_rank(const OwnedHeads& own) {
    const RoundingProgram& program = *unsharded_.arithmetic().program;
    const ScalarType dtype = item_.spec.dtype;
    const Reference& reference = unsharded_.reference();
    std::vector<TensorToWrite> tensors;
    tensors.push_back(weight_of(own));
    if (g_.qkv_bias) {
      tensors.push_back(bias_of(own));
    }
    add_slots(own, tensors);
    tensors.push_back(output_tensor("y_base", type_after(program.base, dtype), own,
                                    [&](Part part) { return reference.base_output(part); }));
    tensors.push_back(output_tensor("y", type_after(program.sum, dtype), own,
                                    [&](Part part) { return reference.output(part); }));
    tensors.push_back(output_tensor(
        "delta", type_after(program.delta, dtype), own,
        [&](Part part) -> std::span<const float> { return reference.steps(part).delta; }));
    for (const Part part : kParts) {
      const ForwardSteps& steps = reference.steps(part);
      if (steps.lora_rank > 0) {
        tensors.push_back(tensor_of(fmt::format("u.{}", part_name(part)),
                                    type_after(program.shrink, dtype),
                                    {unsharded_.batch().tokens(), steps.lora_rank}, steps.u));
      }
    }
    if (summary_.pool) {
      add_pool(own.tp_rank, tensors);
    }
    describe_tensors(own, tensors);
    const std::string name = fmt::format("rank{}.safetensors", own.tp_rank);
    return keep(name, write_safetensors(folder_ / name, metadata(), std::move(tensors)));
  }

  TensorToWrite weight_of(const OwnedHeads& own) const {
    const auto produce = [this, own](const TakeBytes& take) -> Result<void> {
      constexpr std::int64_t kRows = 64;
      std::vector<float> block(static_cast<std::size_t>(kRows * g_.hidden_size));
      for (const ColumnsOfPart& columns : own.columns) {
        for (std::int64_t row = 0; row < columns.rows; row += kRows) {
          const std::int64_t some = std::min(kRows, columns.rows - row);
          unsharded_.generator().fill({Tensor::weight, columns.part, 0},
                                      {.cols = g_.hidden_size,
                                       .first_row = columns.first_row + row,
                                       .rows = some,
                                       .first_col = 0,
                                       .block_cols = g_.hidden_size},
                                      block.data(), g_.hidden_size);
          const auto made =
              std::span<const float>(block).first(static_cast<std::size_t>(some * g_.hidden_size));
          if (auto taken = put_values(item_.spec.dtype, made, take); !taken) {
            return taken;
          }
        }
      }
      return {};
    };
    return {"weight", stored_type(item_.spec.dtype), {own.width, g_.hidden_size}, produce};
  }

  TensorToWrite bias_of(const OwnedHeads& own) const {
    std::vector<float> values;
    for (const ColumnsOfPart& columns : own.columns) {
      const std::vector<float> all = unsharded_.generator().bias(columns.part);
      const auto from = all.begin() + columns.first_row;
      values.insert(values.end(), from, from + columns.rows);
    }
    return tensor_of("bias", item_.spec.dtype, {own.width}, std::move(values));
  }

  /// What the slots must hold, in no engine's layout: row i of lora_b is for column i.
  void add_slots(const OwnedHeads& own, std::vector<TensorToWrite>& tensors) const {
    const std::int64_t slots = item_.spec.slots;
    const std::int64_t most = item_.spec.max_lora_rank;
    const std::vector<int> adapter_of_slot = resident();
    const auto size = [&](std::int64_t rows, std::int64_t cols) {
      return std::vector<float>(static_cast<std::size_t>(slots * rows * cols));
    };
    std::vector<float> b = size(own.width, most);
    std::array<std::vector<float>, 3> a;
    for (const Part part : kParts) {
      const auto i = static_cast<std::size_t>(part);
      a[i] = size(most, g_.hidden_size);
      for (std::int64_t slot = 0; slot < slots; ++slot) {
        const int number = adapter_of_slot[static_cast<std::size_t>(slot)];
        if (number < 0) {
          continue;
        }
        const Adapter& adapter = unsharded_.adapters()[static_cast<std::size_t>(number)];
        const std::int64_t lora_rank = adapter.spec().rank_of(part);
        if (!adapter.spec().has(part) || lora_rank > most) {
          continue;
        }
        std::copy(adapter.a(part).begin(), adapter.a(part).end(),
                  a[i].begin() + slot * most * g_.hidden_size);
        const ColumnsOfPart& columns = own.columns[i];
        for (std::int64_t row = 0; row < columns.rows; ++row) {
          for (std::int64_t col = 0; col < lora_rank; ++col) {
            const float value = adapter.b(
                part)[static_cast<std::size_t>((columns.first_row + row) * lora_rank + col)];
            b[static_cast<std::size_t>(((slot * own.width) + columns.at + row) * most + col)] =
                apply(unsharded_.arithmetic().program->load_b, value, adapter.spec().scaling(part),
                      item_.spec.dtype);
          }
        }
      }
      tensors.push_back(tensor_of(fmt::format("lora_a.{}", part_name(part)), item_.spec.dtype,
                                  {slots, most, g_.hidden_size}, std::move(a[i])));
    }
    tensors.push_back(
        tensor_of("lora_b", item_.spec.dtype, {slots, own.width, most}, std::move(b)));
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
    std::string sums;
    for (const GoldenFile& file : summary_.files) {
      sums += file.sha256 + "  " + file.name + "\n";
    }
    summary_.identity = sha256_of(sums);
    Manifest manifest{.version = options_.version,
                      .item = item_,
                      .summary = summary_,
                      .ranks = ranks_,
                      .adapters = {},
                      .modules = names_,
                      .resident = resident(),
                      .vacuous = vacuous_};
    for (const Adapter& adapter : unsharded_.adapters()) {
      manifest.adapters.push_back(adapter.spec());
    }
    return keep("manifest.json",
                write_text_file(folder_ / "manifest.json", manifest_text(manifest)));
  }

  void add_notes() {
    auto& notes = summary_.notes;
    if (!summary_.pool) {
      notes.push_back(fmt::format(
          "contract {} does not keep the laws here ({}): its buffers are not among the expected "
          "values, which come from the model alone; tplora replay says what is wrong",
          item_.contract->name, verdict_name(laws_.analysis.verdict)));
    }
    for (const std::string& one : vacuous_) {
      notes.push_back("vacuous: " + one);
    }
    if (item_.spec.data == DataKind::labels) {
      add_label_notes();
    }
    if (item_.spec.data == DataKind::integers) {
      if (const auto budget = integer_budget(item_)) {
        notes.push_back("one right answer for every order of summation: " + budget->text());
      }
    }
  }

  void add_label_notes() {
    for (std::size_t number = 0; number < item_.spec.adapters.size(); ++number) {
      std::array<bool, 8> digits{};
      bool used = false;
      for (std::size_t token = 0; token < item_.spec.tokens.size(); ++token) {
        if (item_.spec.tokens[token] == static_cast<int>(number)) {
          digits[token % 8] = true;
          used = true;
        }
      }
      const AdapterSpec& adapter = item_.spec.adapters[number];
      if (used && std::find(digits.begin(), digits.end(), false) != digits.end()) {
        summary_.notes.push_back(fmt::format(
            "outputs of adapter {} do not tell their rows in full: token i shows digit i % 8, so "
            "eight tokens in a row are needed of each adapter",
            adapter.name));
      }
      if (adapter.lora_rank < 4) {
        summary_.notes.push_back(fmt::format(
            "adapter {} has lora_rank {}: its rows of B are told modulo {} only, lora_rank 4 tells "
            "them and the adapter",
            adapter.name, adapter.lora_rank, std::int64_t{1} << (8 * adapter.lora_rank)));
      }
    }
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
