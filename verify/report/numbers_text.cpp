#include "verify/report/numbers_text.hpp"

#include <fmt/format.h>

#include <map>
#include <string_view>

#include "sim/numerics/scalar.hpp"
#include "verify/explain/story.hpp"
#include "verify/report/finding_record.hpp"

namespace tplora::core {
namespace {

/// "v of adapter a (slot 0): from adapter b's q rows 0-255 of slot 1": one line for each source of
/// a wrong value.
std::vector<std::string> describe_sources(const PreparedCase& item,
                                          const NumericDifference& difference) {
  const auto names = adapter_names(item.spec);
  std::vector<std::string> lines;
  for (const auto& source : difference.sources) {
    for (const Provenance& from : source.from) {
      const auto adapter_rows = [&](int adapter, std::string_view of, std::int64_t first) {
        return fmt::format("adapter {}'s {} rows {}-{}", names[static_cast<std::size_t>(adapter)],
                           of, first, first + from.rows - 1);
      };
      const std::string what = std::visit(
          Overloaded{[](const Zeros&) { return std::string("zeros"); },
                     [](const Outside&) { return std::string("memory outside the pool"); },
                     [&](const LoraBRows& b) {
                       return adapter_rows(b.adapter, part_name(b.part), b.first_row);
                     },
                     [&](const LoraARows& a) {
                       return adapter_rows(a.adapter, a.part ? part_name(*a.part) : "shared A",
                                           a.first_index);
                     },
                     [](const auto&) { return std::string("nothing that was loaded"); }},
          from.found);
      const std::string slot =
          from.slot && *from.slot != source.slot ? fmt::format(" of slot {}", *from.slot) : "";
      lines.push_back(
          fmt::format("{} delta of adapter {} (slot {}) came from {}{}", part_name(difference.part),
                      names[static_cast<std::size_t>(source.adapter)], source.slot, what, slot));
    }
  }
  return lines;
}

}  // namespace

NumbersRecord record_numbers(const PreparedCase& item, const NumericOutcome& numbers, bool shared) {
  NumbersRecord record{.state = numbers.state,
                       .compared = numbers.compared,
                       .wrong = numbers.wrong,
                       .why_vacuous = numbers.why_vacuous,
                       .digest = numbers.digest,
                       .shared = shared,
                       .differences = {}};
  // Ranks told together where part and tokens agree.
  struct Told {
    const NumericDifference* first;
    std::vector<std::int64_t> ranks;
    std::int64_t wrong = 0;
  };
  std::map<std::string, Told> stories;
  for (const NumericDifference& d : numbers.differences) {
    const auto key = fmt::format("{}|{}", part_name(d.part), fmt::join(d.bits.tokens, ","));
    auto& story = stories.try_emplace(key, Told{&d, {}, 0}).first->second;
    story.wrong += d.bits.wrong;
    if (story.ranks.empty() || story.ranks.back() != d.tp_rank) {
      story.ranks.push_back(d.tp_rank);
    }
  }
  for (const auto& [key, story] : stories) {
    const NumericDifference& d = *story.first;
    // A program may leave its outputs in fp32, whatever the model's dtype.
    const ScalarType dtype = item.spec.dtype;
    const bool fits = same_bits(round_to(dtype, d.bits.got), d.bits.got) &&
                      same_bits(round_to(dtype, d.bits.expected), d.bits.expected);
    const ScalarType shown = fits ? dtype : ScalarType::fp32;
    record.differences.push_back({.part = std::string(part_name(d.part)),
                                  .tp_ranks = runs_of(story.ranks),
                                  .wrong = story.wrong,
                                  .tokens = runs_of(d.bits.tokens),
                                  .tp_rank = d.tp_rank,
                                  .rows = {d.first_row, d.last_row},
                                  .token = d.bits.example_token,
                                  .row = d.first_row - d.bits.first_row + d.bits.example_row,
                                  .got = encode(shown, d.bits.got),
                                  .expected = encode(shown, d.bits.expected),
                                  .sources = describe_sources(item, d)});
  }
  return record;
}

std::string numbers_text(const NumbersRecord& numbers) {
  using State = NumericOutcome::State;
  if (numbers.state == State::not_run) {
    return "";
  }
  if (numbers.state == State::equal) {
    return fmt::format("  numbers: all {} outputs equal the unsharded reference bit for bit\n",
                       numbers.compared);
  }
  if (numbers.state == State::vacuous) {
    return fmt::format("  numbers: vacuous: {}\n", numbers.why_vacuous);
  }
  std::string text = fmt::format("  numbers: {} of {} outputs differ from the reference\n",
                                 numbers.wrong, numbers.compared);
  for (const DifferenceRecord& d : numbers.differences) {
    text += fmt::format(
        "    {} on tp_ranks {}: {} outputs, tokens {}; first on tp_rank {}: rows {}-{}, token {} "
        "row {} is {:#x}, expected {:#x}\n",
        d.part, ranges_text(d.tp_ranks), d.wrong, ranges_text(d.tokens), d.tp_rank, d.rows.first,
        d.rows.last, d.token, d.row, d.got, d.expected);
    for (const std::string& line : d.sources) {
      text += fmt::format("      tp_rank {}: {}\n", d.tp_rank, line);
    }
  }
  return text;
}

std::string numbers_text(const PreparedCase& item, const NumericOutcome& numbers) {
  return numbers_text(record_numbers(item, numbers, false));
}

}  // namespace tplora::core
