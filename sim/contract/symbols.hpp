// The symbols every contract formula may use, before a contract's own `let`.
#pragma once

#include "sim/contract/formula.hpp"

namespace tplora::core {

/// Numbers of the predefined symbols; their names are the language of docs/formats/contract.md.
namespace symbol {
enum : int {
  // of the layer
  hidden,
  H,
  KV,
  D,
  Dv,
  gate,
  // the config's global values, 0 where the key is absent
  H_config,
  KV_config,
  D_config,
  // of the deployment
  tp_size,
  dp_size,
  R,
  slots,
  tokens,
  // the group a layer is built on
  T,
  // of one tp_rank: itself, and its place in the group
  tp_rank,
  t,
  // of one adapter
  r,
  alpha,
  has_q,
  has_k,
  has_v,
  alpha_unit,
  rslora,
  r_q,
  r_k,
  r_v,
  rows_q,
  rows_k,
  rows_v,
  // of one part of it
  part_r,
  part_alpha,
  count,
};
}  // namespace symbol

/// When a symbol's value is known; a formula is as late as its latest symbol.
enum class Phase {
  deployment,  ///< the same on every tp_rank
  tp_rank,     ///< fixed when a rank's layer is built
  adapter,     ///< fixed when an adapter is loaded
  part,        ///< of one part of an adapter: in `scaling` only
};

/// A table that holds exactly the predefined symbols.
[[nodiscard]] SymbolTable predefined_symbols();

/// The phase of a predefined symbol, before a contract redefines T or t.
[[nodiscard]] Phase predefined_phase(int symbol);

}  // namespace tplora::core
