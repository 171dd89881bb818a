// A contract: what an engine does with qkv LoRA under tensor parallelism, as data.
//
// docs/formats/contract.md is the authority on the file; this header is what the file becomes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/contract/formula.hpp"
#include "sim/contract/symbols.hpp"

namespace tplora::core {

/// Where a copy takes its rows from.
enum class Source {
  q,
  k,
  v,       ///< the part's own tensor
  fused,   ///< q, k and v in one tensor, in the section's `order`
  shared,  ///< the one A of a fused adapter (lora_a only)
};
[[nodiscard]] std::string_view source_name(Source source);

/// Which resident makes room for an adapter when every slot is taken.
enum class PoolEvict {
  lru,   ///< the one loaded, activated or used the longest ago
  fifo,  ///< the one loaded the longest ago
};
/// Whether tokens without an adapter take up a slot.
enum class PoolBase {
  none,  ///< they need none
  slot,  ///< the base model is a resident like an adapter, in slot 0, while such tokens are served
};

/// The row order the engine assumes in a fused tensor. What the file really holds is a property of
/// model and adapter; a bug is often the two disagreeing.
enum class FusedOrder {
  blocks,            ///< all q heads, all k heads, all v heads
  per_group,         ///< for each KV head: its q heads, then k, then v
  per_group_halves,  ///< for each KV head: its q heads, then the gates of these, then k, then v
};

/// Who put q, k and v into the one tensor that a `fused` source reads.
enum class FusedBy {
  engine,      ///< the engine itself: the rows stand in the order it assumes
  checkpoint,  ///< the checkpoint, or an adapter trained on its fused module: the rows stand in the
               ///< model's order, whatever the engine assumes
};

/// What a rank's slice of LoRA B, the rows that its copies take, must have in common with the
/// buffer that it is put into.
enum class Fit {
  exact,   ///< as many rows as the buffer: the engine asserts equal shapes
  corner,  ///< at most as many: the slice goes to the buffer's first rows
};
/// What becomes of rows of a copy that lie outside its source.
enum class PastEnd {
  clip,   ///< they are left out, as by a Python slice
  error,  ///< the engine fails, as a narrow does
  zero,   ///< they are zeros
};
/// Whether what the A rows of a rank give (the shrink outputs) meets the B rows of that rank only.
enum class Gather {
  none,  ///< yes
  tp,    ///< no: all ranks' are put side by side first, in t order
};
/// The output in which attention looks for the heads of a rank.
enum class ViewGather {
  none,  ///< the rank's own
  all,   ///< those of all ranks of the group, in t order
};

/// What the pool's memory holds before anything is loaded into it.
enum class PoolFresh {
  nothing,  ///< nothing that anyone may read: memory is allocated and not written
  zero,     ///< zeros: the engine writes them when it allocates
};
/// What a load zeroes of its slot.
enum class PoolClear {
  nothing,
  tail,  ///< the columns of B behind the adapter's lora_rank, after the load
  slot,  ///< all of it, before the load
};
/// What a load does to a slot's rows of a part that the adapter does not target.
enum class PoolAbsent {
  zero,
  keep,  ///< nothing: there stands what the slot's last tenant left
};
/// Which tensors of an adapter the host keeps once a load has cut a rank's rows out of them. Every
/// load, of whatever slot, cuts the tensors that the host keeps by then.
enum class PoolCut {
  copy,      ///< the whole ones: every load cuts the same rows
  in_place,  ///< the rows that were cut: the next load of the adapter takes them for whole tensors
             ///< and cuts a part out of that part
};
/// Where B is multiplied by the factor of the delta (`scaling`).
enum class PoolScale {
  table,  ///< nowhere: a table beside the slots has the factor, for the kernels
  slot,   ///< in the rows that a load puts into a slot
  cache,  ///< in the tensor that the host keeps, at every load: from the second on, the factor is
          ///< in it more than once
};
/// Which slot the tokens of an adapter read once it was loaded into several, one after the other.
enum class PoolLookup {
  current,  ///< the one it was loaded into last
  first,    ///< the one it was loaded into first, whoever stands there now
};

/// `for: {"i": "n"}`: repeats a copy or kernel entry for i = 0 .. n-1. Several nest, first
/// outermost.
struct Loop {
  int symbol = 0;
  Formula count;
};

/// Rows [from, from+rows) of `source` go to `buffer`, at row `at` or behind what is there.
struct Copy {
  Source source = Source::fused;
  int buffer = 0;
  Formula from;
  Formula rows;
  std::optional<Formula> at;
  std::vector<Loop> loops;
  Place place;
};

/// A device tensor [slots, rows, ...]; `rows` is of one slot.
struct Buffer {
  std::string name;
  Formula rows;
};

/// One launch: output columns [out, out+rows) += B rows [b_at, b_at+rows) x A rows [a_at,
/// a_at+depth). Row j of B begins j * b_stride elements behind the slot's first.
struct KernelEntry {
  int a = 0;
  int b = 0;
  Formula a_at, b_at, out, rows, depth;
  std::optional<Formula> b_stride;  ///< nothing: that of the buffer, max_lora_rank
  std::vector<Loop> loops;
  Place place;
};

/// Calls `each` with the entry's formulas, without its loops', in one order.
template <class Entry, class Each>
void for_each_formula(Entry& entry, const Each& each) {
  for (auto* formula : {&entry.a_at, &entry.b_at, &entry.out, &entry.rows, &entry.depth}) {
    each(*formula);
  }
  if (entry.b_stride) {
    each(*entry.b_stride);
  }
}

/// A condition the engine asserts.
struct Check {
  enum class Else { refused, crash };
  enum class When { build, load };
  Formula that;
  Else otherwise = Else::refused;
  When when = When::build;
  Phase phase = Phase::deployment;  ///< of `that`
  std::string say;                  ///< what the engine's message means, for the report
};

/// A condition on model and deployment under which the engine is said to work. Outside it a broken
/// law is information.
struct Claim {
  Formula that;  ///< over predefined symbols that are the same on every tp_rank
  std::string say;
};

struct Let {
  int symbol = 0;
  Phase phase = Phase::deployment;
  Formula formula;
};

/// The query and KV heads this rank's attention consumes: first head and number of heads.
struct Owns {
  Formula first_q, q_heads, first_kv, kv_heads;
};

struct WeightSection {
  FusedOrder order = FusedOrder::blocks;
  FusedBy fused_by = FusedBy::engine;
  PastEnd past_end = PastEnd::error;
  std::vector<Copy> copies;
};

struct LoraBSection {
  FusedOrder order = FusedOrder::blocks;
  FusedBy fused_by = FusedBy::engine;
  Fit fit = Fit::exact;
  PastEnd past_end = PastEnd::clip;
  std::vector<Buffer> buffers;
  std::vector<Copy> copies;
};

struct LoraASection {
  Gather gather = Gather::none;
  PastEnd past_end = PastEnd::clip;
  std::vector<Buffer> buffers;
  std::vector<Copy> copies;
};

struct PoolSection {
  PoolFresh fresh = PoolFresh::nothing;
  PoolClear clear = PoolClear::nothing;  ///< what a load clears first
  PoolAbsent absent = PoolAbsent::zero;  ///< what happens to the rows of a part not targeted
  PoolCut cut = PoolCut::copy;
  PoolScale scale = PoolScale::table;
  PoolLookup lookup = PoolLookup::current;
  PoolEvict evict = PoolEvict::lru;
  PoolBase base = PoolBase::none;
  friend bool operator==(const PoolSection&, const PoolSection&) = default;
};

/// Columns [from, from+rows) of what attention looks at, as the next ones in its order.
struct ViewCopy {
  Formula from;
  Formula rows;
  std::vector<Loop> loops;
  Place place;
};

/// What an engine does with adapters that are more than rows of A and B times a factor.
struct PeftSection {
  /// Options of adapter_config.json that it refuses, of kPeftOptions.
  std::vector<std::string> refuses;
  /// Names of modules_to_save that it takes all the same.
  std::vector<std::string> saved_modules;
};
inline constexpr std::array<std::string_view, 3> kPeftOptions = {"bias", "init_lora_weights",
                                                                 "modules_to_save"};

struct ViewSection {
  ViewGather gather = ViewGather::none;
  FusedOrder order = FusedOrder::blocks;
  std::vector<ViewCopy> copies;  ///< empty: columns are looked at as they stand
};

/// What a formula's value may change with, lets looked through. All false: a deployment has one.
struct Dependence {
  bool tp_rank = false;
  bool targets = false;  ///< which parts an adapter targets
  bool adapter = false;  ///< its lora_rank, its lora_alpha and what else its config says
  bool part = false;     ///< the part of it that is scaled
  bool index = false;    ///< the index of a loop
};

/// A contract, compiled. Every formula is over `symbols`.
struct Contract {
  std::string name;  ///< file name without its folder and .json
  std::string file;
  std::vector<std::string> extends;  ///< names of the contracts extended, the nearest first
  std::string engine;
  std::string version;
  /// For which models this is what the file says, where it tells classes of models apart; empty:
  /// for a layer of no model in particular, and for all that no variant is for.
  std::string variant;
  /// All that decides plans, as text: equal where two contracts plan everything alike.
  std::string rules;
  std::vector<std::string> source;
  std::string notes;
  std::string program;  ///< rounding program, by name

  SymbolTable symbols;
  std::vector<Claim> claims;
  std::vector<Let> lets;  ///< in order of definition, which is an order of evaluation
  std::vector<Check> checks;
  Owns owns;
  WeightSection weight;
  LoraBSection lora_b;
  LoraASection lora_a;
  std::vector<KernelEntry> kernel;
  PoolSection pool;
  ViewSection view;
  PeftSection peft;
  /// The factor of a part's delta: numerator / denominator / sqrt(root), the numerator in units of
  /// 1/alpha_unit. No root: 1.
  Formula scaling_numerator;
  Formula scaling_denominator;
  std::optional<Formula> scaling_root;
  /// Of each word and list, by its JSON pointer in the merged document: where it was written.
  std::map<std::string, Place> written_at;
  /// The nearest contract extended, as it is for the same class of models, compiled when it is
  /// first asked for (from any thread) and kept; nullptr: none, or one that tells other classes
  /// apart.
  std::function<std::shared_ptr<const Contract>()> base = [] { return nullptr; };

  /// Of what stands at a pointer: where it was written, else where the nearest thing around it was.
  /// Precondition: a JSON pointer.
  [[nodiscard]] Place place_of(const std::string& pointer) const;
  /// Precondition: a formula of this contract that is no claim.
  [[nodiscard]] const Dependence& dependence(const Formula& formula) const;
  /// The latest phase among the symbols of `formula`.
  [[nodiscard]] Phase phase_of(const Formula& formula) const;
  /// Whether adapters are fused (one A for q, k and v), because lora_a copies a `shared` source.
  [[nodiscard]] bool takes_fused_adapters() const;
  /// Whether some formula but those of claims looks at the symbol.
  [[nodiscard]] bool mentions(int symbol) const;
  /// One more than the highest symbol number any formula uses, loop indices included.
  int value_count = 0;
  std::vector<Dependence> dependences;  ///< by Formula::number
};

/// Every formula of the contract but claims, with `let` first, in the order of the file.
[[nodiscard]] std::vector<Formula*> formulas_of(Contract& contract);

/// Works out again what follows from the formulas: phases, numbers, dependences. For those who
/// change a compiled contract; read_contract has done it.
void index_formulas(Contract& contract);

/// Reads and compiles a contract file. The contract that it `extends` stands in `file`'s folder, in
/// its sibling ../engines, in the engines or bugs of the folder `configs`, or at a path. Refused,
/// with file and JSON pointer: anything the format does not know, a formula that does not parse, an
/// `extends` cycle, a replaced pointer that does not exist.
[[nodiscard]] Result<Contract> read_contract(const std::filesystem::path& file,
                                             const std::filesystem::path& configs = {});

/// Finds contract `argument`: a name from configs/engines or configs/bugs, or a path to a file.
[[nodiscard]] Result<std::filesystem::path> find_contract(const std::string& argument,
                                                          const std::filesystem::path& configs);

/// Finds a contract, as find_contract does, and reads it.
[[nodiscard]] Result<Contract> load_contract(const std::string& argument,
                                             const std::filesystem::path& configs);

/// Names in the folder `kind` ("engines", "bugs" or "suites") of `configs`, sorted. Refused: as by
/// json_files_in, and a folder with none.
[[nodiscard]] Result<std::vector<std::string>> list_contracts(const std::filesystem::path& configs,
                                                              const std::string& kind);

}  // namespace tplora::core
