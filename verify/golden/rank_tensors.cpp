#include "verify/golden/rank_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/numerics/program.hpp"

namespace tplora::core {
namespace {

class RankTensors {
 public:
  RankTensors(const PreparedCase& item, const Unsharded& unsharded, const OwnedHeads& rank)
      : item_(item), g_(*item.geometry), unsharded_(unsharded), own_(rank) {}

  [[nodiscard]] std::vector<TensorToWrite> all() const {
    const OwnedHeads& own = own_;
    const RoundingProgram& program = *unsharded_.arithmetic().program;
    const ScalarType dtype = item_.spec.dtype;
    const Reference& reference = unsharded_.reference();
    std::vector<TensorToWrite> tensors;
    tensors.push_back(weight_of(own));
    if (g_.qkv_bias) {
      tensors.push_back(bias_of(own));
    }
    add_slots(own, tensors);
    tensors.push_back(output_tensor("y_base", type_after(program.base, dtype), own,
                                    [&](Part part) { return reference.base_output(part); }));
    tensors.push_back(output_tensor("y", type_after(program.sum, dtype), own,
                                    [&](Part part) { return reference.output(part); }));
    tensors.push_back(output_tensor(
        "delta", type_after(program.delta, dtype), own,
        [&](Part part) -> std::span<const float> { return reference.steps(part).delta; }));
    for (const Part part : kParts) {
      const ForwardSteps& steps = reference.steps(part);
      if (steps.lora_rank > 0) {
        tensors.push_back(tensor_of(fmt::format("u.{}", part_name(part)),
                                    type_after(program.shrink, dtype),
                                    {unsharded_.batch().tokens(), steps.lora_rank}, steps.u));
      }
    }
    return tensors;
  }

 private:
  /// [tokens, width] of by-part values [tokens, rows(part)].
  [[nodiscard]] std::vector<float> cut(
      const OwnedHeads& own, const std::function<std::span<const float>(Part)>& of) const {
    std::vector<float> values;
    values.reserve(static_cast<std::size_t>(own.width) * item_.spec.tokens.size());
    for (std::size_t token = 0; token < item_.spec.tokens.size(); ++token) {
      for (const ColumnsOfPart& columns : own.columns) {
        const auto row = of(columns.part)
                             .subspan(token * static_cast<std::size_t>(g_.rows(columns.part)) +
                                          static_cast<std::size_t>(columns.first_row),
                                      static_cast<std::size_t>(columns.rows));
        values.insert(values.end(), row.begin(), row.end());
      }
    }
    return values;
  }

  TensorToWrite output_tensor(const std::string& name, ScalarType type, const OwnedHeads& own,
                              const std::function<std::span<const float>(Part)>& of) const {
    return tensor_of(name, type, {unsharded_.batch().tokens(), own.width}, cut(own, of));
  }

  TensorToWrite weight_of(const OwnedHeads& own) const {
    const auto produce = [&item = item_, &unsharded = unsharded_,
                          own](const TakeBytes& take) -> Result<void> {
      constexpr std::int64_t kRows = 64;
      std::vector<float> block(static_cast<std::size_t>(kRows * item.geometry->hidden_size));
      for (const ColumnsOfPart& columns : own.columns) {
        for (std::int64_t row = 0; row < columns.rows; row += kRows) {
          const std::int64_t some = std::min(kRows, columns.rows - row);
          unsharded.tensors()->weight_rows(columns.part, columns.first_row + row, some,
                                           block.data());
          const auto made = std::span<const float>(block).first(
              static_cast<std::size_t>(some * item.geometry->hidden_size));
          if (auto taken = put_values(item.spec.dtype, made, take); !taken) {
            return taken;
          }
        }
      }
      return {};
    };
    return {"weight", stored_type(item_.spec.dtype), {own.width, g_.hidden_size}, produce};
  }

  TensorToWrite bias_of(const OwnedHeads& own) const {
    std::vector<float> values;
    for (const ColumnsOfPart& columns : own.columns) {
      const std::vector<float> all = unsharded_.tensors()->bias(columns.part);
      const auto from = all.begin() + columns.first_row;
      values.insert(values.end(), from, from + columns.rows);
    }
    return tensor_of("bias", item_.spec.dtype, {own.width}, std::move(values));
  }

  /// What the slots must hold, in no engine's layout: row i of lora_b is for column i.
  void add_slots(const OwnedHeads& own, std::vector<TensorToWrite>& tensors) const {
    const std::int64_t slots = item_.spec.slots;
    const std::int64_t most = item_.spec.max_lora_rank;
    const std::vector<int> adapter_of_slot = adapters_in_slots(item_.spec);
    const auto size = [&](std::int64_t rows, std::int64_t cols) {
      return std::vector<float>(static_cast<std::size_t>(slots * rows * cols));
    };
    std::vector<float> b = size(own.width, most);
    std::array<std::vector<float>, 3> a;
    for (const Part part : kParts) {
      const auto i = static_cast<std::size_t>(part);
      a[i] = size(most, g_.hidden_size);
      for (std::int64_t slot = 0; slot < slots; ++slot) {
        const int number = adapter_of_slot[static_cast<std::size_t>(slot)];
        if (number < 0) {
          continue;
        }
        const Adapter& adapter = unsharded_.adapters()[static_cast<std::size_t>(number)];
        const std::int64_t lora_rank = adapter.spec().rank_of(part);
        if (!adapter.spec().has(part) || lora_rank > most) {
          continue;
        }
        std::copy(adapter.a(part).begin(), adapter.a(part).end(),
                  a[i].begin() + slot * most * g_.hidden_size);
        const ColumnsOfPart& columns = own.columns[i];
        for (std::int64_t row = 0; row < columns.rows; ++row) {
          for (std::int64_t col = 0; col < lora_rank; ++col) {
            const float value = adapter.b(
                part)[static_cast<std::size_t>((columns.first_row + row) * lora_rank + col)];
            b[static_cast<std::size_t>(((slot * own.width) + columns.at + row) * most + col)] =
                apply(unsharded_.arithmetic().program->load_b, value, adapter.spec().scaling(part),
                      item_.spec.dtype);
          }
        }
      }
      tensors.push_back(tensor_of(fmt::format("lora_a.{}", part_name(part)), item_.spec.dtype,
                                  {slots, most, g_.hidden_size}, std::move(a[i])));
    }
    tensors.push_back(
        tensor_of("lora_b", item_.spec.dtype, {slots, own.width, most}, std::move(b)));
  }

  const PreparedCase& item_;
  const QkvGeometry& g_;
  const Unsharded& unsharded_;
  const OwnedHeads& own_;
};

}  // namespace

ScalarType type_after(std::span<const Step> steps, ScalarType dtype) {
  return !steps.empty() && steps.back() == Step::round ? dtype : ScalarType::fp32;
}

std::vector<int> adapters_in_slots(const Case& one) {
  std::vector<int> slots(static_cast<std::size_t>(one.slots), -1);
  for (const LiveAdapter& live : live_adapters(shapes_of(one.adapters), one.steps)) {
    slots[static_cast<std::size_t>(live.slot)] = live.adapter;
  }
  return slots;
}

std::vector<TensorToWrite> rank_tensors(const PreparedCase& item, const Unsharded& unsharded,
                                        const OwnedHeads& own) {
  return RankTensors(item, unsharded, own).all();
}

}  // namespace tplora::core
