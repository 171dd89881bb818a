#include "sim/layout/violation.hpp"

namespace tplora::core {
namespace {

Law law_of_rows(const Delta& delta, const Content& found) {
  const std::optional<int> adapter = adapter_of(found);
  const bool others = adapter && *adapter != delta.adapter;
  return others || std::holds_alternative<NeverWritten>(found) ? Law::residue : Law::identity;
}

}  // namespace

std::optional<int> adapter_of(const Content& content) {
  if (const auto* b = std::get_if<LoraBRows>(&content)) {
    return b->adapter;
  }
  if (const auto* a = std::get_if<LoraARows>(&content)) {
    return a->adapter;
  }
  return std::nullopt;
}

std::optional<Part> part_of(const Content& content) {
  return std::visit(
      [](const auto& rows) -> std::optional<Part> {
        if constexpr (requires { rows.part; }) {
          return rows.part;
        } else {
          return std::nullopt;
        }
      },
      content);
}

Law law_of(const Violation& violation) {
  return std::visit(Overloaded{[](const HeadsOutside&) { return Law::cover; },
                               [](const WrongOwners&) { return Law::cover; },
                               [](const UnevenHeads&) { return Law::pairing; },
                               [](const WrongPairing&) { return Law::pairing; },
                               [](const WrongBase&) { return Law::cover; },
                               [](const SurplusColumns&) { return Law::cover; },
                               [](const MissingColumns&) { return Law::cover; },
                               [](const WrongLoraB& v) { return law_of_rows(v.delta, v.found); },
                               [](const WrongStride& v) { return law_of_rows(v.delta, v.found); },
                               [](const WrongLoraA& v) { return law_of_rows(v.delta, v.found); },
                               [](const ReadPastSlot&) { return Law::bounds; },
                               [](const ShortContraction&) { return Law::identity; },
                               [](const UnwantedTerm&) { return Law::residue; },
                               [](const WrittenPastRow&) { return Law::bounds; },
                               [](const ForeignRows&) { return Law::fit; },
                               [](const NoDelta&) { return Law::identity; },
                               [](const SecondDelta&) { return Law::identity; },
                               [](const DisagreeingReplicas&) { return Law::agreement; },
                               [](const WrongScaling&) { return Law::scaling; }},
                    violation);
}

std::int64_t tp_rank_of(const Violation& violation) {
  return std::visit([](const auto& v) { return v.tp_rank; }, violation);
}

const DueRows* due_of(const Violation& violation) {
  return std::visit(
      [](const auto& v) -> const DueRows* {
        if constexpr (requires { v.due; }) {
          return &v.due;
        } else {
          return nullptr;
        }
      },
      violation);
}

const Delta* delta_of(const Violation& violation) {
  return std::visit(
      [](const auto& v) -> const Delta* {
        if constexpr (requires { v.delta; }) {
          return &v.delta;
        } else {
          return nullptr;
        }
      },
      violation);
}

}  // namespace tplora::core
