// tplora as a library: does an engine's layout of QKV + LoRA under tensor parallelism (TP) hold?
//
//   const auto configs = tplora::open_configs(TPLORA_CONFIGS_DIR);
//   const auto engine = tplora::load_engine(*configs, "sglang");
//   const auto model = tplora::load_model(*configs, "Qwen/Qwen3-4B");
//   const auto report = tplora::check(*engine, *model, model->layer_kinds[0], {.tp_size = 4});
//   if (report && report->verdict != tplora::Verdict::consistent) { std::cerr << report->text(); }
//
// docs/api.md is the guide; its program is compiled and run by the tests. Rules for all of it:
// - This header, and what it includes, is the whole public interface: namespace tplora. What
//   stands in namespaces below it may change with any version.
// - Bad input gives an Error, a sentence and a place, and never an exception. Exceptions are
//   mistakes of ours, and memory that is not there.
// - Everything returned owns what it holds: no result refers to an argument or to a handle.
// - Engine and Configs are immutable; every function may be called from several threads at once.
// - Equal arguments give equal results, bit for bit, on any machine and for any number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/base/range.hpp"
#include "sim/base/result.hpp"
#include "sim/layout/proof_range.hpp"
#include "sim/layout/verdict.hpp"
#include "sim/model/geometry.hpp"

namespace tplora {

namespace core {  // what handles hold, which is no part of the interface
struct EngineData;
struct ReportData;
struct GoldenData;
struct Access;
}  // namespace core

/// "0.1.0".
[[nodiscard]] std::string version();

// --- models, engines -----------------------------------------------------------------------------

/// A folder of models, engines and published bugs, as an installation has one.
class Configs {
 public:
  [[nodiscard]] const std::filesystem::path& root() const { return root_; }
  /// Names that load_model and load_engine take, sorted. Refused, so that nothing is left out in
  /// silence: a folder that is not there, cannot be read or holds none, a link that leads nowhere.
  [[nodiscard]] Result<std::vector<std::string>> models() const;
  [[nodiscard]] Result<std::vector<std::string>> engines() const;
  [[nodiscard]] Result<std::vector<std::string>> bugs() const;

 private:
  friend Result<Configs> open_configs(const std::filesystem::path& root);
  explicit Configs(std::filesystem::path root) : root_(std::move(root)) {}
  std::filesystem::path root_;
};

/// Refused: a path without a folder `engines` in it. Files in there are read when they are asked
/// for.
[[nodiscard]] Result<Configs> open_configs(const std::filesystem::path& root);

/// The layer kinds of a model, each with the geometry of its qkv projection. `name`: a name of the
/// collection, the path of a config.json, or a geometry written out
/// ("H=32,KV=8,D=128,hidden=4096"). Refused: what is none of these, and a config whose heads cannot
/// be known.
[[nodiscard]] Result<Model> load_model(const Configs& configs, const std::string& name);

/// A geometry of one's own, completed and validated: v_head_dim left 0 is head_dim, and the
/// config-global values left 0 become the layer's own. (A config *without* such a key is said by
/// load_model("H=..,KV_config=0,..").) Refused: what breaks the rules at QkvGeometry, by field.
[[nodiscard]] Result<QkvGeometry> make_geometry(QkvGeometry geometry);

/// What an engine does with qkv LoRA, read from its contract. A handle: cheap to copy.
class Engine {
 public:
  // Moving copies, so that there is no handle without an engine.
  Engine(const Engine&) = default;
  Engine& operator=(const Engine&) = default;

  /// The contract's name, and the engine and version that it describes.
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string describes() const;

 private:
  friend struct core::Access;
  explicit Engine(std::shared_ptr<const core::EngineData> data) : data_(std::move(data)) {}
  std::shared_ptr<const core::EngineData> data_;
};

/// `name`: an engine or published bug of the configs, or the path of a contract file. Refused: a
/// contract that does not read, with file, JSON pointer, what was found and what was expected.
[[nodiscard]] Result<Engine> load_engine(const Configs& configs, const std::string& name);

// --- one case ------------------------------------------------------------------------------------

/// How the layer is served.
struct Serving {
  std::int64_t tp_size = 1;  ///< ranks in all, 1 to 1024
  /// The rest of a case line (docs/formats/case.md): "R=32 slots=4 adapters=a:r16:alpha32:qkv
  /// tokens=a,-" and so on. Empty: two adapters side by side, of which one takes the slot of an
  /// earlier tenant, R = 16, in the form that the engine takes.
  std::string scenario = {};
  /// Run the forward of all ranks too, and compare every output bit with the unsharded one. Takes
  /// tokens * rows * hidden_size multiplications and more; else only the laws are checked, which
  /// takes none.
  bool numbers = false;
};

/// What is wrong on one tp_rank. Heads and rows are logical: of the part's own projection, counted
/// from its first.
struct Finding {
  Law law = Law::check;
  Verdict verdict = Verdict::silent;  ///< what this finding alone makes of the case
  std::int64_t tp_rank = 0;
  std::string adapter;  ///< whose delta is concerned; empty: the base layer
  std::optional<Part> part;
  std::optional<Range> heads, rows;  ///< of `part`, set where it is
  std::optional<Range> columns;      ///< of the rank's output; nothing: none in particular
  bool consequence = false;          ///< of what else the same cause does: replicas that disagree
  std::string message;               ///< one sentence: where, what stands there, what is due, why
  std::string cause_place;           ///< file and JSON pointer of the formula or word to blame
  std::vector<std::string> other_places;  ///< which may as well be wrong instead, likelier first
};

/// What the numbers said.
struct Numbers {
  std::int64_t compared = 0;  ///< outputs of all ranks, once each
  std::int64_t wrong = 0;     ///< of these, with other bits than the unsharded forward's
  /// Why equal bits show nothing here (no token uses an adapter, a delta that changes no bit);
  /// empty: they do.
  std::string vacuous;
  std::uint64_t digest = 0;  ///< of all output bits, ranks in order
};

/// What came of one case. Owns everything; stays valid whatever happens to engine and configs. One
/// that was moved away has no text and no JSON: asking for them throws.
class Report {
 public:
  Verdict verdict = Verdict::consistent;
  bool shape_check = true;  ///< what an assertion on shapes alone would say
  /// Whether the contract claims to work here; outside its claims a broken law is information.
  bool claimed = true;
  std::vector<Finding> findings;     ///< by tp_rank in order of discovery
  std::vector<std::string> same_as;  ///< published bugs that do the same to this case
  std::optional<Numbers> numbers;    ///< where they were asked for and nothing was refused
  std::string case_line;             ///< what `tplora replay` takes

  /// The report for people: geometry, row map and findings as `tplora layout` prints them, then
  /// what the numbers say.
  [[nodiscard]] std::string text() const;
  /// The laws' side of it as JSON (docs/formats/layout.md).
  [[nodiscard]] std::string json() const;

 private:
  friend struct core::Access;
  explicit Report(std::shared_ptr<const core::ReportData> data) : data_(std::move(data)) {}
  std::shared_ptr<const core::ReportData> data_;
};

/// Whether the engine's layout holds for a layer. A plan that the engine refuses or crashes on is a
/// verdict. Refused: a geometry that `make_geometry` refuses or has not filled, a Serving with a value out of range,
/// adapters or tokens that do not exist, a contract with a formula that is undefined here, numbers
/// that no machine would finish.
///
/// An engine may do something else with some classes of models (`variants` of a contract). A bare
/// geometry is of no class: it gets what the contract says of none in particular.
[[nodiscard]] Result<Report> check(const Engine& engine, const QkvGeometry& geometry,
                                   const Serving& serving);

/// The same for a layer kind of a model, under what the engine does with that model's class.
/// Refused: also a layer kind without qkv projection, and one that is none of the model's.
[[nodiscard]] Result<Report> check(const Engine& engine, const Model& model, const LayerKind& kind,
                                   const Serving& serving);

/// The same for a whole case line, which names model and engine itself. Refused: also what
/// load_model and load_engine refuse.
[[nodiscard]] Result<Report> check_case(const Configs& configs, const std::string& case_line,
                                        bool numbers = false);

// --- a whole range -------------------------------------------------------------------------------

/// Points of one half of a range: where the contract claims to work, or where it does not.
struct ProofCounts {
  std::int64_t consistent = 0, refused = 0, crash = 0, silent = 0;
};

/// What `prove` found.
struct ProofResult {
  ProofCounts claimed, unclaimed;
  ProofCounts other_adapters;  ///< claimed points with adapters of other shapes (ProofRange)
  ProofCounts other_numbers;   ///< claimed points with other config numbers or dp_size (ProofRange)
  /// No claimed point is silent, with whatever adapter, and something is consistent.
  bool holds = false;
  /// The smallest claimed point that is silent; where there is none, of those of other adapters.
  std::optional<Report> counterexample;
  std::optional<Report> smallest_crash;  ///< the smallest claimed point that crashes
  std::string text;                      ///< as `tplora prove` prints it
};

/// Checks every geometry, tp_size and lora_rank of a range. `jobs`: threads, 0 for one a core; they
/// change nothing in the result. Refused: what `validate` refuses of the range, fewer than 0 jobs
/// or more than 1024, a contract with a formula or claim that is undefined somewhere in it.
[[nodiscard]] Result<ProofResult> prove(const Engine& engine, const ProofRange& range,
                                        int jobs = 0);

// --- what must come out --------------------------------------------------------------------------

/// An adapter's tensors, by Part; empty where it does not target the part. With `shared_a` there is
/// one A, that of q.
struct GoldenAdapter {
  std::string name;
  std::array<std::int64_t, 3> lora_ranks = {};  ///< by Part
  std::array<float, 3> scaling = {};            ///< by Part: what the delta is multiplied by
  bool shared_a = false;
  std::array<std::vector<float>, 3> a;  ///< [lora_rank of the part, hidden_size], row-major
  std::array<std::vector<float>, 3> b;  ///< [rows(part), lora_rank of the part], row-major
};

/// What one tp_rank must give: columns q | k | v of the query heads that it owns and the KV heads
/// to which these belong.
struct GoldenRank {
  std::int64_t tp_rank = 0;
  std::int64_t first_q = 0, q_heads = 0;
  std::int64_t first_kv = 0, kv_heads = 0;
  std::int64_t width = 0;     ///< columns
  std::vector<float> y_base;  ///< [tokens, width], row-major, before any delta
  std::vector<float> y;       ///< [tokens, width]
};

/// Inputs and exact outputs of one case. Every float is a value of the case's dtype.
class Golden {
 public:
  QkvGeometry geometry;
  std::int64_t tokens = 0;
  std::vector<int> adapter_of_token;       ///< number of the adapter, -1 for none
  std::vector<float> x;                    ///< [tokens, hidden_size], row-major
  std::array<std::vector<float>, 3> bias;  ///< [rows(part)]; empty: the layer has none
  std::vector<GoldenAdapter> adapters;
  std::array<std::vector<float>, 3> y_base;  ///< by Part: [tokens, rows(part)], before any delta
  std::array<std::vector<float>, 3> y;       ///< by Part: [tokens, rows(part)]
  std::vector<GoldenRank> ranks;             ///< by tp_rank
  std::string case_line;

  /// Rows [first_row, first_row + rows) of the base weight of `part`: [rows, hidden_size],
  /// row-major. Made when asked for: a layer's weights need not fit memory. Refused: rows that the
  /// part does not have.
  [[nodiscard]] Result<std::vector<float>> weight(Part part, std::int64_t first_row,
                                                  std::int64_t rows) const;

 private:
  friend struct core::Access;
  explicit Golden(std::shared_ptr<const core::GoldenData> data) : data_(std::move(data)) {}
  std::shared_ptr<const core::GoldenData> data_;
};

/// The unsharded forward of a case, cut by what each rank must own. Of the engine only the rounding
/// program counts, never its layout. Refused: what `check` refuses, and a tp_size that does not
/// divide num_attention_heads, for which no rule says who owns what.
[[nodiscard]] Result<Golden> golden(const Engine& engine, const QkvGeometry& geometry,
                                    const Serving& serving);

}  // namespace tplora
