#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/base/ensure.hpp"
#include "sim/contract/sites.hpp"
#include "verify/mutants/mutate.hpp"

namespace tplora::core {
namespace {

/// What a symbol is exchanged for: the layer's and the group's numbers, and the contract's own.
std::vector<int> exchange_of(const Contract& contract, const FormulaSite& site) {
  std::vector<int> list;
  for (const int number : {symbol::H, symbol::KV, symbol::D, symbol::Dv, symbol::gate, symbol::T,
                           symbol::t, symbol::R, symbol::r}) {
    if (predefined_phase(number) <= site.latest) {
      list.push_back(number);
    }
  }
  for (std::size_t i = 0; i < site.lets_before; ++i) {
    const Let& let = contract.lets[i];
    if (let.phase <= site.latest && let.symbol >= symbol::count) {
      list.push_back(let.symbol);
    }
  }
  return list;
}

class Generator {
 public:
  Generator(const Contract& contract, const std::function<void(Mutant&&)>& body)
      : contract_(contract), body_(body) {}

  void run() {
    formulas();
    lists();
    words();
  }

 private:
  void give(std::string place, std::string what, Contract changed) {
    index_formulas(changed);
    body_({std::move(place), std::move(what), std::move(changed)});
  }

  void formulas() {
    Contract original = contract_;
    const auto all = formulas_of(original);
    const auto sites = formula_sites(original);
    ensure(all.size() == sites.size(), "each formula of a contract has its site");
    for (std::size_t i = 0; i < all.size(); ++i) {
      const SymbolTable scope = scope_of(original, *all[i]);
      for (const std::string& text :
           formula_mutants(*all[i], scope, exchange_of(original, sites[i]))) {
        auto parsed = Formula::parse(text, all[i]->place(), scope);
        ensure(parsed.has_value(), "a rewritten formula parses");
        Contract changed = contract_;
        *formulas_of(changed)[i] = std::move(*parsed);
        give(sites[i].pointer, fmt::format("{} -> {}", all[i]->text(), text), std::move(changed));
      }
    }
  }

  /// Every entry dropped, and neighbours exchanged where their order matters.
  void lists() {
    for (const ListSite& list : list_sites(contract_)) {
      for (std::size_t i = 0; i < list.size && list.size > 1; ++i) {
        Contract changed = contract_;
        list.erase(changed, i);
        give(fmt::format("{}/{}", list.pointer, i), "dropped", std::move(changed));
      }
      for (std::size_t i = 0; i + 1 < list.size && list.order_matters; ++i) {
        Contract changed = contract_;
        list.swap(changed, i);
        give(fmt::format("{}/{}", list.pointer, i), "exchanged with the next", std::move(changed));
      }
    }
  }

  void words() {
    for (const WordSite& site : word_sites(contract_)) {
      for (std::size_t word = 0; word < site.words.size(); ++word) {
        if (word != site.word) {
          Contract changed = contract_;
          site.put(changed, word);
          give(site.pointer, fmt::format("-> {}", site.words[word]), std::move(changed));
        }
      }
    }
  }

  const Contract& contract_;
  const std::function<void(Mutant&&)>& body_;
};

}  // namespace

void for_each_mutant(const Contract& contract, const std::function<void(Mutant&&)>& body) {
  Generator(contract, body).run();
}

}  // namespace tplora::core
