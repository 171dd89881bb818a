#include "sim/contract/entry_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tplora {
namespace {

/// Ten times what the largest contract in use has; names are searched for one by one.
constexpr int kMaxFormulas = 1024;

}  // namespace

Formula EntryReader::formula(const JsonView& view) {
  if (++formulas_ > kMaxFormulas) {
    fields_.take(
        Result<void>(view.error(fmt::format("found more than {} formulas in one contract, expected "
                                            "at most that many",
                                            kMaxFormulas))));
  }
  if (fields_.error()) {
    return {};
  }
  std::string source;
  if (view.json().is_number_integer()) {
    source = std::to_string(fields_.take(view.integer()));
  } else {
    source = fields_.take(view.string());
  }
  if (fields_.error()) {
    return {};
  }
  max_symbols_ = std::max(max_symbols_, contract_.symbols.size());
  return fields_.take(Formula::parse(std::move(source), fields_.place(view), contract_.symbols));
}
Formula EntryReader::formula(const JsonView& view, std::string_view key) {
  const auto member = fields_.required(view, key);
  return member ? formula(*member) : Formula();
}

std::vector<Loop> EntryReader::loops(const JsonView& item) {
  std::vector<Loop> list;
  const auto member = item.find("for");
  if (!member) {
    return list;
  }
  for (const auto& [name, view] : fields_.take(member->members())) {
    if (!is_symbol_name(name) || contract_.symbols.find(name)) {
      fields_.take(Result<void>(
          view.error(fmt::format("\"{}\" cannot name a loop index, expected a new name", name))));
      return list;
    }
    Formula count = formula(view);
    list.push_back({contract_.symbols.add(name), std::move(count)});
  }
  return list;
}

std::vector<Buffer> EntryReader::buffers(const JsonView& section) {
  std::vector<Buffer> list;
  const auto member = fields_.required(section, "buffers");
  for (const auto& [name, view] :
       member ? fields_.take(member->members()) : std::vector<std::pair<std::string, JsonView>>()) {
    list.push_back({name, formula(view)});
    if (!fields_.error() && contract_.phase_of(list.back().rows) == Phase::adapter) {
      fields_.take(Result<void>(view.error("a buffer is allocated before any adapter is known")));
    }
  }
  if (member && list.empty() && !fields_.error()) {
    fields_.take(Result<void>(member->expected("at least one buffer")));
  }
  return list;
}

int EntryReader::buffer_number(const JsonView& item, std::string_view key,
                               const std::vector<Buffer>& list) {
  const auto member = fields_.required(item, key);
  if (!member) {
    return 0;
  }
  const std::string name = fields_.take(member->string());
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].name == name) {
      return static_cast<int>(i);
    }
  }
  fields_.take(Result<void>(member->error(fmt::format("no buffer is called \"{}\"", name))));
  return 0;
}

std::vector<Copy> EntryReader::copies(const JsonView& section, CopySection kind,
                                      const std::vector<Buffer>& list) {
  static constexpr std::array<Word<Source>, 5> kSources = {{{"q", Source::q},
                                                            {"k", Source::k},
                                                            {"v", Source::v},
                                                            {"fused", Source::fused},
                                                            {"shared", Source::shared}}};
  std::vector<Copy> result;
  const auto member = fields_.required(section, "copies");
  for (const auto& item : member ? fields_.take(member->elements()) : std::vector<JsonView>()) {
    if (kind == CopySection::weight) {
      fields_.take(item.only_keys({"src", "from", "rows", "at", "for"}));
    } else {
      fields_.take(item.only_keys({"src", "to", "from", "rows", "at", "for"}));
    }
    const int scope = contract_.symbols.size();
    Copy copy;
    copy.place = fields_.place(item);
    copy.loops = loops(item);
    fields_.text(item, "src");
    copy.source = fields_.word(item, "src", kSources, Source::fused);
    const bool misplaced =
        kind == CopySection::lora_a ? copy.source == Source::fused : copy.source == Source::shared;
    if (misplaced && !fields_.error()) {  // with an error, there may be no "src"
      fields_.take(Result<void>(item.find("src")->expected(kind == CopySection::lora_a
                                                               ? R"("q", "k", "v" or "shared")"
                                                               : R"("q", "k", "v" or "fused")")));
    }
    copy.buffer = kind == CopySection::weight ? 0 : buffer_number(item, "to", list);
    copy.from = formula(item, "from");
    copy.rows = formula(item, "rows");
    if (const auto at = item.find("at")) {
      copy.at = formula(*at);
    }
    for (const std::string_view key : {"from", "rows", "at"}) {
      const auto formula_view = item.find(key);
      if (kind == CopySection::weight && !fields_.error() && formula_view &&
          contract_.phase_of(key == "from"   ? copy.from
                             : key == "rows" ? copy.rows
                                             : *copy.at) == Phase::adapter) {
        fields_.take(
            Result<void>(formula_view->error("the base weight cannot depend on an adapter")));
      }
    }
    contract_.symbols.shrink(scope);
    result.push_back(std::move(copy));
    if (fields_.error()) {
      break;
    }
  }
  if (member && result.empty() && !fields_.error()) {
    fields_.take(Result<void>(member->expected("at least one copy")));
  }
  if (member && !fields_.error()) {
    all_parts(*member, kind, result);
  }
  return result;
}

/// Each of q, k and v must be taken by some copy, or no geometry could ever be consistent.
void EntryReader::all_parts(const JsonView& list, CopySection kind,
                            const std::vector<Copy>& copies) {
  const Source whole = kind == CopySection::lora_a ? Source::shared : Source::fused;
  for (const Source part : {Source::q, Source::k, Source::v}) {
    const bool taken = std::any_of(copies.begin(), copies.end(), [&](const Copy& copy) {
      return copy.source == part || copy.source == whole;
    });
    if (!taken) {
      fields_.take(Result<void>(list.error(
          fmt::format(R"(no copy takes rows of {0}, expected one with "src": "{0}" or "{1}")",
                      source_name(part), source_name(whole)))));
      return;
    }
  }
}

}  // namespace tplora
