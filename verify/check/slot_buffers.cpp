#include "verify/check/slot_buffers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "sim/base/ensure.hpp"
#include "sim/base/printable.hpp"
#include "verify/check/compare_tensor.hpp"

namespace tplora::core {
namespace {

/// The part that a buffer's name ends with; nothing: it holds all three.
std::optional<Part> part_of_buffer(const std::string& name) {
  for (const Part part : kParts) {
    if (name.ends_with(fmt::format(".{}", part_name(part)))) {
      return part;
    }
  }
  return std::nullopt;
}

/// A buffer with its values.
struct ReadBuffer {
  const CandidateTensor* tensor = nullptr;
  SlotBuffer shape;
  std::vector<float> values;
};

class BufferCheck {
 public:
  BufferCheck(const LabelContext& context, const SafetensorsFile& golden)
      : context_(context),
        golden_(golden),
        g_(*context.item.geometry),
        specs_(adapters_after_steps(context.item.spec)) {}

  Result<std::vector<BufferResult>> run(const std::vector<const CandidateTensor*>& tensors) {
    std::vector<ReadBuffer> buffers;
    for (const CandidateTensor* tensor : tensors) {
      auto buffer = read(*tensor);
      if (!buffer) {
        return fail(buffer.error());
      }
      buffers.push_back(std::move(*buffer));
    }
    const bool labels = context_.item.spec.data == DataKind::labels;
    const bool a_labels = labels && g_.hidden_size >= kColumnsOfALabel;
    std::vector<std::int64_t> residue;
    for (const ReadBuffer& buffer : buffers) {
      if (a_labels && is_a(buffer)) {
        const auto more = slots_with_residue(context_, buffer.shape, buffer.values);
        residue.insert(residue.end(), more.begin(), more.end());
      }
    }
    std::vector<BufferResult> results;
    for (ReadBuffer& buffer : buffers) {
      auto result = is_a(buffer) ? check_a(buffer) : check_b(buffer);
      if (!result) {
        return fail(result.error());
      }
      if (is_a(buffer) ? a_labels : labels) {
        result->places = is_a(buffer)
                             ? places_of_a(context_, buffer.shape,
                                           part_of_buffer(buffer.tensor->name), buffer.values)
                             : places_of_b(context_, buffer.shape, buffer.values, residue);
      }
      result->values = std::move(buffer.values);
      results.push_back(std::move(*result));
    }
    return results;
  }

 private:
  static bool is_a(const ReadBuffer& buffer) { return buffer.tensor->name.starts_with("lora_a"); }

  Result<ReadBuffer> read(const CandidateTensor& tensor) {
    const bool of_a = tensor.name.starts_with("lora_a");
    const auto slots = static_cast<std::int64_t>(context_.resident.size());
    const auto refused = [&](const std::string& why) { return fail(why, tensor.place()); };
    const TensorType due = stored_type(context_.item.spec.dtype);
    if (tensor.type != due && !(bits_of(due) == 16 && (tensor.type == TensorType::u16 ||
                                                       tensor.type == TensorType::i16))) {
      return refused(fmt::format("dtype {}: expected {}", tensor_type_name(tensor.type),
                                 tensor_type_name(due)));
    }
    if (tensor.shape.size() != 3 || tensor.shape[0] < slots || tensor.shape[1] < 1) {
      return refused(fmt::format("shape {}: expected [slots, rows, {}], of at least {} slots",
                                 shape_text(tensor.shape), of_a ? "hidden_size" : "columns",
                                 slots));
    }
    std::int64_t least = of_a ? g_.hidden_size : 1;
    for (const int number : context_.resident) {
      least = of_a || number < 0
                  ? least
                  : std::max(least, specs_[static_cast<std::size_t>(number)].largest_rank());
    }
    if (of_a ? tensor.shape[2] != least : tensor.shape[2] < least) {
      return refused(fmt::format("shape {}: expected rows of {}{} elements",
                                 shape_text(tensor.shape), of_a ? "" : "at least ", least));
    }
    ReadBuffer buffer;
    buffer.tensor = &tensor;
    buffer.shape = {.tensor = tensor.name, .rows = tensor.shape[1], .cols = tensor.shape[2]};
    if (!of_a) {
      const auto part = part_of_buffer(tensor.name);
      const ColumnsOfPart whole{
          .part = Part::q, .at = 0, .first_row = 0, .rows = context_.own.width};
      const ColumnsOfPart& columns =
          part ? context_.own.columns[static_cast<std::size_t>(*part)] : whole;
      buffer.shape.first_column = columns.at;
      buffer.shape.due_rows = columns.rows;
    }
    auto values = read_values(*tensor.file, tensor.begin, tensor.type, context_.item.spec.dtype, 0,
                              slots * tensor.shape[1] * tensor.shape[2]);
    if (!values) {
      return fail(values.error());
    }
    buffer.values = std::move(*values);
    return buffer;
  }

  Result<std::vector<float>> expected(const std::string& name) {
    const TensorEntry* entry = golden_.find(name);
    ensure(entry != nullptr, "a golden's rank file has its slots");
    return read_values(golden_.file(), entry->begin, entry->type, context_.item.spec.dtype, 0,
                       element_count(entry->shape).value_or(0));
  }

  TensorComparison start(const ReadBuffer& buffer) const {
    TensorComparison comparison{.tensor = buffer.tensor->name,
                                .tp_rank = context_.own.tp_rank,
                                .shape = buffer.tensor->shape};
    return comparison;
  }

  Result<BufferResult> check_b(const ReadBuffer& buffer) {
    const auto due = expected("lora_b");
    if (!due) {
      return fail(due.error());
    }
    const std::int64_t most = context_.item.spec.max_lora_rank;
    BufferResult result{start(buffer), std::nullopt, {}, {}};
    if (buffer.shape.rows != buffer.shape.due_rows) {
      result.fit = {buffer.tensor->name, context_.own.tp_rank, buffer.shape.rows,
                    buffer.shape.due_rows};
    }
    for (std::size_t slot = 0; slot < context_.resident.size(); ++slot) {
      for (std::int64_t i = 0; context_.resident[slot] >= 0 && i < buffer.shape.due_rows; ++i) {
        const std::int64_t column = buffer.shape.first_column + i;
        const AdapterSpec& spec = specs_[static_cast<std::size_t>(context_.resident[slot])];
        const Part part = context_.due(column).part;
        for (std::int64_t col = 0; spec.has(part) && col < spec.rank_of(part); ++col) {
          const auto at =
              (static_cast<std::int64_t>(slot) * buffer.shape.rows + i) * buffer.shape.cols + col;
          const float want = (*due)[static_cast<std::size_t>(
              (static_cast<std::int64_t>(slot) * context_.own.width + column) * most + col)];
          ++result.comparison.elements;
          if (i >= buffer.shape.rows) {  // the buffer ends before; the fit says so
            ++result.comparison.mismatched;
            ++result.comparison.bits_differ;
            continue;
          }
          const float have = buffer.values[static_cast<std::size_t>(at)];
          if (!same_bits(want, have)) {
            note_mismatch(result.comparison, at, want, have);
          }
        }
      }
    }
    return result;
  }

  Result<BufferResult> check_a(const ReadBuffer& buffer) {
    BufferResult result{start(buffer), std::nullopt, {}, {}};
    const auto only = part_of_buffer(buffer.tensor->name);
    for (const Part part : kParts) {
      if (only && *only != part) {
        continue;
      }
      const auto due = expected(fmt::format("lora_a.{}", part_name(part)));
      if (!due) {
        return fail(due.error());
      }
      for (std::size_t slot = 0; slot < context_.resident.size(); ++slot) {
        if (context_.resident[slot] >= 0) {
          check_a_part(buffer, *due, slot, part, result.comparison);
        }
      }
    }
    return result;
  }

  /// The part's rows from the place on where most of them agree.
  void check_a_part(const ReadBuffer& buffer, const std::vector<float>& due, std::size_t slot,
                    Part part, TensorComparison& comparison) const {
    const AdapterSpec& spec = specs_[static_cast<std::size_t>(context_.resident[slot])];
    if (!spec.has(part)) {
      return;
    }
    const auto hidden = static_cast<std::size_t>(g_.hidden_size);
    const auto rows = static_cast<std::size_t>(buffer.shape.rows);
    const auto lora_rank = static_cast<std::size_t>(spec.rank_of(part));
    const auto want = [&](std::size_t row) {
      return std::span(due).subspan(
          (slot * static_cast<std::size_t>(context_.item.spec.max_lora_rank) + row) * hidden,
          hidden);
    };
    const auto have = [&](std::size_t row) {
      return std::span(buffer.values).subspan((slot * rows + row) * hidden, hidden);
    };
    const auto equal = [&](std::size_t at, std::size_t row) {
      return std::equal(want(row).begin(), want(row).end(), have(at).begin(), same_bits);
    };
    std::size_t best = 0;
    std::size_t best_rows = 0;
    for (std::size_t at = 0; at + lora_rank <= rows && best_rows < lora_rank; ++at) {
      std::size_t agree = 0;
      for (std::size_t row = 0; row < lora_rank; ++row) {
        agree += equal(at + row, row) ? std::size_t{1} : std::size_t{0};
      }
      if (agree > best_rows) {
        best = at;
        best_rows = agree;
      }
    }
    comparison.elements += static_cast<std::int64_t>(lora_rank * hidden);
    for (std::size_t row = 0; row < lora_rank && best_rows < lora_rank; ++row) {
      for (std::size_t k = 0; k < hidden; ++k) {
        const float found = best + row < rows ? have(best + row)[k] : canonical_nan();
        if (!same_bits(want(row)[k], found)) {
          note_mismatch(comparison,
                        static_cast<std::int64_t>((slot * rows + best + row) * hidden + k),
                        want(row)[k], found);
        }
      }
    }
  }

  const LabelContext& context_;
  const SafetensorsFile& golden_;
  const QkvGeometry& g_;
  std::vector<AdapterSpec> specs_;
};

}  // namespace

bool is_slot_buffer(const std::string& name) {
  static const std::set<std::string> kNames = {"lora_a", "lora_a.q", "lora_a.k", "lora_a.v",
                                               "lora_b", "lora_b.q", "lora_b.k", "lora_b.v"};
  return kNames.contains(name);
}

Result<std::vector<BufferResult>> check_slot_buffers(
    const LabelContext& context, const SafetensorsFile& golden,
    const std::vector<const CandidateTensor*>& buffers) {
  return BufferCheck(context, golden).run(buffers);
}

}  // namespace tplora::core
