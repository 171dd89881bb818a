// Names and conditions: `claims`, `let`, `checks`.
#include <fmt/format.h>

#include <algorithm>

#include "sim/contract/sections.hpp"
#include "sim/contract/words.hpp"

namespace tplora::core {
namespace {

/// A name that `let` defines only here or further down is not unknown, it is too early.
Error explain_order(Error error, const std::string& at,
                    const std::vector<std::pair<std::string, JsonView>>& lets) {
  bool later = false;
  for (const auto& [name, view] : lets) {
    later = later || name == at;
    const auto found = error.sentence.find(fmt::format("unknown name \"{}\"", name));
    if (later && found != std::string::npos) {
      error.sentence = fmt::format(
          "{}\"{}\" is defined {} in `let`, expected only names that stand above",
          error.sentence.substr(0, found), name, name == at ? "right here" : "further down");
    }
  }
  return error;
}

}  // namespace

void read_claims(const Fields& root, FormulaReader& formulas, Contract& contract) {
  FirstError& errors = formulas.errors();
  for (const JsonView& view : root.entries("claims", Need::optional)) {
    const Fields entry(view, errors, {"that", "say"});
    Claim claim{.that = formulas.read(entry, "that"), .say = entry.text("say")};
    const auto& used = claim.that.used_symbols();
    const bool group = std::any_of(used.begin(), used.end(),
                                   [](const auto& each) { return each.symbol == symbol::T; });
    if (group || contract.phase_of(claim.that) != Phase::deployment) {
      errors.refuse(
          view.error("a claim is about model and deployment, expected symbols that are the same on "
                     "every tp_rank and for every adapter (tp_size for T)"));
    }
    contract.claims.push_back(std::move(claim));
  }
}

void read_lets(const Fields& root, FormulaReader& formulas, Contract& contract) {
  FirstError& errors = formulas.errors();
  const auto lets = root.members("let", Need::optional);
  for (const auto& [name, view] : lets) {
    if (!is_symbol_name(name)) {
      errors.refuse(view.error(fmt::format("\"{}\" cannot name a symbol", name)));
    }
    if (!errors.none()) {
      return;
    }
    auto formula = formulas.parse(view);
    if (!formula) {
      errors.refuse(explain_order(formula.error(), name, lets));
      return;
    }
    const auto existing = contract.symbols.find(name);
    if (existing && *existing != symbol::T && *existing != symbol::t) {
      errors.refuse(view.error(
          fmt::format("\"{}\" is defined already, expected a new name (or T or t)", name)));
      return;
    }
    const Phase phase = contract.phase_of(*formula);
    contract.lets.push_back({.symbol = existing ? *existing : contract.symbols.add(name),
                             .phase = phase,
                             .formula = *std::move(formula)});
  }
}

void read_checks(const Fields& root, FormulaReader& formulas, Contract& contract) {
  FirstError& errors = formulas.errors();
  for (const JsonView& view : root.entries("checks", Need::optional)) {
    const Fields entry(view, errors, {"that", "else", "when", "say"});
    Check check{.that = formulas.read(entry, "that"),
                .otherwise = entry.word("else", words::kElse, Check::Else::refused),
                .when = entry.word("when", words::kWhen, Check::When::build),
                .phase = Phase::deployment,
                .say = entry.text("say")};
    check.phase = contract.phase_of(check.that);
    if (check.when == Check::When::build && check.phase >= Phase::adapter) {
      errors.refuse(
          view.error("a check at build time cannot use an adapter's symbols, expected \"when\": "
                     "\"load\""));
    }
    contract.checks.push_back(std::move(check));
  }
}

}  // namespace tplora::core
