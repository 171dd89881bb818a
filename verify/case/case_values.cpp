#include "verify/case/case_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "sim/base/decimal.hpp"
#include "sim/base/ensure.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

constexpr std::int64_t kMaxAlpha = 1 << 20;
constexpr std::size_t kMaxDecimals = 6;
constexpr std::int64_t kMaxForeignRows = std::int64_t{1} << 32;
constexpr std::int64_t kMaxTokens = 4096;
constexpr std::int64_t kMaxAdapters = 256;
constexpr std::int64_t kMaxSteps = 4096;

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

/// The items of a list value, so many at most, each read by `read`.
template <class Item, class Read>
Result<std::vector<Item>> parse_list(const char* key, const std::string& text, std::int64_t most,
                                     const Read& read) {
  const auto texts = split(text, ',');
  if (static_cast<std::int64_t>(texts.size()) > most) {
    return fail(fmt::format("case line: {} {}, expected at most {}", texts.size(), key, most));
  }
  std::vector<Item> items;
  items.reserve(texts.size());
  for (const std::string& one : texts) {
    Result<Item> item = read(one);
    if (!item) {
      return fail(item.error());
    }
    items.push_back(*std::move(item));
  }
  return items;
}

template <class Item, class Print>
std::string print_list(const std::vector<Item>& items, const Print& print) {
  std::string text;
  for (const Item& item : items) {
    text += (text.empty() ? "" : ",") + print(item);
  }
  return text;
}

Result<int> adapter_number(const std::vector<AdapterSpec>& adapters, const std::string& name) {
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    if (adapters[i].name == name) {
      return static_cast<int>(i);
    }
  }
  return fail(fmt::format("case line: no adapter is called \"{}\"", excerpt(name)));
}

const std::string& adapter_name(const std::vector<AdapterSpec>& adapters, int number) {
  ensure(number >= 0 && static_cast<std::size_t>(number) < adapters.size(),
         "a case names adapters that it has");
  return adapters[static_cast<std::size_t>(number)].name;
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

/// A lora_alpha before the adapter's unit is known.
struct Decimal {
  std::int64_t digits = 0;  ///< the number without its point
  std::int64_t unit = 1;    ///< a power of ten
};

/// "32" or "22.5": up to kMaxDecimals decimals, the last of which is not 0.
Result<Decimal> parse_alpha(const std::string& key, const std::string& text) {
  const std::size_t point = text.find('.');
  const std::string decimals = point == std::string::npos ? "" : text.substr(point + 1);
  const bool good =
      point == std::string::npos ||
      (!decimals.empty() && decimals.size() <= kMaxDecimals && decimals.back() != '0' &&
       std::all_of(decimals.begin(), decimals.end(), [](char c) { return '0' <= c && c <= '9'; }));
  const auto whole = parse_decimal(text.substr(0, point), decimals.empty() ? 1 : 0, kMaxAlpha);
  if (!good || !whole) {
    return fail(
        fmt::format("case line: {}={}: expected a decimal number above 0, at most {}, with "
                    "at most {} decimals",
                    excerpt(key), excerpt(text), kMaxAlpha, kMaxDecimals));
  }
  Decimal value{.digits = *whole, .unit = 1};
  for (const char digit : decimals) {
    value.digits = 10 * value.digits + (digit - '0');
    value.unit *= 10;
  }
  return value;
}

/// What an adapter's config says beyond r, lora_alpha and targets: "rslora", and of one part "q_r8"
/// (rank_pattern), "q_alpha4" (alpha_pattern) and "q_rows64" (the rows of its tensor of B).
class Extras {
 public:
  Extras(AdapterSpec& spec, std::array<Decimal, 4>& alphas) : spec_(spec), alphas_(alphas) {}

  Result<void> parse(const std::string& text) {
    const std::size_t begin = place_;
    if (text == "rslora" && place_ == 0) {
      spec_.rslora = true;
      place_ = 1;
      return {};
    }
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string part(1, "qkv"[i]);
      for (const auto& [what, kind] : {std::pair{"_rows", 3}, {"_r", 1}, {"_alpha", 2}}) {
        if (!text.starts_with(part + what)) {
          continue;
        }
        place_ = 3 * i + static_cast<std::size_t>(kind) + 1;
        if (!spec_.targets[i] || spec_.shared_a || place_ <= begin) {
          return refuse(text);
        }
        return value(part + what, text.substr(part.size() + std::string_view(what).size()), i,
                     kind);
      }
    }
    return refuse(text);
  }

 private:
  [[nodiscard]] Result<void> refuse(const std::string& text) const {
    for (const auto& [word, why] :
         {std::pair{"dora", "a DoRA adapter also scales each output row by a learned magnitude"},
          std::pair{"lora_bias", "an adapter with lora_bias also adds a bias"},
          std::pair{"fan_in_fan_out",
                    "fan_in_fan_out says how the base weight is stored, and the "
                    "model's config decides that"}}) {
      if (text == word) {
        return fail(fmt::format(
            "case line: adapter {}: found \"{}\", expected a plain or rsLoRA adapter: {}, which "
            "this program does not compute",
            excerpt(spec_.name), text, why));
      }
    }
    return fail(fmt::format(
        "case line: adapter {}: found \"{}\", expected rslora, then of each of the parts that it "
        "targets on their own, in their order, <part>_r<lora_rank>, <part>_alpha<lora_alpha> and "
        "<part>_rows<rows of B>",
        excerpt(spec_.name), excerpt(text)));
  }

  Result<void> value(const std::string& what, const std::string& text, std::size_t part, int kind) {
    const std::string key = what + " of " + spec_.name;
    if (kind == 2) {
      const auto alpha = parse_alpha(key, text);
      if (!alpha) {
        return fail(alpha.error());
      }
      alphas_[part + 1] = *alpha;
      return {};
    }
    const auto number = parse_number(key, text, 1, kind == 1 ? kMaxLoraRank : kMaxForeignRows);
    if (!number) {
      return fail(number.error());
    }
    (kind == 1 ? spec_.part_ranks : spec_.part_rows)[part] = *number;
    return {};
  }

  AdapterSpec& spec_;
  std::array<Decimal, 4>& alphas_;  ///< the adapter's, then of q, k and v
  std::size_t place_ = 0;           ///< of the last one read, in the order that is expected
};

Result<AdapterSpec> parse_adapter(const std::string& text) {
  const auto fields = split(text, ':');
  AdapterSpec spec;
  spec.name = fields.front();
  const bool named = !spec.name.empty() &&
                     std::all_of(spec.name.begin(), spec.name.end(),
                                 [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
  if (!named || fields.size() < 4 || !fields[1].starts_with("r") ||
      !fields[2].starts_with("alpha")) {
    return fail(
        fmt::format("case line: adapter \"{}\": expected name:r<lora_rank>:alpha<lora_alpha>:<q, "
                    "k, v, fused or none>",
                    excerpt(text)));
  }
  const auto lora_rank =
      parse_number("lora_rank of " + spec.name, fields[1].substr(1), 1, kMaxLoraRank);
  const auto alpha = parse_alpha("lora_alpha of " + spec.name, fields[2].substr(5));
  if (!lora_rank || !alpha) {
    return fail(lora_rank ? alpha.error() : lora_rank.error());
  }
  spec.lora_rank = *lora_rank;
  if (auto targets = parse_targets(fields[3], spec); !targets) {
    return fail(targets.error());
  }
  std::array<Decimal, 4> alphas = {*alpha};
  Extras extras(spec, alphas);
  for (std::size_t i = 4; i < fields.size(); ++i) {
    if (auto extra = extras.parse(fields[i]); !extra) {
      return fail(extra.error());
    }
  }
  for (const Decimal& one : alphas) {
    spec.alpha_unit = std::max(spec.alpha_unit, one.unit);
  }
  spec.lora_alpha = alphas[0].digits * (spec.alpha_unit / alphas[0].unit);
  for (std::size_t i = 0; i < 3; ++i) {
    spec.part_alphas[i] = alphas[i + 1].digits * (spec.alpha_unit / alphas[i + 1].unit);
  }
  return spec;
}

std::string print_adapter(const AdapterSpec& spec) {
  std::string targets = spec.shared_a ? "fused" : "";
  for (std::size_t part = 0; part < 3 && !spec.shared_a; ++part) {
    targets += spec.targets[part] ? std::string(1, "qkv"[part]) : "";
  }
  std::string text = fmt::format("{}:r{}:alpha{}:{}{}", spec.name, spec.lora_rank,
                                 alpha_text(spec.lora_alpha, spec.alpha_unit),
                                 targets.empty() ? "none" : targets, spec.rslora ? ":rslora" : "");
  for (std::size_t i = 0; i < 3; ++i) {
    const char part = "qkv"[i];
    text += spec.part_ranks[i] == 0 ? "" : fmt::format(":{}_r{}", part, spec.part_ranks[i]);
    text +=
        spec.part_alphas[i] == 0
            ? ""
            : fmt::format(":{}_alpha{}", part, alpha_text(spec.part_alphas[i], spec.alpha_unit));
    text += spec.part_rows[i] == 0 ? "" : fmt::format(":{}_rows{}", part, spec.part_rows[i]);
  }
  return text;
}

/// load:name[@slot], activate:name[@slot], evict:name, use:name or rescale:name:alphaN
Result<PoolStep> parse_step(const std::string& text, const std::vector<AdapterSpec>& adapters,
                            std::int64_t slots) {
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
  const auto adapter = adapter_number(adapters, rest.substr(0, mark));
  if (!adapter) {
    return fail(adapter.error());
  }
  step.adapter = *adapter;
  if (argument.empty()) {
    return step;
  }
  const auto value = parse_number(
      fmt::format("{} of step {}", rescale ? "lora_alpha" : "slot", text),
      argument.substr(prefix.size()), rescale ? 1 : 0, rescale ? kMaxAlpha : slots - 1);
  if (!value) {
    return fail(value.error());
  }
  (rescale ? step.lora_alpha : step.slot) = *value;
  return step;
}

}  // namespace

Result<std::int64_t> parse_number(std::string_view key, std::string_view text, std::int64_t least,
                                  std::int64_t most) {
  const auto value = parse_decimal(text, least, most);
  if (!value) {
    return fail(fmt::format("case line: {}={}: expected a decimal integer from {} to {}",
                            excerpt(key), excerpt(text), least, most));
  }
  return *value;
}

Result<std::vector<AdapterSpec>> parse_adapters(const std::string& text) {
  auto adapters = parse_list<AdapterSpec>("adapters", text, kMaxAdapters, parse_adapter);
  for (std::size_t i = 0; adapters && i < adapters->size(); ++i) {
    const std::string& name = (*adapters)[i].name;
    if (*adapter_number(*adapters, name) != static_cast<int>(i)) {
      return fail(fmt::format("case line: two adapters are called \"{}\"", excerpt(name)));
    }
  }
  return adapters;
}

std::string print_adapters(const std::vector<AdapterSpec>& adapters) {
  return print_list(adapters, print_adapter);
}

Result<std::vector<int>> parse_tokens(const std::string& text,
                                      const std::vector<AdapterSpec>& adapters) {
  return parse_list<int>("tokens", text, kMaxTokens, [&](const std::string& name) {
    return name == "-" ? Result<int>(-1) : adapter_number(adapters, name);
  });
}

std::string print_tokens(const std::vector<int>& tokens, const std::vector<AdapterSpec>& adapters) {
  return print_list(
      tokens, [&](int adapter) { return adapter < 0 ? "-" : adapter_name(adapters, adapter); });
}

Result<std::vector<PoolStep>> parse_steps(const std::string& text,
                                          const std::vector<AdapterSpec>& adapters,
                                          std::int64_t slots) {
  return parse_list<PoolStep>("steps", text, kMaxSteps, [&](const std::string& step) {
    return parse_step(step, adapters, slots);
  });
}

std::string print_step(const PoolStep& step, const std::vector<AdapterSpec>& adapters) {
  const std::string& adapter = adapter_name(adapters, step.adapter);
  const std::string slot =
      step.slot == PoolStep::kEnginesChoice ? "" : "@" + std::to_string(step.slot);
  switch (step.kind) {
    case PoolStep::Kind::load: return "load:" + adapter + slot;
    case PoolStep::Kind::activate: return "activate:" + adapter + slot;
    case PoolStep::Kind::rescale:
      return fmt::format("rescale:{}:alpha{}", adapter, step.lora_alpha);
    case PoolStep::Kind::use: return "use:" + adapter;
    case PoolStep::Kind::evict: break;
  }
  return "evict:" + adapter;
}

std::string print_steps(const std::vector<PoolStep>& steps,
                        const std::vector<AdapterSpec>& adapters) {
  return print_list(steps, [&](const PoolStep& step) { return print_step(step, adapters); });
}

}  // namespace tplora::core
