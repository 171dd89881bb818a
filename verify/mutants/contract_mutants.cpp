#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/base/ensure.hpp"
#include "verify/mutants/mutate.hpp"

namespace tplora {
namespace {

/// A formula of a contract: its place in formulas_of, what may stand in it, and its name.
struct Slot {
  std::string pointer;
  Phase latest = Phase::adapter;  ///< symbols above this are not allowed here
  std::size_t lets_before = 0;    ///< only so many of the lets are defined here
};

std::vector<Slot> slots_of(const Contract& c) {
  std::vector<Slot> slots;
  const auto put = [&](std::string pointer, Phase latest) {
    slots.push_back({std::move(pointer), latest, c.lets.size()});
  };
  const auto put_copies = [&](const char* section, const std::vector<Copy>& copies, Phase latest) {
    for (std::size_t i = 0; i < copies.size(); ++i) {
      const std::string base = fmt::format("/{}/copies/{}", section, i);
      for (std::size_t k = 0; k < copies[i].loops.size(); ++k) {
        put(base + "/for", latest);
      }
      put(base + "/from", latest);
      put(base + "/rows", latest);
      if (copies[i].at) {
        put(base + "/at", latest);
      }
    }
  };
  for (std::size_t i = 0; i < c.lets.size(); ++i) {
    put("/let/" + c.symbols.name(c.lets[i].symbol), c.lets[i].phase);
    slots.back().lets_before = i;
  }
  for (std::size_t i = 0; i < c.checks.size(); ++i) {
    put(fmt::format("/checks/{}/that", i),
        c.checks[i].when == Check::When::load ? Phase::adapter : Phase::tp_rank);
  }
  for (const char* pointer :
       {"/owns/q_heads/0", "/owns/q_heads/1", "/owns/kv_heads/0", "/owns/kv_heads/1"}) {
    put(pointer, Phase::tp_rank);
  }
  put_copies("weight", c.weight.copies, Phase::tp_rank);
  for (const Buffer& buffer : c.lora_b.buffers) {
    put("/lora_b/buffers/" + buffer.name, Phase::tp_rank);
  }
  put_copies("lora_b", c.lora_b.copies, Phase::adapter);
  for (const Buffer& buffer : c.lora_a.buffers) {
    put("/lora_a/buffers/" + buffer.name, Phase::tp_rank);
  }
  put_copies("lora_a", c.lora_a.copies, Phase::adapter);
  for (std::size_t i = 0; i < c.kernel.size(); ++i) {
    for (std::size_t k = 0; k < c.kernel[i].loops.size(); ++k) {
      put(fmt::format("/kernel/{}/for", i), Phase::adapter);
    }
    for (const char* field : {"a_at", "b_at", "out", "rows", "depth"}) {
      put(fmt::format("/kernel/{}/{}", i, field), Phase::adapter);
    }
  }
  put("/scaling/num", Phase::adapter);
  put("/scaling/den", Phase::adapter);
  return slots;
}

/// The contract's symbols, with the loop indices that `formula` uses behind them.
SymbolTable scope_of(const Contract& contract, const Formula& formula) {
  SymbolTable table = contract.symbols;
  for (int number = table.size(); number < contract.value_count; ++number) {
    const auto& used = formula.used_symbols();
    const auto loop = std::find_if(
        used.begin(), used.end(), [&](const Formula::Used& each) { return each.symbol == number; });
    table.add(loop == used.end() ? fmt::format("unused_{}", number) : loop->name);
  }
  return table;
}

/// What a symbol is exchanged for: the layer's and the group's numbers, and the contract's own.
std::vector<int> exchange_of(const Contract& contract, const Slot& slot) {
  std::vector<int> list;
  for (const int number : {symbol::H, symbol::KV, symbol::D, symbol::Dv, symbol::gate, symbol::T,
                           symbol::t, symbol::R, symbol::r}) {
    if (predefined_phase(number) <= slot.latest) {
      list.push_back(number);
    }
  }
  for (std::size_t i = 0; i < slot.lets_before; ++i) {
    const Let& let = contract.lets[i];
    if (let.phase <= slot.latest && let.symbol >= symbol::count) {
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
    const auto slots = slots_of(original);
    ensure(all.size() == slots.size(), "each formula of a contract has its slot");
    for (std::size_t i = 0; i < all.size(); ++i) {
      const SymbolTable scope = scope_of(original, *all[i]);
      for (const std::string& text :
           formula_mutants(*all[i], scope, exchange_of(original, slots[i]))) {
        auto parsed = Formula::parse(text, all[i]->place(), scope);
        ensure(parsed.has_value(), "a rewritten formula parses");
        Contract changed = contract_;
        *formulas_of(changed)[i] = std::move(*parsed);
        give(slots[i].pointer, fmt::format("{} -> {}", all[i]->text(), text), std::move(changed));
      }
    }
  }

  /// Every entry dropped, and neighbours exchanged, in the list that `of` finds.
  template <class Of>
  void entries(const std::string& pointer, Of of, bool order_matters) {
    const std::size_t count = of(contract_).size();
    for (std::size_t i = 0; i < count && count > 1; ++i) {
      Contract changed = contract_;
      auto& list = of(changed);
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
      give(fmt::format("{}/{}", pointer, i), "dropped", std::move(changed));
    }
    for (std::size_t i = 0; i + 1 < count && order_matters; ++i) {
      Contract changed = contract_;
      std::swap(of(changed)[i], of(changed)[i + 1]);
      give(fmt::format("{}/{}", pointer, i), "exchanged with the next", std::move(changed));
    }
  }

  void lists() {
    entries(
        "/checks", [](auto& c) -> auto& { return c.checks; }, false);
    entries(
        "/weight/copies", [](auto& c) -> auto& { return c.weight.copies; }, true);
    entries(
        "/lora_b/copies", [](auto& c) -> auto& { return c.lora_b.copies; }, true);
    entries(
        "/lora_a/copies", [](auto& c) -> auto& { return c.lora_a.copies; }, true);
    entries(
        "/kernel", [](auto& c) -> auto& { return c.kernel; }, true);
    sources();
  }

  /// Copies that take another part's rows; kernel entries that read another buffer.
  void sources() {
    for (std::size_t i = 0; i < contract_.lora_a.copies.size(); ++i) {
      for (const Source other : {Source::q, Source::k, Source::v}) {
        Contract changed = contract_;
        Source& source = changed.lora_a.copies[i].source;
        if (source != other && source != Source::shared) {
          source = other;
          give(fmt::format("/lora_a/copies/{}/src", i), fmt::format("-> {}", source_name(other)),
               std::move(changed));
        }
      }
    }
    for (std::size_t i = 0; i < contract_.kernel.size(); ++i) {
      const auto other_buffer = [&](int KernelEntry::*field, std::size_t count, const char* name) {
        for (int other = 0; other < static_cast<int>(count); ++other) {
          Contract changed = contract_;
          int& buffer = changed.kernel[i].*field;
          if (buffer != other) {
            buffer = other;
            give(fmt::format("/kernel/{}/{}", i, name), "another buffer", std::move(changed));
          }
        }
      };
      other_buffer(&KernelEntry::a, contract_.lora_a.buffers.size(), "a");
      other_buffer(&KernelEntry::b, contract_.lora_b.buffers.size(), "b");
    }
  }

  template <class Word, class Of>
  void word(const char* pointer, Of of, std::initializer_list<std::pair<Word, const char*>> words) {
    for (const auto& [value, name] : words) {
      Contract changed = contract_;
      if (of(changed) != value) {
        of(changed) = value;
        give(pointer, fmt::format("-> {}", name), std::move(changed));
      }
    }
  }

  void words() {
    const auto order = {std::pair{FusedOrder::blocks, "blocks"},
                        std::pair{FusedOrder::per_group, "per_group"}};
    const auto past_end = {std::pair{PastEnd::clip, "clip"}, std::pair{PastEnd::error, "error"},
                           std::pair{PastEnd::zero, "zero"}};
    word<FusedOrder>(
        "/weight/order", [](auto& c) -> auto& { return c.weight.order; }, order);
    word<FusedOrder>(
        "/lora_b/order", [](auto& c) -> auto& { return c.lora_b.order; }, order);
    word<FusedOrder>(
        "/view/order", [](auto& c) -> auto& { return c.view.order; }, order);
    word<PastEnd>(
        "/weight/past_end", [](auto& c) -> auto& { return c.weight.past_end; }, past_end);
    word<PastEnd>(
        "/lora_b/past_end", [](auto& c) -> auto& { return c.lora_b.past_end; }, past_end);
    word<PastEnd>(
        "/lora_a/past_end", [](auto& c) -> auto& { return c.lora_a.past_end; }, past_end);
    word<Fit>("/lora_b/fit", [](auto& c) -> auto& { return c.lora_b.fit; },
              {{Fit::exact, "exact"}, {Fit::corner, "corner"}});
    word<Gather>("/lora_a/gather", [](auto& c) -> auto& { return c.lora_a.gather; },
                 {{Gather::none, "none"}, {Gather::tp, "tp"}});
    word<ViewGather>("/view/gather", [](auto& c) -> auto& { return c.view.gather; },
                     {{ViewGather::none, "none"}, {ViewGather::all, "all"}});
    word<PoolClear>("/pool/clear", [](auto& c) -> auto& { return c.pool.clear; },
                    {{PoolClear::nothing, "nothing"}, {PoolClear::slot, "slot"}});
    word<PoolAbsent>("/pool/absent", [](auto& c) -> auto& { return c.pool.absent; },
                     {{PoolAbsent::zero, "zero"}, {PoolAbsent::keep, "keep"}});
  }

  const Contract& contract_;
  const std::function<void(Mutant&&)>& body_;
};

}  // namespace

void for_each_mutant(const Contract& contract, const std::function<void(Mutant&&)>& body) {
  Generator(contract, body).run();
}

}  // namespace tplora
