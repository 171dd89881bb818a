#include "verify/case/suite_names.hpp"

#include <fmt/format.h>
#include <fnmatch.h>
#include <glob.h>

#include <algorithm>
#include <system_error>

#include "sim/base/json.hpp"
#include "sim/base/printable.hpp"
#include "sim/model/model_source.hpp"

namespace tplora::core {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

constexpr int kDeepest = 16;  ///< folders in folders

bool is_pattern(const std::string& text) {
  return text.find_first_of("*?[") != std::string::npos;
}

bool is_path(const std::string& text) {
  return text.ends_with(".json") || text.starts_with('/') || text.starts_with("./") ||
         text.starts_with("../");
}

/// Of a folder's entries those that are folders, by name.
Result<std::vector<fs::path>> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code code;
  fs::directory_iterator entry(folder, code);
  for (const fs::directory_iterator end; !code && entry != end; entry.increment(code)) {
    std::error_code broken;
    if (fs::is_directory(entry->path(), broken)) {
      folders.push_back(entry->path());
    }
  }
  if (code) {
    return fail("the folder cannot be read: " + code.message(), folder.string());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

/// The configs that a folder holds.
Result<void> add_models_in(const fs::path& folder, int depth, Names& names) {
  if (depth > kDeepest) {
    return fail(fmt::format("folders in folders, expected at most {}", kDeepest), folder.string());
  }
  std::error_code code;
  if (fs::exists(folder / "config.json", code)) {  // a checkpoint: its other files are no configs
    names.push_back((folder / "config.json").string());
    return {};
  }
  const auto files = json_files_in(folder);
  const auto folders = folders_in(folder);
  if (const auto error = first_error(files, folders)) {
    return fail(*error);
  }
  for (const fs::path& file : *files) {
    names.push_back(file.string());
  }
  for (const fs::path& below : *folders) {
    if (auto added = add_models_in(below, depth + 1, names); !added) {
      return added;
    }
  }
  return {};
}

Result<Names> held_by(const fs::path& folder, bool models) {
  Names names;
  if (models) {
    if (auto added = add_models_in(folder, 0, names); !added) {
      return fail(added.error());
    }
  } else {
    const auto files = json_files_in(folder);
    if (!files) {
      return fail(files.error());
    }
    for (const fs::path& file : *files) {
      names.push_back(file.string());
    }
  }
  return names.empty() ? fail(fmt::format("no {} in this folder, expected *.json",
                                          models ? "models" : "engines"),
                              folder.string())
                       : Result<Names>(std::move(names));
}

/// Those that fit a pattern, in which a star stands for a slash too.
Result<Names> fitting(Names names, const std::string& pattern, const char* kind) {
  std::erase_if(names, [&](const std::string& name) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) != 0;
  });
  return names.empty() ? fail(fmt::format("{}: no name fits, see tplora list {} (patterns of files "
                                          "end in .json or start with ./)",
                                          excerpt(pattern), kind))
                       : Result<Names>(std::move(names));
}

/// Files and folders that fit, in the order of their bytes.
Result<Names> paths_like(const std::string& pattern) {
  glob_t found = {};
  std::string unreadable;
  static thread_local std::string* first_unreadable = nullptr;
  first_unreadable = &unreadable;
  const int code = glob(
      pattern.c_str(), GLOB_NOSORT,
      [](const char* path, int) {
        *first_unreadable = first_unreadable->empty() ? path : *first_unreadable;
        return 1;
      },
      &found);
  Names paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  std::sort(paths.begin(), paths.end());
  if (code == 0) {
    return paths;
  }
  return code == GLOB_NOMATCH
             ? fail(fmt::format("{}: no file fits, expected at least one", excerpt(pattern)))
             : Result<Names>(fail("the folder cannot be read", unreadable));
}

}  // namespace

fs::path SuiteNames::from_suite(const std::string& path) const {
  return fs::path(path).is_absolute() ? fs::path(path) : (folder_ / path).lexically_normal();
}

std::string SuiteNames::pattern_from_suite(const std::string& pattern) const {
  if (fs::path(pattern).is_absolute()) {
    return pattern;
  }
  std::string folder;  // what it is called is no pattern
  for (const char c : folder_.string()) {
    folder += std::string_view("*?[]\\").find(c) == std::string_view::npos ? "" : "\\";
    folder += c;
  }
  return (fs::path(folder) / pattern).lexically_normal().string();
}

Result<Names> SuiteNames::all(bool models) {
  return models ? library_.all_models() : list_contracts(configs_.root, "engines");
}

Result<Names> SuiteNames::names(const std::string& argument, bool models) {
  std::error_code code;
  const bool pattern = is_pattern(argument) && !fs::exists(from_suite(argument), code);
  if (pattern && is_path(argument)) {
    return paths_like(pattern_from_suite(argument)).and_then([&](const Names& paths) {
      Names names;
      for (const std::string& path : paths) {
        if (!fs::is_directory(path, code)) {
          names.push_back(path);
        } else if (auto held = held_by(path, models)) {
          names.insert(names.end(), held->begin(), held->end());
        } else {
          return Result<Names>(fail(held.error()));
        }
      }
      return Result<Names>(std::move(names));
    });
  }
  constexpr std::string_view kBugs = "bugs/";
  if (!models && pattern && argument.starts_with(kBugs)) {
    return list_contracts(configs_.root, "bugs").and_then([&](Names names) {
      return fitting(std::move(names), argument.substr(kBugs.size()), "bugs");
    });
  }
  if (pattern) {
    return all(models).and_then([&](Names names) {
      return fitting(std::move(names), argument, models ? "models" : "engines");
    });
  }
  const fs::path path = from_suite(argument);
  const auto is_name = [&](const fs::path& folder) {
    return fs::exists(folder / (argument + ".json"), code);
  };
  const bool named =
      models ? !argument.ends_with(".json") && is_name(configs_.models())
             : argument.find('/') == std::string::npos &&
                   (is_name(configs_.root / "engines") || is_name(configs_.root / "bugs"));
  if (named || (!argument.ends_with(".json") && !fs::exists(path, code))) {
    return Names{argument};  // a name, a geometry, or something that is not there
  }
  if (!fs::is_directory(path, code)) {
    return Names{path.string()};
  }
  // The collection itself has a file that is no model.
  const bool collection = models && fs::equivalent(path, configs_.models(), code);
  return collection ? all(models) : held_by(path, models);
}

Result<Names> SuiteNames::models(const std::string& argument) {
  return names(argument, true);
}

Result<Names> SuiteNames::engines(const std::string& argument) {
  return names(argument, false);
}

}  // namespace tplora::core
