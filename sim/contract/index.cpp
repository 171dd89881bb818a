#include <algorithm>
#include <array>

#include "sim/base/ensure.hpp"
#include "sim/contract/contract.hpp"
#include "sim/contract/words.hpp"

namespace tplora {
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

/// Whether every symbol is predefined or a `let`: a loop index changes from call to call.
bool without_loop_index(const Contract& contract, const Formula& formula) {
  const auto& used = formula.used_symbols();
  return std::all_of(used.begin(), used.end(), [&](const Formula::Used& each) {
    return each.symbol < symbol::count ||
           std::any_of(contract.lets.begin(), contract.lets.end(),
                       [&](const Let& let) { return let.symbol == each.symbol; });
  });
}

/// Whether the formula sees nothing that differs between ranks. A `let` of an adapter's phase may,
/// so it is taken to.
bool same_on_ranks(const Contract& contract, const Formula& formula) {
  const auto& used = formula.used_symbols();
  return std::all_of(used.begin(), used.end(), [&](const Formula::Used& each) {
    const auto let = std::find_if(contract.lets.begin(), contract.lets.end(),
                                  [&](const Let& one) { return one.symbol == each.symbol; });
    return let != contract.lets.end()
               ? let->phase == Phase::deployment
               : each.symbol < symbol::tp_rank ||
                     (each.symbol >= symbol::r && each.symbol < symbol::count);
  });
}

/// Whether the formula sees nothing of an adapter but which parts it targets. A `let` of an
/// adapter's phase may see more, so it is taken to.
bool same_for_targets(const Contract& contract, const Formula& formula) {
  const auto& used = formula.used_symbols();
  return without_loop_index(contract, formula) &&
         std::none_of(used.begin(), used.end(), [&](const Formula::Used& each) {
           return each.symbol == symbol::r || each.symbol == symbol::alpha ||
                  std::any_of(contract.lets.begin(), contract.lets.end(), [&](const Let& let) {
                    return let.symbol == each.symbol && let.phase == Phase::adapter;
                  });
         });
}

/// Whether `holds` for every formula of copies that are not repeated.
template <class Test>
bool all_formulas(const std::vector<Copy>& copies, const Test& holds) {
  return std::all_of(copies.begin(), copies.end(), [&](const Copy& copy) {
    return copy.loops.empty() && holds(copy.from) && holds(copy.rows) &&
           (!copy.at || holds(*copy.at));
  });
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
    for (Formula* formula : {&entry.a_at, &entry.b_at, &entry.out, &entry.rows, &entry.depth}) {
      list.push_back(formula);
    }
  }
  list.push_back(&contract.scaling_numerator);
  list.push_back(&contract.scaling_denominator);
  return list;
}

std::string Contract::place_of(const std::string& pointer) const {
  ensure(pointer.empty() || pointer.front() == '/', "what stands somewhere is named by a pointer");
  for (std::string at = pointer;; at.resize(at.rfind('/'))) {
    if (const auto found = written_at.find(at); found != written_at.end()) {
      return found->second + (at == pointer ? "" : pointer.substr(at.size()));
    }
    if (at.empty()) {
      return file + "#" + pointer;
    }
  }
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
  // A let's phase follows from those before it.
  std::vector<Let> lets = std::move(contract.lets);
  contract.lets.clear();
  for (Let& let : lets) {
    let.phase = contract.phase_of(let.formula);
    contract.lets.push_back(std::move(let));
  }
  for (Check& check : contract.checks) {
    check.phase = contract.phase_of(check.that);
  }
  contract.memo_count = 0;
  const auto all = formulas_of(contract);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Phase phase = contract.phase_of(*all[i]);
    const bool kept = i >= contract.lets.size() && phase != Phase::adapter &&
                      without_loop_index(contract, *all[i]);
    all[i]->set_memo(
        {.number = kept ? contract.memo_count++ : -1, .of_rank = phase == Phase::tp_rank});
  }
  contract.lora_b.same_for_targets =
      all_formulas(contract.lora_b.copies,
                   [&](const Formula& formula) { return same_for_targets(contract, formula); });
  contract.lora_a.same_on_ranks = all_formulas(contract.lora_a.copies, [&](const Formula& formula) {
    return same_on_ranks(contract, formula);
  });
  contract.kernel_same_on_ranks =
      std::all_of(contract.kernel.begin(), contract.kernel.end(), [&](const KernelEntry& entry) {
        const std::array formulas = {&entry.a_at, &entry.b_at, &entry.out, &entry.rows,
                                     &entry.depth};
        return entry.loops.empty() &&
               std::all_of(formulas.begin(), formulas.end(), [&](const Formula* formula) {
                 return same_on_ranks(contract, *formula);
               });
      });
}

}  // namespace tplora
