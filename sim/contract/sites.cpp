#include "sim/contract/sites.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "sim/base/ensure.hpp"
#include "sim/contract/words.hpp"

namespace tplora::core {
namespace {

class FormulaLister {
 public:
  explicit FormulaLister(const Contract& contract) : contract_(contract) {}

  std::vector<FormulaSite> list() {
    for (std::size_t i = 0; i < contract_.lets.size(); ++i) {
      put("/let/" + contract_.symbols.name(contract_.lets[i].symbol), FormulaRole::let, i,
          contract_.lets[i].phase);
      sites_.back().lets_before = i;
    }
    for (std::size_t i = 0; i < contract_.checks.size(); ++i) {
      put(fmt::format("/checks/{}/that", i), FormulaRole::check, i,
          contract_.checks[i].when == Check::When::load ? Phase::adapter : Phase::tp_rank);
    }
    put("/owns/q_heads/0", FormulaRole::first_q, 0, Phase::tp_rank);
    put("/owns/q_heads/1", FormulaRole::q_heads, 0, Phase::tp_rank);
    put("/owns/kv_heads/0", FormulaRole::first_kv, 0, Phase::tp_rank);
    put("/owns/kv_heads/1", FormulaRole::kv_heads, 0, Phase::tp_rank);
    copies("weight", contract_.weight.copies, Phase::tp_rank,
           {FormulaRole::weight_loop, FormulaRole::weight_from, FormulaRole::weight_rows,
            FormulaRole::weight_at});
    buffers("lora_b", contract_.lora_b.buffers, FormulaRole::b_buffer);
    copies("lora_b", contract_.lora_b.copies, Phase::adapter,
           {FormulaRole::b_loop, FormulaRole::b_from, FormulaRole::b_rows, FormulaRole::b_at});
    buffers("lora_a", contract_.lora_a.buffers, FormulaRole::a_buffer);
    copies("lora_a", contract_.lora_a.copies, Phase::adapter,
           {FormulaRole::a_loop, FormulaRole::a_from, FormulaRole::a_rows, FormulaRole::a_at});
    for (std::size_t i = 0; i < contract_.kernel.size(); ++i) {
      for (std::size_t k = 0; k < contract_.kernel[i].loops.size(); ++k) {
        put(fmt::format("/kernel/{}/for", i), FormulaRole::kernel_loop, i, Phase::adapter);
      }
      for (const auto& [field, role] : {std::pair{"a_at", FormulaRole::kernel_a_at},
                                        {"b_at", FormulaRole::kernel_b_at},
                                        {"out", FormulaRole::kernel_out},
                                        {"rows", FormulaRole::kernel_rows},
                                        {"depth", FormulaRole::kernel_depth}}) {
        put(fmt::format("/kernel/{}/{}", i, field), role, i, Phase::adapter);
      }
      if (contract_.kernel[i].b_stride) {
        put(fmt::format("/kernel/{}/b_stride", i), FormulaRole::kernel_b_stride, i, Phase::adapter);
      }
    }
    for (std::size_t i = 0; i < contract_.view.copies.size(); ++i) {
      for (std::size_t k = 0; k < contract_.view.copies[i].loops.size(); ++k) {
        put(fmt::format("/view/copies/{}/for", i), FormulaRole::view_loop, i, Phase::tp_rank);
      }
      put(fmt::format("/view/copies/{}/from", i), FormulaRole::view_from, i, Phase::tp_rank);
      put(fmt::format("/view/copies/{}/rows", i), FormulaRole::view_rows, i, Phase::tp_rank);
    }
    put("/scaling/num", FormulaRole::scaling_numerator, 0, Phase::part);
    put("/scaling/den", FormulaRole::scaling_denominator, 0, Phase::part);
    if (contract_.scaling_root) {
      put("/scaling/root", FormulaRole::scaling_root, 0, Phase::part);
    }
    return std::move(sites_);
  }

 private:
  void put(std::string pointer, FormulaRole role, std::size_t entry, Phase latest) {
    sites_.push_back({std::move(pointer), role, entry, latest, contract_.lets.size()});
  }
  void buffers(const char* section, const std::vector<Buffer>& list, FormulaRole role) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      put(fmt::format("/{}/buffers/{}", section, list[i].name), role, i, Phase::tp_rank);
    }
  }
  void copies(const char* section, const std::vector<Copy>& list, Phase latest,
              const std::array<FormulaRole, 4>& roles) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string base = fmt::format("/{}/copies/{}", section, i);
      for (std::size_t k = 0; k < list[i].loops.size(); ++k) {
        put(base + "/for", roles[0], i, latest);
      }
      put(base + "/from", roles[1], i, latest);
      put(base + "/rows", roles[2], i, latest);
      if (list[i].at) {
        put(base + "/at", roles[3], i, latest);
      }
    }
  }

  const Contract& contract_;
  std::vector<FormulaSite> sites_;
};

class WordLister {
 public:
  explicit WordLister(const Contract& contract) : contract_(contract) {}

  std::vector<WordSite> list() {
    put(
        "/weight/order", [](auto& c) -> auto& { return c.weight.order; }, words::kOrder);
    put(
        "/weight/fused_by", [](auto& c) -> auto& { return c.weight.fused_by; }, words::kFusedBy);
    put(
        "/weight/past_end", [](auto& c) -> auto& { return c.weight.past_end; }, words::kPastEnd);
    put(
        "/lora_b/order", [](auto& c) -> auto& { return c.lora_b.order; }, words::kOrder);
    put(
        "/lora_b/fused_by", [](auto& c) -> auto& { return c.lora_b.fused_by; }, words::kFusedBy);
    put(
        "/lora_b/fit", [](auto& c) -> auto& { return c.lora_b.fit; }, words::kFit);
    put(
        "/lora_b/past_end", [](auto& c) -> auto& { return c.lora_b.past_end; }, words::kPastEnd);
    put(
        "/lora_a/gather", [](auto& c) -> auto& { return c.lora_a.gather; }, words::kGather);
    put(
        "/lora_a/past_end", [](auto& c) -> auto& { return c.lora_a.past_end; }, words::kPastEnd);
    put(
        "/pool/fresh", [](auto& c) -> auto& { return c.pool.fresh; }, words::kFresh);
    put(
        "/pool/clear", [](auto& c) -> auto& { return c.pool.clear; }, words::kClear);
    put(
        "/pool/absent", [](auto& c) -> auto& { return c.pool.absent; }, words::kAbsent);
    put(
        "/pool/cut", [](auto& c) -> auto& { return c.pool.cut; }, words::kCut);
    put(
        "/pool/scale", [](auto& c) -> auto& { return c.pool.scale; }, words::kScale);
    put(
        "/pool/lookup", [](auto& c) -> auto& { return c.pool.lookup; }, words::kLookup);
    put(
        "/view/gather", [](auto& c) -> auto& { return c.view.gather; }, words::kViewGather);
    put(
        "/view/order", [](auto& c) -> auto& { return c.view.order; }, words::kOrder);
    copies(
        "lora_b", [](auto& c) -> auto& { return c.lora_b; });
    copies(
        "lora_a", [](auto& c) -> auto& { return c.lora_a; });
    for (std::size_t i = 0; i < contract_.kernel.size(); ++i) {
      buffer(
          fmt::format("/kernel/{}/a", i),
          contract_.lora_a.buffers, [i](auto& c) -> auto& { return c.kernel[i].a; });
      buffer(
          fmt::format("/kernel/{}/b", i),
          contract_.lora_b.buffers, [i](auto& c) -> auto& { return c.kernel[i].b; });
    }
    return std::move(sites_);
  }

 private:
  /// `list`: some of a closed list's words.
  template <class Of, class List>
  void put(std::string pointer, Of of, const List& list) {
    const std::span words(list);
    WordSite site{.pointer = std::move(pointer), .words = {}, .word = 0, .put = {}};
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (of(contract_) == words[i].value) {
        site.word = i;
      }
      site.words.emplace_back(words[i].word);
    }
    // The lists are constants: a view of one stays valid.
    site.put = [of, words](Contract& contract, std::size_t number) {
      ensure(number < words.size(), "a word of the list");
      of(contract) = words[number].value;
    };
    sites_.push_back(std::move(site));
  }

  /// The words of a section's copies: where they take their rows from.
  template <class SectionOf>
  void copies(const char* section, SectionOf of) {
    const auto& list = of(contract_).copies;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string base = fmt::format("/{}/copies/{}", section, i);
      if (list[i].source == Source::q || list[i].source == Source::k ||
          list[i].source == Source::v) {
        put(
            base + "/src", [ of, i ](auto& c) -> auto& { return of(c).copies[i].source; },
            std::span(words::kSource).first(3));
      }
      buffer(
          base + "/to", of(contract_).buffers,
          [ of, i ](auto& c) -> auto& { return of(c).copies[i].buffer; });
    }
  }

  template <class Of>
  void buffer(std::string pointer, const std::vector<Buffer>& buffers, Of of) {
    if (buffers.size() < 2) {
      return;
    }
    WordSite site{.pointer = std::move(pointer),
                  .words = {},
                  .word = static_cast<std::size_t>(of(contract_)),
                  .put = [of, count = buffers.size()](Contract& contract, std::size_t number) {
                    ensure(number < count, "a buffer of the section");
                    of(contract) = static_cast<int>(number);
                  }};
    for (const Buffer& one : buffers) {
      site.words.push_back(one.name);
    }
    sites_.push_back(std::move(site));
  }

  const Contract& contract_;
  std::vector<WordSite> sites_;
};

}  // namespace

std::vector<FormulaSite> formula_sites(const Contract& contract) {
  return FormulaLister(contract).list();
}

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

std::vector<WordSite> word_sites(const Contract& contract) {
  return WordLister(contract).list();
}

std::vector<ListSite> list_sites(const Contract& contract) {
  std::vector<ListSite> sites;
  const auto put = [&](const char* pointer, auto of, bool order_matters) {
    sites.push_back({.pointer = pointer,
                     .size = of(contract).size(),
                     .order_matters = order_matters,
                     .erase =
                         [of](Contract& c, std::size_t i) {
                           auto& list = of(c);
                           ensure(i < list.size(), "an entry that is left out was there");
                           list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
                         },
                     .swap =
                         [of](Contract& c, std::size_t i) {
                           auto& list = of(c);
                           ensure(i + 1 < list.size(), "two entries that are exchanged were there");
                           std::swap(list[i], list[i + 1]);
                         }});
  };
  put(
      "/checks", [](auto& c) -> auto& { return c.checks; }, false);
  put(
      "/weight/copies", [](auto& c) -> auto& { return c.weight.copies; }, true);
  put(
      "/lora_b/copies", [](auto& c) -> auto& { return c.lora_b.copies; }, true);
  put(
      "/lora_a/copies", [](auto& c) -> auto& { return c.lora_a.copies; }, true);
  put(
      "/kernel", [](auto& c) -> auto& { return c.kernel; }, true);
  return sites;
}

}  // namespace tplora::core
