// A case: everything that fixes the bits, and its one-line form.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/adapter/adapter.hpp"
#include "sim/base/result.hpp"
#include "sim/data/generator.hpp"
#include "sim/layout/analysis.hpp"
#include "sim/numerics/dot.hpp"
#include "sim/numerics/scalar.hpp"

namespace tplora::core {

/// One case. `model` and `engine` are what the user wrote: a name, a path, or inline geometry.
struct Case {
  std::string model;
  std::string layer;  ///< layer kind; empty: the model's only kind with a qkv projection
  std::string engine;
  std::int64_t tp_size = 1;
  std::int64_t dp_size = 1;
  std::int64_t max_lora_rank = 16;
  std::int64_t slots = 2;
  std::vector<AdapterSpec> adapters;
  std::vector<int> tokens;  ///< number of each token's adapter, -1 for none
  std::vector<PoolStep> steps;
  ScalarType dtype = ScalarType::bf16;
  std::string program;                          ///< of rounding; empty: the contract's own
  Accumulator accumulator;                      ///< of every dot product
  std::optional<Accumulator> base_accumulator;  ///< of x W, where it is another
  DataKind data = DataKind::wide;
  std::uint64_t seed = 1;

  friend bool operator==(const Case&, const Case&) = default;
};

/// Parses `key=value` pairs separated by blanks (docs/formats/case.md). Keys left out take their
/// defaults; `model`, `engine` and `tp` must be there. Refused: an unknown or duplicate key, a
/// value out of range, an adapter, slot or token that does not exist, tokens whose adapter is not
/// resident after the steps.
[[nodiscard]] Result<Case> parse_case(const std::string& line);

/// Gives the adapters of a line that has none of its own; the case is read as far as `slots`.
using AdaptersOf = std::function<Result<std::vector<AdapterSpec>>(const Case& so_far)>;
/// As parse_case, of a line whose adapters somebody else knows. Refused: also the key `adapters`,
/// and `data` but for `file`.
[[nodiscard]] Result<Case> parse_case(const std::string& line, const AdaptersOf& adapters);

/// The canonical line: a blank in a path stands as %20, a percent sign as %25; every key that is
/// not at its default where it has one, in fixed order. parse_case(print_case(c)) == c.
[[nodiscard]] std::string print_case(const Case& one);

/// Parses a line without `model`, `engine` and `tp`, which are refused here; they stay as in a new
/// Case. For lines that are held against many models.
[[nodiscard]] Result<Case> parse_scenario(const std::string& line);

/// The scenario on one model under one engine. Names as the user wrote them, not escaped. Refused:
/// a tp_size out of range or one that dp_size does not divide.
[[nodiscard]] Result<Case> with_deployment(Case scenario, const std::string& model,
                                           const std::string& engine, std::int64_t tp_size);

/// Two adapters of the given lora_ranks loaded side by side after a slot's earlier tenant has
/// gone; what `layout` and `prove` look at unless told otherwise.
void set_standard_scenario(Case& one, std::int64_t first_lora_rank, std::int64_t second_lora_rank);

/// The adapters' names, by number.
[[nodiscard]] std::vector<std::string> adapter_names(const Case& one);

/// The adapters as the last rescale leaves them.
[[nodiscard]] std::vector<AdapterSpec> adapters_after_steps(const Case& one);

/// The adapters as contracts see them.
[[nodiscard]] std::vector<AdapterShape> shapes_of(const std::vector<AdapterSpec>& adapters);

/// The integer side of the case, for one layer's geometry.
[[nodiscard]] LayoutCase layout_case(const Case& one, const QkvGeometry& geometry);

}  // namespace tplora::core
