#include "sim/model/model_source.hpp"

#include <algorithm>
#include <set>
#include <system_error>

#include "sim/base/json.hpp"
#include "sim/model/config_reader.hpp"
#include "sim/model/inline_geometry.hpp"
#include "sim/model/near_names.hpp"

namespace tplora::core {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kForms =
    "expected a name of the collection (tplora list models), a path to a config.json, or "
    "H=16,KV=2,D=256,hidden=2048[,Dv=..][,gate=2][,bias=1][,per_group=1]";

/// One part of a name: nothing that could leave the folder or hide in it.
bool is_name_part(std::string_view part) {
  return !part.empty() && part.front() != '.' && std::all_of(part.begin(), part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

/// The file of a name "org/name", if the argument has that form and the file is there.
std::optional<fs::path> file_of_name(const std::string& argument, const fs::path& models) {
  const auto slash = argument.find('/');
  if (slash == std::string::npos || !is_name_part(argument.substr(0, slash)) ||
      !is_name_part(argument.substr(slash + 1))) {
    return std::nullopt;
  }
  fs::path file = models / (argument + ".json");
  std::error_code code;
  return fs::is_regular_file(file, code) ? std::optional(std::move(file)) : std::nullopt;
}

Result<Model> read_file(const fs::path& file, const std::string& name) {
  const auto json = read_python_json_file(file);
  return json ? read_config(JsonView(*json, file.string()), name) : fail(json.error());
}

tl::unexpected<Error> unknown_model(const std::string& argument, const fs::path& models) {
  std::string near;
  for (const std::string& name :
       near_names(argument, list_models(models).value_or(std::vector<std::string>()))) {
    near += (near.empty() ? "; near names: " : ", ") + name;
  }
  return fail("no model is called \"" + argument.substr(0, 120) + "\"" + near + "; " +
              std::string(kForms));
}

/// What index.json, where there is one, pins as refused.
Result<std::set<std::string>> refused_names(const fs::path& models) {
  std::set<std::string> names;
  std::error_code code;
  const fs::path index = models / "index.json";
  if (!fs::exists(fs::symlink_status(index, code))) {
    return names;
  }
  const auto json = read_json_file(index);
  if (!json) {
    return fail(json.error());
  }
  const auto list = JsonView(*json, index.string()).find("refused");
  const auto members =
      list ? list->members() : Result<std::vector<std::pair<std::string, JsonView>>>();
  if (!members) {
    return fail(members.error());
  }
  for (const auto& [name, why] : *members) {
    names.insert(name);
  }
  return names;
}

/// The folders of the collection. Refused: one that cannot be read, a link that leads nowhere.
Result<std::vector<fs::path>> organisations(const fs::path& models) {
  std::vector<fs::path> folders;
  std::error_code code;
  if (!fs::is_directory(models, code)) {
    return fail("no such folder", models.string());
  }
  fs::directory_iterator entry(models, code);
  for (const fs::directory_iterator end; !code && entry != end; entry.increment(code)) {
    std::error_code broken;
    const auto status = fs::status(entry->path(), broken);
    if (status.type() == fs::file_type::not_found) {
      return fail("a link that leads nowhere, expected a folder", entry->path().string());
    }
    if (fs::is_directory(status)) {
      folders.push_back(entry->path());
    }
  }
  return code ? fail("the folder cannot be read: " + code.message(), models.string())
              : Result<std::vector<fs::path>>(std::move(folders));
}

}  // namespace

std::optional<fs::path> model_file(const std::string& argument, const fs::path& models) {
  if (argument.ends_with(".json")) {
    return argument;
  }
  if (auto file = file_of_name(argument, models)) {
    return file;
  }
  std::error_code code;
  return fs::exists(argument, code) ? std::optional<fs::path>(argument) : std::nullopt;
}

Result<Model> load_model(const std::string& argument, const fs::path& models) {
  if (const auto file = model_file(argument, models)) {
    return read_file(*file, argument);
  }
  if (argument.find('=') != std::string::npos) {
    return read_inline_geometry(argument);
  }
  return unknown_model(argument, models);
}

Result<std::vector<std::string>> list_models(const fs::path& models) {
  const auto refused = refused_names(models);
  const auto folders = refused ? organisations(models) : fail(refused.error());
  if (!folders) {
    return fail(folders.error());
  }
  std::vector<std::string> names;
  for (const fs::path& folder : *folders) {
    const auto files = json_files_in(folder);
    if (!files) {
      return fail(files.error());
    }
    for (const fs::path& file : *files) {
      names.push_back(folder.filename().string() + "/" + file.stem().string());
    }
  }
  std::erase_if(names, [&](const std::string& name) { return refused->contains(name); });
  std::sort(names.begin(), names.end());
  return names.empty() ? fail("no models here, expected ORGANISATION/NAME.json", models.string())
                       : Result<std::vector<std::string>>(std::move(names));
}

}  // namespace tplora::core
