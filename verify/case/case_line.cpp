#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"
#include "verify/case/case.hpp"
#include "verify/case/case_values.hpp"
#include "verify/case/slots.hpp"

namespace tplora::core {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{256} * 1024;

/// A key as a line gives it.
struct Pair {
  std::string key, text;
};

/// Which lines have a key, and whether print_case writes one that is as in a new Case.
enum class Presence { required, written, left_out };

/// One key: its value as text and back. A line without it leaves what a new Case has, or calls
/// `fill`.
struct Key {
  std::string_view name;
  Presence presence;
  Result<void> (*parse)(const Pair& pair, Case& one);
  std::string (*print)(const Case& one);
  Result<void> (*fill)(Case& one) = nullptr;
};

template <class Value, class To>
Result<void> store(Result<Value> value, To& to) {
  if (!value) {
    return fail(value.error());
  }
  to = *std::move(value);
  return {};
}

template <class Value>
Result<void> store_word(const Pair& pair, std::optional<Value> value, const char* expected,
                        Value& to) {
  if (!value) {
    return fail(
        fmt::format("case line: {}={}: expected {}", pair.key, excerpt(pair.text), expected));
  }
  to = *value;
  return {};
}

template <class To>
Result<void> store_accumulator(const Pair& pair, ScalarType dtype, To& to) {
  return store(accumulator_of(pair.text, dtype).map_error([&](const Error& error) {
    return Error{fmt::format("case line: {}={}: {}", pair.key, excerpt(pair.text), error.sentence),
                 ""};
  }),
               to);
}

template <std::string Case::*member>
constexpr Key name_key(std::string_view name, Presence presence) {
  return {name, presence,
          [](const Pair& pair, Case& one) -> Result<void> {
            one.*member = unescape(pair.text);
            return {};
          },
          [](const Case& one) { return escape(one.*member); }};
}

template <std::int64_t Case::*member, std::int64_t most>
constexpr Key number_key(std::string_view name, Presence presence) {
  return {name, presence,
          [](const Pair& pair, Case& one) {
            return store(parse_number(pair.key, pair.text, 1, most), one.*member);
          },
          [](const Case& one) { return std::to_string(one.*member); }};
}

Result<void> parse_seed(const Pair& pair, Case& one) {
  const auto seed = parse_decimal<std::uint64_t>(pair.text);
  return store_word(pair, seed, "a decimal integer from 0 to 2^64-1", one.seed);
}

/// Each adapter into the slot of its number.
Result<void> default_steps(Case& one) {
  if (static_cast<std::int64_t>(one.adapters.size()) > one.slots) {
    return fail(
        fmt::format("case line: {} adapters do not fit slots={}", one.adapters.size(), one.slots));
  }
  for (std::size_t i = 0; i < one.adapters.size(); ++i) {
    one.steps.push_back({PoolStep::Kind::load, static_cast<int>(i), static_cast<std::int64_t>(i)});
  }
  return {};
}

/// Every resident adapter in turn, and one token without.
Result<void> default_tokens(Case& one) {
  if (leaves_slots_open(one)) {
    return fail(
        "case line: the engine chooses slots, expected tokens=... to say who uses what is resident "
        "then");
  }
  const auto chosen = choose_slots(one, {});
  if (!chosen) {
    return fail(chosen.error());
  }
  for (const LiveAdapter& live : live_adapters(shapes_of(one.adapters), chosen->steps)) {
    one.tokens.push_back(live.adapter);
  }
  one.tokens.push_back(-1);
  return {};
}

/// In the order in which a line is read and print_case writes: a value may be checked against those
/// before it.
constexpr std::array<Key, 16> kKeys = {{
    name_key<&Case::model>("model", Presence::required),
    name_key<&Case::layer>("layer", Presence::left_out),
    name_key<&Case::engine>("engine", Presence::required),
    number_key<&Case::tp_size, kMaxRanks>("tp", Presence::required),
    number_key<&Case::dp_size, kMaxRanks>("dp", Presence::left_out),
    number_key<&Case::max_lora_rank, kMaxLoraRank>("R", Presence::written),
    number_key<&Case::slots, kMaxSlots>("slots", Presence::written),
    {"adapters", Presence::left_out,
     [](const Pair& pair, Case& one) { return store(parse_adapters(pair.text), one.adapters); },
     [](const Case& one) { return print_adapters(one.adapters); }},
    {"tokens", Presence::written,
     [](const Pair& pair, Case& one) {
       return store(parse_tokens(pair.text, one.adapters), one.tokens);
     },
     [](const Case& one) { return print_tokens(one.tokens, one.adapters); }, default_tokens},
    {"steps", Presence::left_out,
     [](const Pair& pair, Case& one) {
       return store(parse_steps(pair.text, one.adapters, one.slots), one.steps);
     },
     [](const Case& one) { return print_steps(one.steps, one.adapters); }, default_steps},
    {"dtype", Presence::written,
     [](const Pair& pair, Case& one) {
       return store_word(pair, scalar_type_of(pair.text), "bf16, fp16 or fp32", one.dtype);
     },
     [](const Case& one) { return std::string(scalar_type_name(one.dtype)); }},
    name_key<&Case::program>("program", Presence::left_out),
    {"accumulator", Presence::written,
     [](const Pair& pair, Case& one) {
       return store_accumulator(pair, one.dtype, one.accumulator);
     },
     [](const Case& one) { return accumulator_name(one.accumulator); }},
    {"base_accumulator", Presence::left_out,
     [](const Pair& pair, Case& one) {
       return store_accumulator(pair, one.dtype, one.base_accumulator);
     },
     [](const Case& one) {
       return one.base_accumulator ? accumulator_name(*one.base_accumulator) : "";
     }},
    {"data", Presence::written,
     [](const Pair& pair, Case& one) {
       return store_word(pair, data_kind_of(pair.text), "labels, integers, wide or file", one.data);
     },
     [](const Case& one) { return std::string(data_kind_name(one.data)); }},
    {"seed", Presence::written, parse_seed,
     [](const Case& one) { return std::to_string(one.seed); }},
}};

using Texts = std::array<std::string, kKeys.size()>;  ///< by key; empty: the line has none

Result<Texts> split_line(const std::string& line) {
  if (line.size() > kMaxLineBytes) {
    return fail(
        fmt::format("case line: found {} bytes, expected at most {}", line.size(), kMaxLineBytes));
  }
  Texts texts;
  std::istringstream words(line);
  std::string word;
  while (words >> word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == word.size()) {
      return fail(fmt::format("case line: found \"{}\", expected key=value", excerpt(word)));
    }
    const auto* key = std::find_if(kKeys.begin(), kKeys.end(),
                                   [&](const Key& known) { return known.name == name; });
    if (key == kKeys.end()) {
      std::vector<std::string_view> names;
      for (const Key& known : kKeys) {
        names.push_back(known.name);
      }
      return fail(fmt::format("case line: unknown key \"{}\", expected one of: {}", excerpt(name),
                              fmt::join(names, ", ")));
    }
    std::string& text = texts[static_cast<std::size_t>(key - kKeys.begin())];
    if (!text.empty()) {
      return fail(fmt::format("case line: the key \"{}\" stands twice", name));
    }
    text = word.substr(equals + 1);
  }
  return texts;
}

Result<Case> read_values(Texts texts, const AdaptersOf& adapters = {}) {
  Case one;
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    if (kKeys[i].name == "adapters" && adapters) {
      if (!texts[i].empty()) {
        return fail("case line: found adapters=, expected none beside adapters from folders");
      }
      const auto data =
          static_cast<std::size_t>(std::find_if(kKeys.begin(), kKeys.end(),
                                                [](const Key& key) { return key.name == "data"; }) -
                                   kKeys.begin());
      if (!texts[data].empty() && texts[data] != data_kind_name(DataKind::file)) {
        return fail(
            fmt::format("case line: data={}: the tensors are somebody's own, expected no "
                        "data=",
                        excerpt(texts[data])));
      }
      const auto given = adapters(one);
      if (!given) {
        return fail(given.error());
      }
      texts[i] = print_adapters(*given);  // read as everybody's
    }
    if (!texts[i].empty()) {
      const Pair pair{std::string(kKeys[i].name), texts[i]};
      if (auto parsed = kKeys[i].parse(pair, one); !parsed) {
        return fail(parsed.error());
      }
    }
  }
  // From the last key on: which tokens there are depends on the steps.
  for (std::size_t i = kKeys.size(); i-- > 0;) {
    if (texts[i].empty() && kKeys[i].fill != nullptr) {
      if (auto filled = kKeys[i].fill(one); !filled) {
        return fail(filled.error());
      }
    }
  }
  return leaves_slots_open(one) ? Result<Case>(std::move(one)) : choose_slots(std::move(one), {});
}

Result<Case> check_dp(Case one) {
  if (one.tp_size % one.dp_size != 0) {
    return fail(fmt::format("case line: dp={} does not divide tp={}", one.dp_size, one.tp_size));
  }
  return one;
}

}  // namespace

Result<Case> parse_case(const std::string& line) {
  return parse_case(line, {});
}

Result<Case> parse_case(const std::string& line, const AdaptersOf& adapters) {
  const auto texts = split_line(line);
  if (!texts) {
    return fail(texts.error());
  }
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    if (kKeys[i].presence == Presence::required && (*texts)[i].empty()) {
      return fail(fmt::format("case line: the key \"{}\" is missing", kKeys[i].name));
    }
  }
  return read_values(*texts, adapters).and_then(check_dp);
}

Result<Case> parse_scenario(const std::string& line) {
  const auto texts = split_line(line);
  if (!texts) {
    return fail(texts.error());
  }
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    if (kKeys[i].presence == Presence::required && !(*texts)[i].empty()) {
      return fail(
          fmt::format("case line: found the key \"{}\", expected only those that say "
                      "neither model nor engine nor tp",
                      kKeys[i].name));
    }
  }
  return read_values(*texts);
}

Result<Case> with_deployment(Case scenario, const std::string& model, const std::string& engine,
                             std::int64_t tp_size) {
  const auto checked = parse_number("tp", std::to_string(tp_size), 1, kMaxRanks);
  if (!checked) {
    return fail(checked.error());
  }
  scenario.model = model;
  scenario.engine = engine;
  scenario.tp_size = tp_size;
  return check_dp(std::move(scenario));
}

std::string print_case(const Case& one) {
  const Case fresh;
  std::string line;
  for (const Key& key : kKeys) {
    const std::string text = key.print(one);
    if (key.presence != Presence::left_out || text != key.print(fresh)) {
      line += fmt::format("{}{}={}", line.empty() ? "" : " ", key.name, text);
    }
  }
  return line;
}

}  // namespace tplora::core
