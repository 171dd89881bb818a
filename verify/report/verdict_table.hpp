// Verdicts at a glance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "verify/report/case_record.hpp"

namespace tplora::core {

/// The model of a case, with the layer kind where it has several.
[[nodiscard]] std::string layer_name(const CaseRecord& one);

/// What became of a case in a character: small where nothing is wrong.
[[nodiscard]] char mark_of(const CaseRecord& one);

/// Rows: a model's layer kind with a qkv projection under one engine, in the order of the cases;
/// columns: tp_sizes. Bugs have a table of their own.
struct VerdictTable {
  struct Cell {
    char mark = ' ';              ///< of the worst of its cases
    std::size_t case_number = 0;  ///< of that one, in the list of cases
  };
  struct Row {
    std::string engine, layer;
    std::string heads;                   ///< "16/2/256"
    std::map<std::int64_t, Cell> cells;  ///< by tp_size
  };
  std::vector<Row> rows;
  std::set<std::int64_t> sizes;
  bool several = false;  ///< a cell has cases with other marks
  bool errors = false;
};
[[nodiscard]] VerdictTable table_of(const std::vector<CaseRecord>& cases);

/// The same as text: for each engine a row for each model and layer kind with a qkv projection, a
/// character for each tp_size; bugs have a table of their own. Empty where there is no such case.
[[nodiscard]] std::string table_text(const std::vector<CaseRecord>& cases);

}  // namespace tplora::core
