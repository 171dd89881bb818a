#include "verify/report/finding_text.hpp"

#include <fmt/format.h>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

/// Says what a violation's columns hold and what they must hold.
class Words {
 public:
  explicit Words(const Finding& finding) : finding_(finding), context_(*finding.context) {}

  [[nodiscard]] std::string found() const {
    return std::visit(
        Overloaded{
            [](const HeadsOutside&) { return std::string("heads that do not exist"); },
            [](const WrongOwners& v) {
              return v.owners == 0   ? std::string("no owner")
                     : v.owners == 1 ? std::string("1 owner")
                                     : fmt::format("{} owners", v.owners);
            },
            [](const UnevenHeads& v) {
              return fmt::format("{} query heads for {} KV heads", v.q_heads, v.kv_heads);
            },
            [](const WrongPairing& v) { return fmt::format("KV head {}", v.kv_head); },
            [&](const WrongBase& v) { return content(v.found, v.due.rows, 1); },
            [&](const SurplusColumns& v) { return content(v.found, v.columns, 1); },
            [](const MissingColumns&) { return std::string("no column at all"); },
            [&](const WrongLoraB& v) {
              return content(v.found, v.due.rows, 1) + in_slot(v.delta.slot);
            },
            [&](const WrongStride& v) {
              return fmt::format("rows of B read {} elements apart, from {}{} on", v.stride,
                                 content(v.found, 1, 1), in_slot(v.delta.slot));
            },
            [&](const WrongLoraA& v) {
              return content(v.found, v.due.rows, v.indices.count) + in_slot(v.delta.slot);
            },
            [&](const ReadPastSlot& v) { return past(v); },
            [](const ShortContraction& v) {
              return fmt::format("a contraction over {} of the adapter's lora_rank {}", v.depth,
                                 v.due_depth);
            },
            [&](const UnwantedTerm& v) {
              return content(v.found, v.due.rows, v.indices.count) + in_slot(v.delta.slot);
            },
            [](const WrittenPastRow&) {
              return std::string("a delta behind the end of the output row");
            },
            [](const ForeignRows& v) {
              return fmt::format("a tensor of {} {} rows", v.rows, part_name(v.part));
            },
            [](const NoDelta&) { return std::string("no delta at all"); },
            [](const SecondDelta&) { return std::string("a second delta on the same columns"); },
            [](const DisagreeingReplicas&) { return std::string("other rows"); },
            [](const WrongScaling&) { return std::string("another factor"); }},
        *finding_.violation);
  }

  [[nodiscard]] std::string expected() const {
    return std::visit(
        Overloaded{
            [](const HeadsOutside& v) { return owners(v.part); },
            [](const WrongOwners& v) {
              return owners(v.part) +
                     (v.part == Part::q ? "" : fmt::format(", which is {} here", v.due_owners));
            },
            [](const UnevenHeads&) {
              return std::string("a KV head for each run of this rank's query heads");
            },
            [](const WrongPairing& v) {
              return fmt::format("KV head {}, to which this rank's query heads belong",
                                 v.due_kv_head);
            },
            [&](const WrongBase& v) { return base_rows(v.due); },
            [](const SurplusColumns&) { return std::string("no column there"); },
            [&](const MissingColumns& v) { return base_rows(v.due); },
            [&](const WrongStride& v) {
              return fmt::format("adapter {}'s {}, {} elements apart", name(v.delta.adapter),
                                 rows(v.due.part, v.due.first_row, v.due.rows), v.due_stride);
            },
            [&](const WrongLoraA& v) { return a_rows(v.delta.adapter, v.indices); },
            [](const UnwantedTerm& v) {
              const auto [first, count] = v.indices;
              return "no contribution at lora_rank " +
                     (count == 1 ? fmt::format("index {}", first)
                                 : fmt::format("indices {}-{}", first, first + count - 1));
            },
            [&](const ReadPastSlot& v) {
              return v.a_rows ? a_rows(v.delta.adapter, *v.a_rows)
                              : fmt::format("adapter {}'s {}", name(v.delta.adapter),
                                            rows(v.due.part, v.due.first_row, v.due.rows));
            },
            [](const WrittenPastRow&) { return std::string("no write there"); },
            [](const DisagreeingReplicas& v) {
              return fmt::format("the same bits as on tp_rank {}, which owns the same KV head",
                                 v.other_tp_rank);
            },
            [](const WrongScaling&) { return std::string("the factor that PEFT means"); },
            [](const ForeignRows& v) {
              return fmt::format("the layer's {} {} rows: the adapter is of another model",
                                 v.due_rows, part_name(v.part));
            },
            [&](const auto& v) {
              return fmt::format("adapter {}'s {}", name(v.delta.adapter),
                                 rows(v.due.part, v.due.first_row, v.due.rows));
            }},
        *finding_.violation);
  }

 private:
  [[nodiscard]] std::string a_rows(int adapter, const LoraIndices& indices) const {
    return fmt::format("adapter {}'s {}", name(adapter),
                       plural_range("A row", {indices.first, indices.first + indices.count - 1}));
  }

  [[nodiscard]] const std::string& name(int adapter) const {
    ensure(static_cast<std::size_t>(adapter) < context_.adapters.size(), "adapters have names");
    return context_.adapters[static_cast<std::size_t>(adapter)];
  }

  [[nodiscard]] std::string rows(Part part, std::int64_t first, std::int64_t count) const {
    const std::int64_t head_rows = context_.geometry.rows_per_head(part);
    return fmt::format("{} {} ({})", part_name(part),
                       plural_range("row", {first, first + count - 1}),
                       plural_range("head", {first / head_rows, (first + count - 1) / head_rows}));
  }

  [[nodiscard]] std::string base_rows(const DueRows& due) const {
    return rows(due.part, due.first_row, due.rows) + " of the base weight";
  }

  [[nodiscard]] static std::string owners(Part part) {
    return part == Part::q ? "each query head on one rank of the group"
                           : "each KV head on as many ranks as it has replicas";
  }

  [[nodiscard]] static std::string in_slot(std::int64_t slot) {
    return fmt::format(" in slot {}", slot);
  }

  /// `count` rows of the base weight or B, or `indices` of A.
  [[nodiscard]] std::string content(const Content& found, std::int64_t count,
                                    std::int64_t indices) const {
    return std::visit(
        Overloaded{[](const Zeros&) { return std::string("zeros"); },
                   [](const NeverWritten&) { return std::string("nothing that was loaded"); },
                   [](const Outside&) { return std::string("memory outside the pool"); },
                   [&](const BaseRows& v) {
                     return rows(v.part, v.first_row, count) + " of the base weight";
                   },
                   [&](const LoraBRows& v) {
                     return fmt::format("adapter {}'s {}", name(v.adapter),
                                        rows(v.part, v.first_row, count));
                   },
                   [&](const LoraARows& v) {
                     return fmt::format(
                         "adapter {}'s {}{}", name(v.adapter),
                         v.part ? std::string(part_name(*v.part)) + " " : "",
                         plural_range("A row", {v.first_index, v.first_index + indices - 1}));
                   }},
        found);
  }

  [[nodiscard]] std::string past(const ReadPastSlot& v) const {
    const std::string what = content(v.found, v.due.rows, v.a_rows ? v.a_rows->count : 1);
    return v.slot_read ? fmt::format("{} of slot {}, read past the end of slot {}", what,
                                     *v.slot_read, v.delta.slot)
                       : what;
  }

  const Finding& finding_;
  const FindingContext& context_;
};

}  // namespace

std::string plural_range(const char* noun, const Range& range) {
  return range.first == range.last ? fmt::format("{} {}", noun, range.first)
                                   : fmt::format("{}s {}-{}", noun, range.first, range.last);
}

std::string found_text(const Finding& finding) {
  ensure(finding.violation && finding.context, "a broken law has something to be found");
  return Words(finding).found();
}

std::string expected_text(const Finding& finding) {
  ensure(finding.violation && finding.context, "a broken law has something expected");
  return Words(finding).expected();
}

std::string message(const Finding& finding) {
  const auto& f = finding;
  if (!f.is_about_rows()) {
    return fmt::format("tp_rank {}: {} [{}]", f.tp_rank, cause_text(f), f.cause_place.text());
  }
  const std::string where =
      f.part ? fmt::format("{} {}, {}", part_name(*f.part), plural_range("head", *f.heads),
                           plural_range("row", *f.rows))
             : plural_range("output column", *f.columns);
  const std::string whose =
      f.delta ? fmt::format(" of adapter {} (slot {})", f.adapter(), f.delta->slot) : "";
  return fmt::format("tp_rank {}, {}{}: found {}, expected {}; law {}{}; {} [{}]", f.tp_rank, where,
                     whose, found_text(f), expected_text(f), law_name(f.law),
                     f.consequence ? ", in consequence" : "", cause_text(f), f.cause_place.text());
}

}  // namespace tplora::core
