#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/contract/contract.hpp"
#include "sim/contract/words.hpp"

namespace tplora::core {
namespace {

void add_loops(std::vector<Loop>& loops, std::vector<Formula*>& list) {
  for (Loop& loop : loops) {
    list.push_back(&loop.count);
  }
}

void add_copies(std::vector<Copy>& copies, std::vector<Formula*>& list) {
  for (Copy& copy : copies) {
    add_loops(copy.loops, list);
    list.push_back(&copy.from);
    list.push_back(&copy.rows);
    if (copy.at) {
      list.push_back(&*copy.at);
    }
  }
}

void add_buffers(std::vector<Buffer>& buffers, std::vector<Formula*>& list) {
  for (Buffer& buffer : buffers) {
    list.push_back(&buffer.rows);
  }
}

/// What a predefined symbol or a loop's index changes with.
Dependence dependence_of(int symbol) {
  const bool predefined = symbol < symbol::count;
  const Phase phase = predefined ? predefined_phase(symbol) : Phase::deployment;
  const bool targets = symbol::has_q <= symbol && symbol <= symbol::has_v;
  return {.tp_rank = phase == Phase::tp_rank,
          .targets = phase == Phase::adapter && targets,
          .adapter = phase >= Phase::adapter && !targets,
          .part = phase == Phase::part,
          .index = !predefined};
}

Dependence dependence_of(const Formula& formula, const std::vector<Dependence>& of_symbols) {
  Dependence all;
  for (const Formula::Used& used : formula.used_symbols()) {
    const auto number = static_cast<std::size_t>(used.symbol);
    const Dependence one =
        number < of_symbols.size() ? of_symbols[number] : dependence_of(used.symbol);
    all.tp_rank = all.tp_rank || one.tp_rank;
    all.targets = all.targets || one.targets;
    all.adapter = all.adapter || one.adapter;
    all.part = all.part || one.part;
    all.index = all.index || one.index;
  }
  return all;
}

Phase phase_of(const Dependence& on) {
  return on.part                    ? Phase::part
         : on.targets || on.adapter ? Phase::adapter
         : on.tp_rank               ? Phase::tp_rank
                                    : Phase::deployment;
}

}  // namespace

std::string_view source_name(Source source) {
  return words::kSource[static_cast<std::size_t>(source)].word;
}

Phase Contract::phase_of(const Formula& formula) const {
  Phase latest = Phase::deployment;
  for (const auto& used : formula.used_symbols()) {
    // A contract's own T or t takes the place of the predefined one.
    const auto let = std::find_if(lets.rbegin(), lets.rend(),
                                  [&](const Let& each) { return each.symbol == used.symbol; });
    if (let != lets.rend()) {
      latest = std::max(latest, let->phase);
    } else if (used.symbol < symbol::count) {
      latest = std::max(latest, predefined_phase(used.symbol));
    }
  }
  return latest;
}

bool Contract::takes_fused_adapters() const {
  return std::any_of(lora_a.copies.begin(), lora_a.copies.end(),
                     [](const Copy& copy) { return copy.source == Source::shared; });
}

std::vector<Formula*> formulas_of(Contract& contract) {
  std::vector<Formula*> list;
  for (Let& let : contract.lets) {
    list.push_back(&let.formula);
  }
  for (Check& check : contract.checks) {
    list.push_back(&check.that);
  }
  for (Formula* formula : {&contract.owns.first_q, &contract.owns.q_heads, &contract.owns.first_kv,
                           &contract.owns.kv_heads}) {
    list.push_back(formula);
  }
  add_copies(contract.weight.copies, list);
  add_buffers(contract.lora_b.buffers, list);
  add_copies(contract.lora_b.copies, list);
  add_buffers(contract.lora_a.buffers, list);
  add_copies(contract.lora_a.copies, list);
  for (KernelEntry& entry : contract.kernel) {
    add_loops(entry.loops, list);
    for_each_formula(entry, [&](Formula& formula) { list.push_back(&formula); });
  }
  for (ViewCopy& copy : contract.view.copies) {
    add_loops(copy.loops, list);
    list.push_back(&copy.from);
    list.push_back(&copy.rows);
  }
  list.push_back(&contract.scaling_numerator);
  list.push_back(&contract.scaling_denominator);
  if (contract.scaling_root) {
    list.push_back(&*contract.scaling_root);
  }
  return list;
}

Place Contract::place_of(const std::string& pointer) const {
  ensure(pointer.empty() || pointer.front() == '/', "what stands somewhere is named by a pointer");
  for (std::string at = pointer;; at.resize(at.rfind('/'))) {
    if (const auto found = written_at.find(at); found != written_at.end()) {
      return {found->second.file, found->second.pointer + pointer.substr(at.size())};
    }
    if (at.empty()) {
      return {file, pointer};
    }
  }
}

const Dependence& Contract::dependence(const Formula& formula) const {
  const auto number = static_cast<std::size_t>(formula.number());
  ensure(number < dependences.size(), "a formula of this contract, which is indexed");
  return dependences[number];
}

bool Contract::mentions(int symbol) const {
  Contract copy = *this;  // formulas_of gives formulas to change
  const auto all = formulas_of(copy);
  return std::any_of(all.begin(), all.end(), [&](const Formula* formula) {
    const auto& used = formula->used_symbols();
    return std::any_of(used.begin(), used.end(),
                       [&](const Formula::Used& each) { return each.symbol == symbol; });
  });
}

void index_formulas(Contract& contract) {
  std::vector<Dependence> of_symbols;
  for (int number = 0; number < std::max<int>(symbol::count, contract.symbols.size()); ++number) {
    of_symbols.push_back(dependence_of(number));
  }
  contract.dependences.clear();
  const auto number = [&](Formula& formula) -> const Dependence& {
    formula.set_number(static_cast<int>(contract.dependences.size()));
    return contract.dependences.emplace_back(dependence_of(formula, of_symbols));
  };
  const std::vector<Formula*> all = formulas_of(contract);
  // Lets are the first of all. A contract's own T or t follows from the predefined one, and then
  // takes its place.
  for (Let& let : contract.lets) {
    const Dependence& on = number(let.formula);
    let.phase = phase_of(on);
    of_symbols[static_cast<std::size_t>(let.symbol)] = on;
  }
  for (std::size_t i = contract.lets.size(); i < all.size(); ++i) {
    number(*all[i]);
  }
  for (Check& check : contract.checks) {
    check.phase = phase_of(contract.dependence(check.that));
  }
}

}  // namespace tplora::core
