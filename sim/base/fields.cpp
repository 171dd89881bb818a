#include "sim/base/fields.hpp"

namespace tplora::core {

void FirstError::refuse(Error error) {
  if (!error_) {
    error_ = std::move(error);
  }
}

Fields::Fields(JsonView object, FirstError& errors, std::initializer_list<std::string_view> known)
    : object_(std::move(object)), errors_(&errors) {
  errors_->take(object_.only_keys(known));
}

std::optional<JsonView> Fields::find(std::string_view key, Need need) const {
  if (need == Need::optional) {
    return object_.find(key);
  }
  auto field = object_.at(key);
  if (!field) {
    errors_->refuse(std::move(field.error()));
    return std::nullopt;
  }
  return *std::move(field);
}

std::string Fields::text(std::string_view key, Need need) const {
  const auto field = find(key, need);
  return field ? errors_->take(field->string()) : std::string();
}

bool Fields::flag(std::string_view key, Need need) const {
  const auto field = find(key, need);
  return field && errors_->take(field->boolean());
}

std::int64_t Fields::positive_integer(std::string_view key) const {
  const auto field = find(key);
  return field ? errors_->take(field->positive_integer()) : 0;
}

std::vector<std::string> Fields::texts(std::string_view key, Need need) const {
  const auto field = find(key, need);
  return field ? errors_->take(field->strings()) : std::vector<std::string>();
}

std::vector<std::string> Fields::some_texts(std::string_view key, Need need) const {
  auto list = texts(key, need);
  if (const auto field = find(key, Need::optional); field && list.empty()) {
    errors_->refuse(field->expected("a list with at least one entry"));
  }
  return list;
}

std::vector<std::int64_t> Fields::positive_integers(std::string_view key, Need need) const {
  std::vector<std::int64_t> list;
  for (const JsonView& entry : entries(key, need)) {
    list.push_back(errors_->take(entry.positive_integer()));
  }
  return list;
}

std::vector<JsonView> Fields::entries(std::string_view key, Need need) const {
  const auto field = find(key, need);
  return field ? errors_->take(field->elements()) : std::vector<JsonView>();
}

std::vector<std::pair<std::string, JsonView>> Fields::members(std::string_view key,
                                                              Need need) const {
  const auto field = find(key, need);
  return field ? errors_->take(field->members()) : std::vector<std::pair<std::string, JsonView>>();
}

void Fields::format(std::string_view expected) const {
  const auto field = find("format");
  if (field && errors_->take(field->string()) != expected) {
    errors_->refuse(field->expected("\"" + std::string(expected) + "\""));
  }
}

}  // namespace tplora::core
