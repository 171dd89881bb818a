#include "verify/check/variations.hpp"

#include <fmt/format.h>

#include <array>
#include <memory>

#include "sim/numerics/program.hpp"

namespace tplora::core {

PreparedCase with_program(PreparedCase item, std::string_view program) {
  Contract changed = *item.contract;
  changed.program = std::string(program);
  item.contract = std::make_shared<const Contract>(std::move(changed));
  return item;
}

namespace {

std::vector<Accumulator> accumulators(ScalarType dtype) {
  std::vector<Accumulator> found;
  const auto add = [&](const std::string& text) {
    if (const auto accumulator = accumulator_of(text, dtype)) {
      found.push_back(*accumulator);
    }
  };
  add("fp32_chain");
  add("exact");
  for (const char* unit : {"volta", "ampere", "hopper", "blackwell"}) {
    add(fmt::format("tensor_core:{}", unit));
    for (const int parts : {2, 3, 4, 6, 8, 16, 32, 64}) {
      add(fmt::format("tensor_core:{},split={}", unit, parts));
    }
  }
  return found;
}

/// Collects what is tried.
class Variations {
 public:
  explicit Variations(const PreparedCase& item) : item_(item) {
    const std::string declared = fmt::format(
        "(declared: program {}, accumulator {}, base_accumulator {})", item.contract->program,
        accumulator_name(item.spec.accumulator), accumulator_name(base()));
    add_adapters();
    add_bias();
    for (const RoundingProgram& program : programs()) {
      if (program.name != item.contract->program) {
        add(fmt::format("program {} {}", program.name, declared), with_program(item, program.name));
      }
    }
    add_accumulators(item, "", declared);
    for (const RoundingProgram& program : programs()) {
      if (program.name != item.contract->program) {
        add_accumulators(with_program(item, program.name),
                         fmt::format("program {}, ", program.name), declared);
      }
    }
  }
  [[nodiscard]] std::vector<Variation> take() { return std::move(all_); }

 private:
  [[nodiscard]] Accumulator base() const {
    return item_.spec.base_accumulator.value_or(item_.spec.accumulator);
  }
  void add(std::string what, PreparedCase item) {
    all_.push_back({std::move(what), std::move(item)});
  }

  void add_accumulators(const PreparedCase& from, const std::string& before,
                        const std::string& declared) {
    for (const Accumulator& other : accumulators(from.spec.dtype)) {
      const std::string name = accumulator_name(other);
      PreparedCase both = from;
      both.spec.accumulator = other;
      both.spec.base_accumulator.reset();
      add(fmt::format("{}accumulator={} {}", before, name, declared), both);
      if (!before.empty()) {
        continue;  // three things at once are not looked for
      }
      if (other != base()) {
        PreparedCase one = from;
        one.spec.base_accumulator = other;
        add(fmt::format("base_accumulator={} {}", name, declared), one);
      }
      if (other != from.spec.accumulator) {
        PreparedCase one = from;
        one.spec.base_accumulator = base();
        one.spec.accumulator = other;
        add(fmt::format("accumulator={} of the LoRA products alone {}", name, declared), one);
      }
    }
  }

  void add_adapters() {
    auto& adapters = item_.spec.adapters;
    const auto each = [&](const std::string& what, auto change) {
      PreparedCase changed = item_;
      bool possible = true;
      for (AdapterSpec& adapter : changed.spec.adapters) {
        possible = possible && change(adapter);
      }
      if (possible && changed.spec.adapters != adapters) {
        add(what, std::move(changed));
      }
    };
    each("the factor applied twice", [](AdapterSpec& adapter) {
      const bool whole =
          !adapter.rslora &&
          adapter.lora_alpha * adapter.lora_alpha % (adapter.alpha_unit * adapter.lora_rank) == 0;
      adapter.lora_alpha =
          adapter.lora_alpha * adapter.lora_alpha / (adapter.alpha_unit * adapter.lora_rank);
      return whole && adapter.part_alphas == std::array<std::int64_t, 3>{} &&
             adapter.part_ranks == std::array<std::int64_t, 3>{};
    });
    each("a factor of 1 for every adapter", [](AdapterSpec& adapter) {
      adapter.rslora = false;
      for (const Part part : kParts) {
        adapter.part_alphas[static_cast<std::size_t>(part)] =
            adapter.rank_of(part) * adapter.alpha_unit;
      }
      return true;
    });
    each("use_rslora ignored", [](AdapterSpec& adapter) {
      adapter.rslora = false;
      return true;
    });
    each("use_rslora where the adapter does not say so", [](AdapterSpec& adapter) {
      adapter.rslora = true;
      return true;
    });
    each("alpha_pattern ignored", [](AdapterSpec& adapter) {
      adapter.part_alphas = {};
      return true;
    });
    for (std::size_t from = 0; from < adapters.size(); ++from) {
      for (std::size_t to = 0; to < adapters.size(); ++to) {
        PreparedCase changed = item_;
        bool used = false;
        for (int& adapter : changed.spec.tokens) {
          used = used || adapter == static_cast<int>(from);
          adapter = adapter == static_cast<int>(from) ? static_cast<int>(to) : adapter;
        }
        if (from != to && used) {
          add(fmt::format("adapter {} in the place of {}", adapters[to].name, adapters[from].name),
              std::move(changed));
        }
      }
    }
  }

  void add_bias() {
    if (item_.geometry->qkv_bias) {
      PreparedCase changed = item_;
      changed.geometry->qkv_bias = false;
      add("no bias", std::move(changed));
    }
  }

  const PreparedCase& item_;
  std::vector<Variation> all_;
};

}  // namespace

std::vector<Variation> variations_of(const PreparedCase& item) {
  return Variations(item).take();
}

}  // namespace tplora::core
