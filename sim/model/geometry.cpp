#include "sim/model/geometry.hpp"

#include <fmt/format.h>

#include "sim/base/checked.hpp"

namespace tplora {
namespace {

/// One field of a geometry under the name that the config gives it.
struct Field {
  std::string_view name;
  std::int64_t value = 0;
  std::int64_t most = 0;
};

std::optional<Error> out_of_range(const Field& field) {
  if (field.value >= 1 && field.value <= field.most) {
    return std::nullopt;
  }
  return Error{fmt::format("{} is {}, expected an integer from 1 to {}", field.name, field.value,
                           field.most),
               ""};
}

/// heads * rows_per_head, all parts summed, times hidden_size; nothing on overflow.
std::optional<std::int64_t> weight_elements(const QkvGeometry& g) {
  std::optional<std::int64_t> rows = 0;
  for (const Part part : kParts) {
    const auto part_rows = core::checked_mul(g.heads(part), g.rows_per_head(part));
    rows = part_rows ? core::checked_add(*rows, *part_rows) : std::nullopt;
    if (!rows) {
      return std::nullopt;
    }
  }
  return core::checked_mul(*rows, g.hidden_size);
}

}  // namespace

std::string_view part_name(Part part) {
  switch (part) {
    case Part::q: return "q";
    case Part::k: return "k";
    case Part::v: return "v";
  }
  return "?";
}

std::string_view row_order_name(RowOrder order) {
  switch (order) {
    case RowOrder::blocks: return "blocks";
    case RowOrder::per_group: return "per_group";
    case RowOrder::per_head: return "per_head";
  }
  return "?";
}

std::optional<RowOrder> row_order_of(std::string_view name) {
  for (const RowOrder order : {RowOrder::blocks, RowOrder::per_group, RowOrder::per_head}) {
    if (row_order_name(order) == name) {
      return order;
    }
  }
  return std::nullopt;
}

std::string_view fusion_name(Fusion fusion) {
  switch (fusion) {
    case Fusion::separate: return "separate";
    case Fusion::qkv: return "qkv";
    case Fusion::kv: return "kv";
  }
  return "?";
}

std::string_view gate_layout_name(GateLayout layout) {
  switch (layout) {
    case GateLayout::none: return "none";
    case GateLayout::per_head: return "per_head";
    case GateLayout::halves: return "halves";
  }
  return "?";
}

std::int64_t QkvGeometry::heads(Part part) const {
  return part == Part::q ? num_attention_heads : num_key_value_heads;
}

std::int64_t QkvGeometry::rows_per_head(Part part) const {
  switch (part) {
    case Part::q: return q_multiplier * head_dim;
    case Part::k: return head_dim;
    case Part::v: return v_head_dim;
  }
  return 0;
}

std::int64_t QkvGeometry::rows(Part part) const {
  return heads(part) * rows_per_head(part);
}

std::int64_t QkvGeometry::total_rows() const {
  return rows(Part::q) + rows(Part::k) + rows(Part::v);
}

Result<void> validate(const QkvGeometry& g) {
  for (const Field& field :
       {Field{"hidden_size", g.hidden_size, kMaxDim},
        Field{"num_attention_heads", g.num_attention_heads, kMaxHeads},
        Field{"num_key_value_heads", g.num_key_value_heads, kMaxHeads},
        Field{"head_dim", g.head_dim, kMaxDim}, Field{"v_head_dim", g.v_head_dim, kMaxDim},
        Field{"the multiple of q rows (output gate)", g.q_multiplier, 2}}) {
    if (auto error = out_of_range(field)) {
      return fail(std::move(*error));
    }
  }
  if (g.num_attention_heads % g.num_key_value_heads != 0) {
    return fail(fmt::format("num_attention_heads {} is not a multiple of num_key_value_heads {}",
                            g.num_attention_heads, g.num_key_value_heads));
  }
  if (g.fused_order == RowOrder::per_head && g.num_key_value_heads != g.num_attention_heads) {
    return fail(
        fmt::format("a fused tensor with q, k and v for each head has as many KV heads as "
                    "query heads, found num_attention_heads {} and num_key_value_heads {}",
                    g.num_attention_heads, g.num_key_value_heads));
  }
  if (!weight_elements(g)) {
    return fail(
        fmt::format("num_attention_heads {}, num_key_value_heads {}, head_dim {} and "
                    "hidden_size {} give a weight whose size does not fit 64 bits",
                    g.num_attention_heads, g.num_key_value_heads, g.head_dim, g.hidden_size));
  }
  return {};
}

}  // namespace tplora
