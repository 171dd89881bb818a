#include "sim/contract/symbols.hpp"

#include "sim/base/ensure.hpp"

namespace tplora::core {

SymbolTable predefined_symbols() {
  SymbolTable table;
  for (const char* name :
       {"hidden",    "H",          "KV",      "D",         "Dv",    "gate",  "H_config",
        "KV_config", "D_config",   "tp_size", "dp_size",   "R",     "slots", "tokens",
        "T",         "tp_rank",    "t",       "r",         "alpha", "has_q", "has_k",
        "has_v",     "alpha_unit", "rslora",  "r_q",       "r_k",   "r_v",   "rows_q",
        "rows_k",    "rows_v",     "part_r",  "part_alpha"}) {
    table.add(name);
  }
  ensure(table.size() == symbol::count, "names and numbers of the predefined symbols agree");
  return table;
}

Phase predefined_phase(int number) {
  if (number >= symbol::part_r) {
    return Phase::part;
  }
  if (number >= symbol::r) {
    return Phase::adapter;
  }
  return number >= symbol::tp_rank ? Phase::tp_rank : Phase::deployment;
}

}  // namespace tplora::core
