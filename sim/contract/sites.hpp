// The places of a contract at which something may be wrong: its formulas, its words from closed
// lists, and its lists of copies, kernel entries and checks. For those who change one place and
// look what becomes of it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/contract/contract.hpp"

namespace tplora::core {

/// What a formula is for.
enum class FormulaRole {
  let,
  check,
  first_q,
  q_heads,
  first_kv,
  kv_heads,
  weight_loop,
  weight_from,
  weight_rows,
  weight_at,
  b_buffer,
  b_loop,
  b_from,
  b_rows,
  b_at,
  a_buffer,
  a_loop,
  a_from,
  a_rows,
  a_at,
  kernel_loop,
  kernel_a_at,
  kernel_b_at,
  kernel_out,
  kernel_rows,
  kernel_depth,
  kernel_b_stride,
  view_loop,
  view_from,
  view_rows,
  scaling_numerator,
  scaling_denominator,
  scaling_root,
};

struct FormulaSite {
  std::string pointer;  ///< JSON pointer in the merged document
  FormulaRole role = FormulaRole::let;
  std::size_t entry = 0;          ///< place in its list: let, check, copy, buffer or kernel entry
  Phase latest = Phase::adapter;  ///< symbols above this are not allowed here
  std::size_t lets_before = 0;    ///< only so many of the lets are defined here
};

/// One for each formula of formulas_of, in its order.
[[nodiscard]] std::vector<FormulaSite> formula_sites(const Contract& contract);

/// The contract's symbols, with the loop indices that `formula` uses behind them.
[[nodiscard]] SymbolTable scope_of(const Contract& contract, const Formula& formula);

/// A word from a closed list, or the name of a buffer.
struct WordSite {
  std::string pointer;
  std::vector<std::string> words;  ///< all that may stand here
  std::size_t word = 0;            ///< the one that does
  /// Puts words[number] into a contract with the same lists. Precondition: there is that word.
  std::function<void(Contract&, std::size_t)> put;
};

/// Words that decide which rows stand where: orders, ends, fits, gathers, the pool's, and of each
/// copy and kernel entry the source and the buffers.
[[nodiscard]] std::vector<WordSite> word_sites(const Contract& contract);

/// A list whose entries can be left out, exchanged or missing.
struct ListSite {
  std::string pointer;
  std::size_t size = 0;
  bool order_matters = true;
  /// Leaves an entry out. Precondition: the contract has that entry.
  std::function<void(Contract&, std::size_t)> erase;
  /// Exchanges an entry with the next. Precondition: the contract has both.
  std::function<void(Contract&, std::size_t)> swap;
};
[[nodiscard]] std::vector<ListSite> list_sites(const Contract& contract);

}  // namespace tplora::core
