#include "verify/report/verdict_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

/// Marks of cases in the table, from the least to what hides all others where several cases have
/// one place.
constexpr std::string_view kMarks = ".r=vSC!";

}  // namespace

char mark_of(const CaseRecord& one) {
  if (!one.verdict) {
    return '!';
  }
  switch (*one.verdict) {
    case Verdict::consistent:
      return one.numbers.state == NumericOutcome::State::vacuous ? 'v' : '=';
    case Verdict::refused: return 'r';
    case Verdict::not_applicable: return '.';
    case Verdict::silent: return 'S';
    case Verdict::crash: return 'C';
  }
  return '?';
}

std::string layer_name(const CaseRecord& one) {
  constexpr std::size_t kLongest = 300;
  return printable(one.layer.empty() ? one.model : one.model + " " + one.layer, kLongest);
}

VerdictTable table_of(const std::vector<CaseRecord>& cases) {
  VerdictTable table;
  std::map<std::string, std::size_t> row_of;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const CaseRecord& one = cases[i];
    if ((!one.heads && !one.layer.empty() && one.error.empty()) || one.bug) {
      continue;  // linear-attention layers say nothing here, and bugs have a table of their own
    }
    table.errors = table.errors || !one.error.empty();
    const auto key = fmt::format("{}|{}|{}", one.engine, one.model, one.layer);
    const auto [entry, is_new] = row_of.emplace(key, table.rows.size());
    if (is_new) {
      table.rows.push_back(
          {one.engine,
           layer_name(one),
           one.heads ? fmt::format("{}/{}/{}", one.heads->q, one.heads->kv, one.heads->head_dim)
                     : "-",
           {}});
    }
    const auto [at, is_first] =
        table.rows[entry->second].cells.emplace(one.tp_size, VerdictTable::Cell{mark_of(one), i});
    table.several = table.several || (!is_first && at->second.mark != mark_of(one));
    if (kMarks.find(mark_of(one)) > kMarks.find(at->second.mark)) {
      at->second = {mark_of(one), i};
    }
    table.sizes.insert(one.tp_size);
  }
  return table;
}

std::string table_text(const std::vector<CaseRecord>& cases) {
  const VerdictTable table = table_of(cases);
  std::size_t width = 10;
  for (const VerdictTable::Row& row : table.rows) {
    width = std::max(width, row.layer.size());
  }
  std::string text;
  std::string engine;
  for (const VerdictTable::Row& row : table.rows) {
    if (row.engine != engine) {
      engine = row.engine;
      text += fmt::format("{:<{}}  {:>14}  tp", engine, width, "H/KV/D");
      for (const std::int64_t size : table.sizes) {
        text += fmt::format("{:>4}", size);
      }
      text += "\n";
    }
    text += fmt::format("{:<{}}  {:>14}    ", row.layer, width, row.heads);
    for (const std::int64_t size : table.sizes) {
      const auto found = row.cells.find(size);
      text += fmt::format("{:>4}", found == row.cells.end() ? ' ' : found->second.mark);
    }
    text += "\n";
  }
  text += "= consistent   r refused   . no qkv projection   C crash   S silent   v vacuous";
  text += table.errors ? "   ! error\n" : "\n";
  text += table.several ? "where cases of one place differ, what is worst of them\n" : "";
  return table.rows.empty() ? "" : text;
}

}  // namespace tplora::core
