// What moves rows: `weight`, `lora_b`, `lora_a`, `kernel`.
#include <fmt/format.h>

#include <algorithm>

#include "sim/contract/sections.hpp"
#include "sim/contract/words.hpp"

namespace tplora::core {
namespace {

/// The sections that are lists of copies.
enum class CopySection { weight, lora_b, lora_a };

std::vector<Buffer> read_buffers(const Fields& section, FormulaReader& formulas) {
  std::vector<Buffer> buffers;
  for (const auto& [name, view] : section.members("buffers")) {
    buffers.push_back({name, formulas.read_before_load(
                                 view, "a buffer is allocated before any adapter is known")});
  }
  const auto field = section.find("buffers");
  if (field && buffers.empty()) {
    formulas.errors().refuse(field->expected("at least one buffer"));
  }
  return buffers;
}

/// The number of the buffer that `key` names.
int read_buffer(const Fields& entry, std::string_view key, const std::vector<Buffer>& buffers,
                FirstError& errors) {
  const std::string name = entry.text(key);
  const auto found = std::find_if(buffers.begin(), buffers.end(),
                                  [&](const Buffer& buffer) { return buffer.name == name; });
  if (found != buffers.end()) {
    return static_cast<int>(found - buffers.begin());
  }
  if (const auto field = entry.find(key)) {
    errors.refuse(field->error(fmt::format("no buffer is called \"{}\"", name)));
  }
  return 0;
}

Source read_source(const Fields& entry, CopySection section, FirstError& errors) {
  const Source source = entry.word("src", words::kSource);
  const bool adapter_a = section == CopySection::lora_a;
  const auto field = entry.find("src");
  if (field && source == (adapter_a ? Source::fused : Source::shared)) {
    errors.refuse(field->expected(adapter_a ? R"("q", "k", "v" or "shared")"
                                            : R"("q", "k", "v" or "fused")"));
  }
  return source;
}

Copy read_copy(const JsonView& view, CopySection section, const std::vector<Buffer>& buffers,
               FormulaReader& formulas) {
  FirstError& errors = formulas.errors();
  const bool weight = section == CopySection::weight;
  const Fields entry = weight ? Fields(view, errors, {"src", "from", "rows", "at", "for"})
                              : Fields(view, errors, {"src", "to", "from", "rows", "at", "for"});
  const auto formula = [&](const JsonView& field) {
    return weight ? formulas.read_before_load(field, "the base weight cannot depend on an adapter")
                  : formulas.read(field);
  };
  const auto required = [&](std::string_view key) {
    const auto field = entry.find(key);
    return field ? formula(*field) : Formula();
  };
  Copy copy;
  copy.place = formulas.place(view);
  copy.loops = formulas.open_loops(entry);
  copy.source = read_source(entry, section, errors);
  copy.buffer = weight ? 0 : read_buffer(entry, "to", buffers, errors);
  copy.from = required("from");
  copy.rows = required("rows");
  if (const auto at = entry.find("at", Need::optional)) {
    copy.at = formula(*at);
  }
  formulas.close_loops(copy.loops);
  return copy;
}

/// Each of q, k and v must be taken by some copy, or no geometry could ever be consistent.
void check_parts(const JsonView& list, CopySection section, const std::vector<Copy>& copies,
                 FirstError& errors) {
  const Source whole = section == CopySection::lora_a ? Source::shared : Source::fused;
  for (const Source part : {Source::q, Source::k, Source::v}) {
    const bool taken = std::any_of(copies.begin(), copies.end(), [&](const Copy& copy) {
      return copy.source == part || copy.source == whole;
    });
    if (!taken) {
      errors.refuse(list.error(
          fmt::format(R"(no copy takes rows of {0}, expected one with "src": "{0}" or "{1}")",
                      source_name(part), source_name(whole))));
    }
  }
}

std::vector<Copy> read_copies(const Fields& fields, CopySection section,
                              const std::vector<Buffer>& buffers, FormulaReader& formulas) {
  FirstError& errors = formulas.errors();
  std::vector<Copy> copies;
  for (const JsonView& view : fields.entries("copies")) {
    copies.push_back(read_copy(view, section, buffers, formulas));
    if (!errors.none()) {
      break;
    }
  }
  if (const auto field = fields.find("copies")) {
    if (copies.empty()) {
      errors.refuse(field->expected("at least one copy"));
    }
    check_parts(*field, section, copies, errors);
  }
  return copies;
}

}  // namespace

void read_weight(const Fields& root, FormulaReader& formulas, Contract& contract) {
  if (const auto section = root.find("weight")) {
    const Fields fields(*section, formulas.errors(), {"order", "fused_by", "past_end", "copies"});
    contract.weight = {.order = fields.word("order", words::kOrder, FusedOrder::blocks),
                       .fused_by = fields.word("fused_by", words::kFusedBy, FusedBy::engine),
                       .past_end = fields.word("past_end", words::kPastEnd, PastEnd::error),
                       .copies = read_copies(fields, CopySection::weight, {}, formulas)};
  }
}

void read_lora_b(const Fields& root, FormulaReader& formulas, Contract& contract) {
  if (const auto section = root.find("lora_b")) {
    const Fields fields(*section, formulas.errors(),
                        {"order", "fused_by", "buffers", "fit", "past_end", "copies"});
    LoraBSection& b = contract.lora_b;
    b.order = fields.word("order", words::kOrder, FusedOrder::blocks);
    b.fused_by = fields.word("fused_by", words::kFusedBy, FusedBy::engine);
    b.fit = fields.word("fit", words::kFit, Fit::exact);
    b.past_end = fields.word("past_end", words::kPastEnd, PastEnd::clip);
    b.buffers = read_buffers(fields, formulas);
    b.copies = read_copies(fields, CopySection::lora_b, b.buffers, formulas);
  }
}

void read_lora_a(const Fields& root, FormulaReader& formulas, Contract& contract) {
  if (const auto section = root.find("lora_a")) {
    const Fields fields(*section, formulas.errors(), {"buffers", "gather", "past_end", "copies"});
    LoraASection& a = contract.lora_a;
    a.gather = fields.word("gather", words::kGather, Gather::none);
    a.past_end = fields.word("past_end", words::kPastEnd, PastEnd::clip);
    a.buffers = read_buffers(fields, formulas);
    a.copies = read_copies(fields, CopySection::lora_a, a.buffers, formulas);
  }
}

void read_kernel(const Fields& root, FormulaReader& formulas, Contract& contract) {
  FirstError& errors = formulas.errors();
  for (const JsonView& view : root.entries("kernel")) {
    const Fields entry(view, errors,
                       {"a", "a_at", "b", "b_at", "out", "rows", "depth", "b_stride", "for"});
    auto loops = formulas.open_loops(entry);
    contract.kernel.push_back({.a = read_buffer(entry, "a", contract.lora_a.buffers, errors),
                               .b = read_buffer(entry, "b", contract.lora_b.buffers, errors),
                               .a_at = formulas.read(entry, "a_at"),
                               .b_at = formulas.read(entry, "b_at"),
                               .out = formulas.read(entry, "out"),
                               .rows = formulas.read(entry, "rows"),
                               .depth = formulas.read(entry, "depth"),
                               .b_stride = formulas.read_optional(entry, "b_stride"),
                               .loops = std::move(loops),
                               .place = formulas.place(view)});
    formulas.close_loops(contract.kernel.back().loops);
    if (!errors.none()) {
      return;
    }
  }
  const auto field = root.find("kernel");
  if (field && contract.kernel.empty()) {
    errors.refuse(field->expected("at least one kernel entry"));
  }
}

}  // namespace tplora::core
