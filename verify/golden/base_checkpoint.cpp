#include "verify/golden/base_checkpoint.hpp"

#include <fmt/format.h>

#include "sim/base/json.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {

namespace fs = std::filesystem;

std::string StoredTensor::place() const {
  return fmt::format("{}: {}", file->path().string(), excerpt(entry->name));
}

Result<BaseCheckpoint> BaseCheckpoint::open(const fs::path& folder) {
  BaseCheckpoint base;
  base.folder_ = folder;
  std::error_code error;
  const fs::path index = folder / "model.safetensors.index.json";
  if (!fs::exists(index, error)) {
    if (!fs::exists(folder / "model.safetensors", error)) {
      return fail(
          "has neither model.safetensors nor model.safetensors.index.json: expected a checkpoint "
          "as "
          "the Hugging Face Hub has it",
          folder.string());
    }
    base.listed_in_ = folder / "model.safetensors";
    const auto file = base.open_file("model.safetensors");
    if (!file) {
      return fail(file.error());
    }
    for (const TensorEntry& tensor : (*file)->tensors()) {
      base.file_of_[tensor.name] = "model.safetensors";
    }
    return base;
  }
  base.listed_in_ = index;
  const auto json = read_json_file(index);
  if (!json) {
    return fail(json.error());
  }
  const auto map = JsonView(*json, index.string()).at("weight_map").and_then([](JsonView view) {
    return view.members();
  });
  if (!map) {
    return fail(map.error());
  }
  for (const auto& [tensor, view] : *map) {
    const auto file = view.string();
    if (!file) {
      return fail(file.error());
    }
    if (file->find('/') != std::string::npos || *file == "..") {
      return view.expected("the name of a file in the same folder");
    }
    base.file_of_[tensor] = *file;
  }
  return base;
}

Result<std::shared_ptr<const SafetensorsFile>> BaseCheckpoint::open_file(const std::string& name) {
  auto& file = files_[name];
  if (file == nullptr) {
    auto opened = SafetensorsFile::open(folder_ / name);
    if (!opened) {
      return fail(opened.error());
    }
    file = std::make_shared<const SafetensorsFile>(*std::move(opened));
  }
  return file;
}

std::vector<std::string> BaseCheckpoint::names_like(const std::string& name,
                                                    const std::string& ending) const {
  if (file_of_.contains(name)) {
    return {name};
  }
  std::vector<std::string> names;
  for (const auto& [tensor, file] : file_of_) {
    if (tensor == ending || tensor.ends_with("." + ending)) {
      names.push_back(tensor);
    }
  }
  return names;
}

bool BaseCheckpoint::has(const std::string& name, const std::string& ending) const {
  return !names_like(name, ending).empty();
}

Result<StoredTensor> BaseCheckpoint::find(const std::string& name, const std::string& ending) {
  const std::vector<std::string> names = names_like(name, ending);
  if (names.empty()) {
    return fail(fmt::format("has no tensor {}, nor one that ends with .{}", name, ending),
                listed_in_.string());
  }
  if (names.size() > 1) {
    return fail(fmt::format("has {} and {}: expected one that ends with .{}, or --tensor-prefix to "
                            "say which",
                            excerpt(names[0]), excerpt(names[1]), ending),
                listed_in_.string());
  }
  auto file = open_file(file_of_.at(names.front()));
  if (!file) {
    return fail(file.error());
  }
  const TensorEntry* entry = (*file)->find(names.front());
  if (entry == nullptr) {
    return fail(fmt::format("has no tensor {}, and {} says it has", excerpt(names.front()),
                            listed_in_.filename().string()),
                (*file)->path().string());
  }
  return StoredTensor{*std::move(file), entry};
}

}  // namespace tplora::core
