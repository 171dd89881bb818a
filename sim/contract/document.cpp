#include "sim/contract/document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

constexpr std::array<std::string_view, 5> kVerbs = {"format", "extends", "replace", "add",
                                                    "remove"};

/// Far above any contract in use; edits are searched for one by one.
constexpr std::size_t kMaxChain = 16;
constexpr std::size_t kMaxEdits = 1024;

/// Whether a value stands at `pointer`. The library throws where an index does not fit its type.
bool stands_at(const Json& document, const Json::json_pointer& pointer) {
  try {
    return document.contains(pointer);
  } catch (const Json::exception&) {
    return false;
  }
}

/// Whether a new value can stand at `pointer`: under a key of an object, or behind a list's last.
/// The library would fill a list with nulls up to any index.
bool can_stand_at(const Json& document, const Json::json_pointer& pointer) {
  if (!stands_at(document, pointer.parent_pointer())) {
    return false;
  }
  const Json& parent = document.at(pointer.parent_pointer());
  return parent.is_object() ||
         (parent.is_array() &&
          (pointer.back() == "-" || pointer.back() == std::to_string(parent.size())));
}

Result<void> check_count(const JsonView& edits) {
  return edits.json().size() <= kMaxEdits
             ? Result<void>()
             : edits.error(fmt::format("found {} entries, expected at most {}", edits.json().size(),
                                       kMaxEdits));
}

std::filesystem::path resolve_parent(const std::filesystem::path& child, const std::string& name,
                                     const std::filesystem::path& configs) {
  const auto folder = child.parent_path();
  const std::string file = name + ".json";
  for (const auto& candidate :
       {folder / file, folder / ".." / "engines" / file, configs / "engines" / file,
        configs / "bugs" / file, folder / name}) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(candidate, ignored)) {
      return candidate.lexically_normal();
    }
  }
  return {};
}

Result<Json::json_pointer> parse_pointer(const JsonView& where, const std::string& text) {
  try {
    if (!text.empty()) {
      return Json::json_pointer(text);
    }
  } catch (const Json::exception&) {
  }
  return where.error(fmt::format("\"{}\" is not a JSON pointer such as /lora_b/buffers/B", text));
}

}  // namespace

Result<ContractDocument> ContractDocument::read(const std::filesystem::path& file,
                                                const std::filesystem::path& configs) {
  Chain chain{.files = {}, .configs = configs};
  return read_below(file, chain);
}

Result<ContractDocument> ContractDocument::parse(std::string_view text,
                                                 const std::filesystem::path& file,
                                                 const std::filesystem::path& configs) {
  Chain chain{.files = {}, .configs = configs};
  return parse_below(text, file, chain);
}

Result<ContractDocument> ContractDocument::read_below(const std::filesystem::path& file,
                                                      Chain& chain) {
  return read_text_file(file).and_then(
      [&](const std::string& text) { return parse_below(text, file, chain); });
}

Result<ContractDocument> ContractDocument::parse_below(std::string_view text,
                                                       const std::filesystem::path& file,
                                                       Chain& chain) {
  std::error_code ignored;
  const auto identity = std::filesystem::weakly_canonical(file, ignored);
  if (std::find(chain.files.begin(), chain.files.end(), identity) != chain.files.end()) {
    return fail("`extends` leads back to this file, expected a chain that ends",
                file.string() + "#/extends");
  }
  if (chain.files.size() >= kMaxChain) {
    return fail(fmt::format("`extends` leads through more than {} files", kMaxChain),
                file.string() + "#/extends");
  }
  chain.files.push_back(identity);
  auto json = parse_json(text, file.string());
  if (!json) {
    return fail(json.error());
  }
  const JsonView root(*json, file.string());
  if (!json->is_object()) {
    return root.expected("an object");
  }
  ContractDocument document;
  document.file_ = file;
  const auto extends = root.find("extends");
  if (!extends) {
    document.json_ = *json;
    document.origin_[""] = {file.string()};
    return document;
  }
  const auto name = extends->string();
  if (!name) {
    return fail(name.error());
  }
  const auto parent = resolve_parent(file, *name, chain.configs);
  if (parent.empty()) {
    return extends->error(
        fmt::format("no contract \"{}\" beside this file, in ../engines, in {}, or at that path",
                    *name, chain.configs.empty() ? "a configs folder" : chain.configs.string()));
  }
  auto below = read_below(parent, chain);
  if (!below) {
    return fail(below.error());
  }
  document.base_ = std::make_shared<const ContractDocument>(*below);
  document.json_ = std::move(below->json_);
  document.origin_ = std::move(below->origin_);
  document.extended_ = std::move(below->extended_);
  document.extended_.insert(document.extended_.begin(), parent.stem().string());
  if (auto applied = document.apply(root); !applied) {
    return fail(applied.error());
  }
  return document;
}

Result<ContractDocument> ContractDocument::variant(std::size_t i) const {
  ensure(json_.contains("variants") && i < json_.at("variants").size() &&
             json_.at("variants").at(i).is_object(),
         "a variant that is made is an entry of the document");
  const JsonView entry(json_.at("variants").at(i), "", fmt::format("/variants/{}", i));
  ContractDocument document = *this;
  if (auto made = document.make_edits(entry); !made) {
    return fail(made.error());
  }
  return document;
}

Result<void> ContractDocument::apply(const JsonView& child) {
  if (auto few = check_count(child); !few) {
    return few;
  }
  const auto members = child.members();
  for (const auto& [key, value] : *members) {
    if (std::find(kVerbs.begin(), kVerbs.end(), key) == kVerbs.end()) {
      json_[key] = value.json();
      wrote(pointer_step(key), value);
    }
  }
  return make_edits(child);
}

Result<void> ContractDocument::make_edits(const JsonView& child) {
  for (const auto* verb : {"replace", "add"}) {
    if (auto edited = edit(child, verb); !edited) {
      return edited;
    }
  }
  return remove(child);
}

Result<void> ContractDocument::edit(const JsonView& child, const std::string& verb) {
  const auto edits = child.find(verb);
  if (!edits) {
    return {};
  }
  const auto members = check_count(*edits).and_then([&] { return edits->members(); });
  if (!members) {
    return fail(members.error());
  }
  for (const auto& [text, value] : *members) {
    const auto pointer = parse_pointer(*edits, text);
    if (!pointer) {
      return fail(pointer.error());
    }
    const bool exists = !text.ends_with("/-") && stands_at(json_, *pointer);
    if (exists != (verb == "replace")) {
      return value.error(exists
                             ? fmt::format("{} stands in the extended contract already, expected "
                                           "`replace` instead of `add`",
                                           text)
                             : fmt::format("the extended contract has no {}", text));
    }
    if (!exists && !can_stand_at(json_, *pointer)) {
      return value.error(fmt::format("nothing can stand at {} in the extended contract", text));
    }
    try {
      std::string target = text;
      if (text.ends_with("/-")) {
        target = text.substr(0, text.size() - 1) +
                 std::to_string(json_.at(pointer->parent_pointer()).size());
      }
      json_[*pointer] = value.json();
      wrote(target, value);
    } catch (const Json::exception&) {
      return value.error(fmt::format("nothing can stand at {} in the extended contract", text));
    }
  }
  return {};
}

Result<void> ContractDocument::remove(const JsonView& child) {
  const auto list = child.find("remove");
  if (!list) {
    return {};
  }
  const auto pointers = check_count(*list).and_then([&] { return list->strings(); });
  if (!pointers) {
    return fail(pointers.error());
  }
  for (std::size_t i = 0; i < pointers->size(); ++i) {
    const std::string& text = (*pointers)[i];
    const auto pointer = parse_pointer(*list, text);
    if (!pointer) {
      return fail(pointer.error());
    }
    if (std::find(pointers->begin(), pointers->begin() + static_cast<std::ptrdiff_t>(i), text) !=
        pointers->begin() + static_cast<std::ptrdiff_t>(i)) {
      return list->error(fmt::format(
          "{} stands twice, expected each place once (an entry behind one that was taken away has "
          "that one's number)",
          text));
    }
    if (!stands_at(json_, *pointer)) {
      return list->error(fmt::format("the extended contract has no {}", text));
    }
    Json& parent = json_.at(pointer->parent_pointer());
    if (parent.is_array()) {
      const std::size_t entry = std::stoul(pointer->back());
      close_gap(pointer->parent_pointer().to_string(), entry, parent.size());
      parent.erase(entry);
    } else {
      parent.erase(pointer->back());
    }
  }
  return {};
}

void ContractDocument::close_gap(const std::string& list, std::size_t entry, std::size_t size) {
  std::map<std::string, Place> moved;
  for (std::size_t i = entry; i < size; ++i) {
    const std::string old = fmt::format("{}/{}", list, i);
    const std::string now = i == entry ? "" : fmt::format("{}/{}", list, i - 1);
    if (i > entry) {
      moved[now] = place(old);
    }
    for (auto at = origin_.lower_bound(old); at != origin_.end() && at->first.starts_with(old);) {
      const std::string rest = at->first.substr(old.size());
      if (!rest.empty() && rest.front() != '/') {
        ++at;  // /checks/1 is no part of /checks/10
        continue;
      }
      if (i > entry) {
        moved[now + rest] = at->second;
      }
      at = origin_.erase(at);
    }
  }
  origin_.merge(moved);
}

void ContractDocument::wrote(const std::string& pointer, const JsonView& where) {
  // What was written below this place before is gone.
  const std::string below = pointer + "/";
  auto entry = origin_.lower_bound(below);
  while (entry != origin_.end() && entry->first.starts_with(below)) {
    entry = origin_.erase(entry);
  }
  // A variant's entry is itself a value of the document.
  origin_[pointer] = where.file().empty() ? place(where.pointer()) : where.place();
}

Place ContractDocument::place(const std::string& pointer) const {
  ensure(pointer.empty() || pointer.front() == '/', "what stands somewhere is named by a pointer");
  std::string prefix = pointer;
  for (;;) {
    if (const auto found = origin_.find(prefix); found != origin_.end()) {
      return {found->second.file, found->second.pointer + pointer.substr(prefix.size())};
    }
    prefix.resize(prefix.rfind('/'));
  }
}

}  // namespace tplora::core
