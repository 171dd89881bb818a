#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "sim/base/printable.hpp"
#include "verify/case/case.hpp"
#include "verify/case/slots.hpp"

namespace tplora {
namespace {

/// The text of a value in which a blank stands as %20 and a percent sign as %25.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view code = std::string_view(text).substr(i, 3);
    const bool is_code = code == "%20" || code == "%25";
    plain += is_code ? (code == "%20" ? ' ' : '%') : text[i];
    i += is_code ? 2 : 0;
  }
  return plain;
}

constexpr std::int64_t kMaxAlpha = 1 << 20;
constexpr std::int64_t kMaxRanks = 1024;
constexpr std::int64_t kMaxSlots = 256;
constexpr std::int64_t kMaxLoraRank = 4096;
constexpr std::int64_t kMaxTokens = 4096;
constexpr std::int64_t kMaxAdapters = 256;
constexpr std::int64_t kMaxSteps = 4096;
constexpr std::size_t kMaxLineBytes = std::size_t{256} * 1024;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) {
      return parts;
    }
    begin = end + 1;
  }
}

Result<std::int64_t> number(const std::string& key, const std::string& text, std::int64_t least,
                            std::int64_t most) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    return fail(fmt::format("case line: {}={}: expected an integer from {} to {}", excerpt(key),
                            excerpt(text), least, most));
  }
  return value;
}

/// Letters an adapter may target, in the order of Part; "fused" is one adapter on a fused module.
Result<void> parse_targets(const std::string& text, AdapterSpec& spec) {
  spec.shared_a = text == "fused";
  spec.targets = {};
  if (text == "none") {
    return {};
  }
  const std::string letters = spec.shared_a ? "qkv" : text;
  std::size_t last = 0;
  for (const char letter : letters) {
    const std::size_t part = std::string("qkv").find(letter);
    if (part == std::string::npos || spec.targets[part] || part < last) {
      return fail(fmt::format(
          "case line: adapter {} targets \"{}\", expected q, k, v in that order, fused or none",
          excerpt(spec.name), excerpt(text)));
    }
    spec.targets[part] = true;
    last = part;
  }
  return letters.empty() ? Result<void>(fail(fmt::format("case line: adapter {} targets nothing",
                                                         excerpt(spec.name))))
                         : Result<void>();
}

/// The items of a list value, so many at most.
Result<std::vector<std::string>> split_list(const char* key, const std::string& text,
                                            std::int64_t most) {
  auto items = split(text, ',');
  if (static_cast<std::int64_t>(items.size()) > most) {
    return fail(fmt::format("case line: {} {}, expected at most {}", items.size(), key, most));
  }
  return items;
}

Result<AdapterSpec> parse_adapter(const std::string& text) {
  const auto fields = split(text, ':');
  AdapterSpec spec;
  spec.targets = {true, true, true};
  spec.name = fields.front();
  const bool named = !spec.name.empty() &&
                     std::all_of(spec.name.begin(), spec.name.end(),
                                 [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
  if (!named || fields.size() != 4 || !fields[1].starts_with("r") ||
      !fields[2].starts_with("alpha")) {
    return fail(
        fmt::format("case line: adapter \"{}\": expected name:r<lora_rank>:alpha<lora_alpha>:<q, "
                    "k, v, fused or none>",
                    excerpt(text)));
  }
  const auto lora_rank = number("lora_rank of " + spec.name, fields[1].substr(1), 1, kMaxLoraRank);
  const auto alpha = number("lora_alpha of " + spec.name, fields[2].substr(5), 1, kMaxAlpha);
  if (!lora_rank || !alpha) {
    return fail(lora_rank ? alpha.error() : lora_rank.error());
  }
  spec.lora_rank = *lora_rank;
  spec.lora_alpha = *alpha;
  if (auto targets = parse_targets(fields[3], spec); !targets) {
    return fail(targets.error());
  }
  return spec;
}

Result<int> adapter_number(const Case& one, const std::string& name) {
  for (std::size_t i = 0; i < one.adapters.size(); ++i) {
    if (one.adapters[i].name == name) {
      return static_cast<int>(i);
    }
  }
  return fail(fmt::format("case line: no adapter is called \"{}\"", excerpt(name)));
}

Result<void> parse_adapters(const std::string& text, Case& one) {
  const auto items = split_list("adapters", text, kMaxAdapters);
  if (!items) {
    return fail(items.error());
  }
  for (const std::string& item : *items) {
    auto adapter = parse_adapter(item);
    if (!adapter) {
      return fail(adapter.error());
    }
    if (adapter_number(one, adapter->name)) {
      return fail(fmt::format("case line: two adapters are called \"{}\"", excerpt(adapter->name)));
    }
    one.adapters.push_back(*std::move(adapter));
  }
  return {};
}

/// load:name[@slot], activate:name[@slot], evict:name, use:name or rescale:name:alphaN
Result<PoolStep> parse_step(const Case& one, const std::string& text) {
  using Kind = PoolStep::Kind;
  static const std::map<std::string, Kind> kVerbs = {{"load", Kind::load},
                                                     {"activate", Kind::activate},
                                                     {"evict", Kind::evict},
                                                     {"use", Kind::use},
                                                     {"rescale", Kind::rescale}};
  const std::size_t colon = text.find(':');
  const auto verb = kVerbs.find(text.substr(0, colon));
  const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  const std::size_t mark = rest.find_first_of("@:");
  const std::string argument = mark == std::string::npos ? "" : rest.substr(mark);
  const auto refuse = [&] {
    return fail(fmt::format(
        "case line: step \"{}\": expected load:<adapter>[@<slot>], activate:<adapter>[@<slot>], "
        "evict:<adapter>, use:<adapter> or rescale:<adapter>:alpha<N>",
        excerpt(text)));
  };
  if (verb == kVerbs.end() || rest.empty()) {
    return refuse();
  }
  PoolStep step{.kind = verb->second};
  const bool rescale = step.kind == Kind::rescale;
  const bool writes = step.kind == Kind::load || step.kind == Kind::activate;
  const std::string prefix = rescale ? ":alpha" : "@";
  if (argument.empty() ? rescale : !(rescale || writes) || !argument.starts_with(prefix)) {
    return refuse();
  }
  const auto adapter = adapter_number(one, rest.substr(0, mark));
  if (!adapter) {
    return fail(adapter.error());
  }
  step.adapter = *adapter;
  if (argument.empty()) {
    return step;
  }
  const auto value =
      number(fmt::format("{} of step {}", rescale ? "lora_alpha" : "slot", text),
             argument.substr(prefix.size()), rescale ? 1 : 0, rescale ? kMaxAlpha : one.slots - 1);
  if (!value) {
    return fail(value.error());
  }
  (rescale ? step.lora_alpha : step.slot) = *value;
  return step;
}

/// What a step needs at its place is looked at when slots are chosen (slots.hpp).
Result<void> parse_steps(const std::string& text, Case& one) {
  const auto items = split_list("steps", text, kMaxSteps);
  if (!items) {
    return fail(items.error());
  }
  for (const std::string& item : *items) {
    auto step = parse_step(one, item);
    if (!step) {
      return fail(step.error());
    }
    one.steps.push_back(*step);
  }
  return {};
}

std::vector<PoolStep> default_steps(const Case& one) {
  std::vector<PoolStep> steps;
  for (std::size_t i = 0; i < one.adapters.size(); ++i) {
    steps.push_back({PoolStep::Kind::load, static_cast<int>(i), static_cast<std::int64_t>(i)});
  }
  return steps;
}

/// Every resident adapter in turn, and one token without.
std::vector<int> default_tokens(const Case& one) {
  std::vector<int> tokens;
  for (const LiveAdapter& live : live_adapters(shapes_of(one.adapters), one.steps)) {
    tokens.push_back(live.adapter);
  }
  tokens.push_back(-1);
  return tokens;
}

Result<void> parse_tokens(const std::string& text, Case& one) {
  const auto items = split_list("tokens", text, kMaxTokens);
  if (!items) {
    return fail(items.error());
  }
  for (const std::string& item : *items) {
    const auto adapter = item == "-" ? Result<int>(-1) : adapter_number(one, item);
    if (!adapter) {
      return fail(adapter.error());
    }
    one.tokens.push_back(*adapter);
  }
  return {};
}

Result<std::map<std::string, std::string>> parse_pairs(const std::string& line) {
  static const std::set<std::string> kKeys = {
      "model",  "layer", "engine", "tp",          "dp",   "R",    "slots",           "adapters",
      "tokens", "steps", "dtype",  "accumulator", "data", "seed", "base_accumulator"};
  if (line.size() > kMaxLineBytes) {
    return fail(
        fmt::format("case line: found {} bytes, expected at most {}", line.size(), kMaxLineBytes));
  }
  std::map<std::string, std::string> pairs;
  std::istringstream words(line);
  std::string word;
  while (words >> word) {
    const std::size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == word.size()) {
      return fail(fmt::format("case line: found \"{}\", expected key=value", excerpt(word)));
    }
    if (!kKeys.contains(key)) {
      return fail(fmt::format("case line: unknown key \"{}\", expected one of: {}", excerpt(key),
                              fmt::join(kKeys, ", ")));
    }
    if (!pairs.emplace(key, word.substr(equals + 1)).second) {
      return fail(fmt::format("case line: the key \"{}\" stands twice", key));
    }
  }
  for (const char* required : {"model", "engine", "tp"}) {
    if (!pairs.contains(required)) {
      return fail(fmt::format("case line: the key \"{}\" is missing", required));
    }
  }
  return pairs;
}

Result<void> parse_seed(const std::string& text, Case& one) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), one.seed);
  return code == std::errc() && end == text.data() + text.size()
             ? Result<void>()
             : Result<void>(fail(fmt::format(
                   "case line: seed={}: expected an integer from 0 to 2^64-1", excerpt(text))));
}

/// The values of a case line by key. The first error stays, and nothing is read after it.
class Values {
 public:
  explicit Values(std::map<std::string, std::string> pairs) : pairs_(std::move(pairs)) {}

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  /// A name as the user meant it, empty where the line has none.
  [[nodiscard]] std::string name(const char* key) const {
    const auto found = pairs_.find(key);
    return found == pairs_.end() ? "" : unescaped(found->second);
  }

  /// Gives the value to `body`, which returns a Result<void>. False where there was none to give.
  template <class Body>
  bool read(const char* key, const Body& body) {
    const auto found = pairs_.find(key);
    if (found == pairs_.end() || error_) {
      return false;
    }
    if (auto result = body(found->second); !result) {
      error_ = result.error();
    }
    return true;
  }

  void read_number(const char* key, std::int64_t most, std::int64_t& out) {
    read(key, [&](const std::string& text) -> Result<void> {
      const auto value = number(key, text, 1, most);
      if (!value) {
        return fail(value.error());
      }
      out = *value;
      return {};
    });
  }

  template <class Value, class Lookup>
  void read_word(const char* key, const Lookup& lookup, const char* expected, Value& out) {
    read(key, [&](const std::string& text) -> Result<void> {
      const auto value = lookup(text);
      if (!value) {
        return fail(fmt::format("case line: {}={}: expected {}", key, excerpt(text), expected));
      }
      out = *value;
      return {};
    });
  }

  /// Which accumulators there are depends on the dtype, so that is read first.
  template <class Value>
  void read_accumulator(const char* key, ScalarType dtype, Value& out) {
    read(key, [&](const std::string& text) -> Result<void> {
      const auto value = accumulator_of(text, dtype);
      if (!value) {
        return fail(
            fmt::format("case line: {}={}: {}", key, excerpt(text), value.error().sentence));
      }
      out = *value;
      return {};
    });
  }

 private:
  std::map<std::string, std::string> pairs_;
  std::optional<Error> error_;
};

/// What stands alone: neither steps nor tokens, which name adapters and slots.
void read_plain_values(Values& values, Case& one) {
  one.model = values.name("model");
  one.engine = values.name("engine");
  one.layer = values.name("layer");
  values.read_number("tp", kMaxRanks, one.tp_size);
  values.read_number("dp", kMaxRanks, one.dp_size);
  values.read_number("R", kMaxLoraRank, one.max_lora_rank);
  values.read_number("slots", kMaxSlots, one.slots);
  values.read_word("dtype", scalar_type_of, "bf16, fp16 or fp32", one.dtype);
  values.read_accumulator("accumulator", one.dtype, one.accumulator);
  values.read_accumulator("base_accumulator", one.dtype, one.base_accumulator);
  values.read_word("data", data_kind_of, "labels, integers or wide", one.data);
  values.read("seed", [&](const std::string& text) { return parse_seed(text, one); });
  values.read("adapters", [&](const std::string& text) { return parse_adapters(text, one); });
}

}  // namespace

Result<Case> parse_case(const std::string& line) {
  auto pairs = parse_pairs(line);
  if (!pairs) {
    return fail(pairs.error());
  }
  Values values(*std::move(pairs));
  Case one;
  read_plain_values(values, one);
  const bool steps =
      values.read("steps", [&](const std::string& text) { return parse_steps(text, one); });
  if (!steps && !values.error()) {
    one.steps = default_steps(one);
    if (static_cast<std::int64_t>(one.adapters.size()) > one.slots) {
      return fail(fmt::format("case line: {} adapters do not fit slots={}", one.adapters.size(),
                              one.slots));
    }
  }
  const bool tokens =
      values.read("tokens", [&](const std::string& text) { return parse_tokens(text, one); });
  if (values.error()) {
    return fail(*values.error());
  }
  if (one.tp_size % one.dp_size != 0) {
    return fail(fmt::format("case line: dp={} does not divide tp={}", one.dp_size, one.tp_size));
  }
  if (leaves_slots_open(one)) {
    return tokens ? Result<Case>(one)
                  : fail(
                        "case line: the engine chooses slots, expected tokens=... to say who uses "
                        "what is resident then");
  }
  auto chosen = choose_slots(std::move(one), {});
  if (chosen && !tokens) {
    chosen->tokens = default_tokens(*chosen);
  }
  return chosen;
}

}  // namespace tplora
