#include "sim/contract/formula_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

/// Ten times what the largest contract in use has; names are searched for one by one.
constexpr int kMaxFormulas = 1024;

}  // namespace

FormulaReader::FormulaReader(const ContractDocument& document, Contract& contract,
                             FirstError& errors)
    : document_(&document),
      contract_(&contract),
      errors_(&errors),
      value_count_(contract.symbols.size()) {}

Result<Formula> FormulaReader::parse(const JsonView& view) {
  if (++formulas_ > kMaxFormulas) {
    return view.error(fmt::format(
        "found more than {} formulas in one contract, expected at most that many", kMaxFormulas));
  }
  const auto text =
      view.json().is_number_integer()
          ? view.integer().map([](std::int64_t value) { return std::to_string(value); })
          : view.string();
  value_count_ = std::max(value_count_, contract_->symbols.size());
  return text.and_then([&](const std::string& source) {
    return Formula::parse(source, place(view), contract_->symbols);
  });
}

Formula FormulaReader::read(const JsonView& view) {
  return errors_->none() ? errors_->take(parse(view)) : Formula();
}

Formula FormulaReader::read(const Fields& fields, std::string_view key) {
  const auto view = fields.find(key);
  return view ? read(*view) : Formula();
}

std::optional<Formula> FormulaReader::read_optional(const Fields& fields, std::string_view key) {
  const auto view = fields.find(key, Need::optional);
  return view ? std::optional(read(*view)) : std::nullopt;
}

Formula FormulaReader::read_before_load(const JsonView& view, std::string_view sentence) {
  Formula formula = read(view);
  if (contract_->phase_of(formula) >= Phase::adapter) {
    errors_->refuse(view.error(std::string(sentence)));
  }
  return formula;
}

std::vector<Loop> FormulaReader::open_loops(const Fields& entry) {
  std::vector<Loop> loops;
  for (const auto& [name, view] : entry.members("for", Need::optional)) {
    if (!is_symbol_name(name) || contract_->symbols.find(name)) {
      errors_->refuse(
          view.error(fmt::format("\"{}\" cannot name a loop index, expected a new name", name)));
    }
    if (!errors_->none()) {
      break;
    }
    Formula count = read(view);
    loops.push_back({contract_->symbols.add(name), std::move(count)});
  }
  return loops;
}

void FormulaReader::close_loops(const std::vector<Loop>& loops) {
  const int outside = contract_->symbols.size() - static_cast<int>(loops.size());
  ensure(loops.empty() || loops.front().symbol == outside,
         "the loops opened last are closed first");
  contract_->symbols.shrink(outside);
}

Place FormulaReader::place(const JsonView& view) const {
  return document_->place(view.pointer());
}

}  // namespace tplora::core
