// Values of a JSON document, each with its place.
#include <algorithm>
#include <utility>

#include "sim/base/ensure.hpp"
#include "sim/base/json.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

/// A value as a message shows it. Only the start of a long list is told.
std::string shortened(const Json& value) {
  if (value.is_structured() && value.size() > 100) {
    return std::string(value.is_array() ? "a list of " : "an object of ") +
           std::to_string(value.size()) + (value.is_array() ? " values" : " members");
  }
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return printable(text.size() <= 60 ? text : text.substr(0, 57) + "...", 240);
}

}  // namespace

std::string pointer_step(std::string_view key) {
  std::string step = "/";
  for (const char c : key) {
    step += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return step;
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  if (!value_->is_object()) {
    return std::nullopt;
  }
  const auto found = value_->find(std::string(key));
  if (found == value_->end()) {
    return std::nullopt;
  }
  return JsonView(*found, file_, pointer_ + pointer_step(key));
}

std::optional<JsonView> JsonView::find_not_null(std::string_view key) const {
  auto found = find(key);
  return found && !found->json().is_null() ? found : std::nullopt;
}

Result<JsonView> JsonView::at(std::string_view key) const {
  if (!value_->is_object()) {
    return expected("an object");
  }
  if (auto found = find(key)) {
    return *found;
  }
  return error("the key \"" + std::string(key) + "\" is missing");
}

JsonView JsonView::element(std::size_t i) const {
  ensure(value_->is_array() && i < value_->size(), "an element of a list is asked for");
  return {(*value_)[i], file_, pointer_ + "/" + std::to_string(i)};
}

Result<std::string> JsonView::string() const {
  if (!value_->is_string()) {
    return expected("a string");
  }
  return value_->get<std::string>();
}

Result<bool> JsonView::boolean() const {
  if (!value_->is_boolean()) {
    return expected("true or false");
  }
  return value_->get<bool>();
}

Result<std::int64_t> JsonView::integer() const {
  const bool too_large = value_->is_number_unsigned() &&
                         value_->get<std::uint64_t>() >
                             static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value_->is_number_integer() || too_large) {
    return expected("an integer of 64 bits");
  }
  return value_->get<std::int64_t>();
}

Result<std::int64_t> JsonView::positive_integer() const {
  auto value = integer();
  if (!value || *value < 1) {
    return expected("a positive integer");
  }
  return value;
}

Result<std::vector<std::pair<std::string, JsonView>>> JsonView::members() const {
  if (!value_->is_object()) {
    return expected("an object");
  }
  std::vector<std::pair<std::string, JsonView>> list;
  for (const auto& [key, value] : value_->items()) {
    list.emplace_back(key, JsonView(value, file_, pointer_ + pointer_step(key)));
  }
  return list;
}

Result<std::vector<JsonView>> JsonView::elements() const {
  if (!value_->is_array()) {
    return expected("a list");
  }
  std::vector<JsonView> list;
  for (std::size_t i = 0; i < value_->size(); ++i) {
    list.push_back(element(i));
  }
  return list;
}

Result<std::vector<std::string>> JsonView::strings() const {
  auto list = elements();
  if (!list) {
    return fail(list.error());
  }
  std::vector<std::string> texts;
  for (const auto& item : *list) {
    auto text = item.string();
    if (!text) {
      return fail(text.error());
    }
    texts.push_back(*text);
  }
  return texts;
}

Result<void> JsonView::only_keys(std::initializer_list<std::string_view> known) const {
  if (!value_->is_object()) {
    return expected("an object");
  }
  for (const auto& [key, value] : value_->items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string list;
      for (const auto name : known) {
        list += (list.empty() ? "" : ", ") + std::string(name);
      }
      return fail("unknown key \"" + excerpt(key) + "\", expected one of: " + list,
                  JsonView(value, file_, pointer_ + pointer_step(key)).place().text());
    }
  }
  return {};
}

tl::unexpected<Error> JsonView::expected(std::string_view what) const {
  return error("found " + shortened(*value_) + ", expected " + std::string(what));
}

tl::unexpected<Error> JsonView::error(std::string sentence) const {
  return fail(std::move(sentence), place().text());
}

}  // namespace tplora::core
