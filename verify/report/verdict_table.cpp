#include "verify/report/verdict_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

/// Marks of cases in the table, one character each, from the least to what hides all others where
/// several cases have one place: small where nothing is wrong.
constexpr std::string_view kMarks = ".r=vSC!";

char mark(const CaseRecord& one) {
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

/// Rows of the table: a model's layer kind under one engine.
struct Row {
  const CaseRecord* first = nullptr;
  std::map<std::int64_t, char> marks;
};

}  // namespace

std::string layer_name(const CaseRecord& one) {
  constexpr std::size_t kLongest = 300;
  return printable(one.layer.empty() ? one.model : one.model + " " + one.layer, kLongest);
}

std::string table_text(const std::vector<CaseRecord>& cases) {
  std::vector<Row> rows;
  std::map<std::string, std::size_t> row_of;
  std::set<std::int64_t> sizes;
  std::size_t width = 10;
  bool several = false;
  bool errors = false;
  for (const CaseRecord& one : cases) {
    if ((!one.heads && !one.layer.empty() && one.error.empty()) || one.bug) {
      continue;  // linear-attention layers say nothing here, and bugs have a table of their own
    }
    errors = errors || !one.error.empty();
    const auto key = fmt::format("{}|{}|{}", one.engine, one.model, one.layer);
    const auto [entry, is_new] = row_of.emplace(key, rows.size());
    if (is_new) {
      rows.push_back({&one, {}});
      width = std::max(width, layer_name(one).size());
    }
    const auto [at, is_first] = rows[entry->second].marks.emplace(one.tp_size, mark(one));
    several = several || (!is_first && at->second != mark(one));
    if (kMarks.find(mark(one)) > kMarks.find(at->second)) {
      at->second = mark(one);
    }
    sizes.insert(one.tp_size);
  }
  std::string text;
  std::string engine;
  for (const Row& row : rows) {
    const CaseRecord& one = *row.first;
    if (one.engine != engine) {
      engine = one.engine;
      text += fmt::format("{:<{}}  {:>14}  tp", engine, width, "H/KV/D");
      for (const std::int64_t size : sizes) {
        text += fmt::format("{:>4}", size);
      }
      text += "\n";
    }
    const std::string geometry =
        one.heads ? fmt::format("{}/{}/{}", one.heads->q, one.heads->kv, one.heads->head_dim) : "-";
    text += fmt::format("{:<{}}  {:>14}    ", layer_name(one), width, geometry);
    for (const std::int64_t size : sizes) {
      const auto found = row.marks.find(size);
      text += fmt::format("{:>4}", found == row.marks.end() ? ' ' : found->second);
    }
    text += "\n";
  }
  text += "= consistent   r refused   . no qkv projection   C crash   S silent   v vacuous";
  text += errors ? "   ! error\n" : "\n";
  text += several ? "where cases of one place differ, what is worst of them\n" : "";
  return rows.empty() ? "" : text;
}

}  // namespace tplora::core
