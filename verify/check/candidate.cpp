#include "verify/check/candidate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <tuple>

#include "sim/base/decimal.hpp"
#include "sim/base/ensure.hpp"
#include "sim/base/printable.hpp"
#include "verify/safetensors/npy.hpp"
#include "verify/safetensors/reader.hpp"

namespace tplora::core {
namespace {

namespace fs = std::filesystem;

/// "rank12.y" -> 12 and "y"; nothing where no rank stands before it.
std::optional<std::pair<std::int64_t, std::string>> split_rank(const std::string& name) {
  const auto dot = name.find('.');
  if (!name.starts_with("rank")) {
    return std::nullopt;
  }
  const auto rank = parse_decimal(
      std::string_view(name).substr(4, dot == std::string::npos ? dot : dot - 4), 0, 1023);
  return rank ? std::optional(std::pair(
                    *rank, dot == std::string::npos ? std::string() : name.substr(dot + 1)))
              : std::nullopt;
}

/// Collects the tensors of one candidate.
class CandidateReader {
 public:
  explicit CandidateReader(const ReadManifest& manifest) : manifest_(manifest) {}

  Result<void> add_file(const fs::path& file) {
    return file.extension() == ".npy" ? add_npy(file) : add_safetensors(file);
  }

  Result<Candidate> result(const fs::path& path) {
    auto& tensors = candidate_.tensors;
    if (tensors.empty()) {
      return fail(
          "has no tensors: expected rankN.safetensors with tensors named as the golden's, "
          "or rankN.NAME.npy",
          path.string());
    }
    const auto key = [](const CandidateTensor& one) { return std::tie(one.tp_rank, one.name); };
    std::sort(tensors.begin(), tensors.end(),
              [&](const auto& a, const auto& b) { return key(a) < key(b); });
    const auto twice =
        std::adjacent_find(tensors.begin(), tensors.end(),
                           [&](const auto& a, const auto& b) { return key(a) == key(b); });
    if (twice != tensors.end()) {
      return fail(
          fmt::format("{} of tp_rank {} is given twice, here and in {}", excerpt(twice->name),
                      twice->tp_rank, excerpt((twice + 1)->file->path().string())),
          twice->file->path().string());
    }
    return std::move(candidate_);
  }

 private:
  /// The rank and name of a tensor: by its own name, else by its file's, else the only rank.
  Result<std::pair<std::int64_t, std::string>> identify(const fs::path& file,
                                                        const std::string& tensor) const {
    auto found = split_rank(tensor);
    if (!found || found->second.empty()) {
      const auto of_file = split_rank(file.stem().string());
      if (of_file && of_file->second.empty()) {
        found = std::pair(of_file->first, tensor);
      } else if (manifest_.ranks.size() == 1) {
        found = std::pair(manifest_.ranks.front(), tensor);
      } else {
        return fail(
            fmt::format("tensor {}: expected a name that tells the tp_rank, as rank0.{}, or "
                        "a file rank0.safetensors",
                        excerpt(tensor), excerpt(tensor)),
            file.string());
      }
    }
    if (std::find(manifest_.ranks.begin(), manifest_.ranks.end(), found->first) ==
        manifest_.ranks.end()) {
      return fail(fmt::format("tensor {} is of tp_rank {}, and the golden has {}", excerpt(tensor),
                              found->first, fmt::join(manifest_.ranks, ", ")),
                  file.string());
    }
    return *found;
  }

  Result<void> add(const fs::path& path, const std::string& tensor,
                   const std::shared_ptr<const InputFile>& file, const TensorEntry& entry) {
    auto name = identify(path, tensor);
    if (!name) {
      return fail(name.error());
    }
    candidate_.tensors.push_back({.tp_rank = name->first,
                                  .name = name->second,
                                  .file = file,
                                  .type = entry.type,
                                  .shape = entry.shape,
                                  .begin = entry.begin});
    return {};
  }

  Result<void> add_safetensors(const fs::path& path) {
    auto opened = SafetensorsFile::open(path);
    if (!opened) {
      return fail(opened.error());
    }
    const auto said = opened->metadata().find("tplora_case");
    if (said != opened->metadata().end() && said->second != manifest_.case_line) {
      return fail(fmt::format("says that it is of case {}, and the golden is of {}",
                              excerpt(said->second), excerpt(manifest_.case_line)),
                  path.string());
    }
    const std::vector<TensorEntry> entries(opened->tensors().begin(), opened->tensors().end());
    const auto file = std::make_shared<const InputFile>(std::move(*opened).take_file());
    for (const TensorEntry& entry : entries) {
      if (auto added = add(path, entry.name, file, entry); !added) {
        return added;
      }
    }
    return {};
  }

  Result<void> add_npy(const fs::path& path) {
    auto opened = open_npy(path);
    if (!opened) {
      return fail(opened.error());
    }
    const auto file = std::make_shared<const InputFile>(std::move(opened->file));
    return add(path, path.stem().string(), file, opened->array);
  }

  const ReadManifest& manifest_;
  Candidate candidate_;
};

Result<std::vector<fs::path>> files_of(const fs::path& path) {
  std::error_code code;
  if (!fs::is_directory(path, code)) {
    return std::vector<fs::path>{path};
  }
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(path, code), end; !code && entry != end;
       entry.increment(code)) {
    const auto extension = entry->path().extension();
    const std::string name = entry->path().filename().string();
    const bool other = name.starts_with('.') || name == "inputs.safetensors";  // of a golden itself
    if ((extension == ".safetensors" || extension == ".npy") && !other) {
      files.push_back(entry->path());
    }
  }
  if (code) {
    return fail("cannot be read: " + code.message(), path.string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string CandidateTensor::place() const {
  return fmt::format("{}: {} of tp_rank {}", file->path().string(), excerpt(name), tp_rank);
}

Result<Candidate> read_candidate(const fs::path& path, const ReadManifest& manifest) {
  const auto files = files_of(path);
  if (!files) {
    return fail(files.error());
  }
  CandidateReader reader(manifest);
  for (const fs::path& file : *files) {
    if (auto added = reader.add_file(file); !added) {
      return fail(added.error());
    }
  }
  return reader.result(path);
}

Result<std::vector<float>> read_values(const InputFile& file, std::int64_t begin, TensorType type,
                                       ScalarType dtype, std::int64_t first, std::int64_t count) {
  const bool patterns = type == TensorType::u16 || type == TensorType::i16;
  const auto own = scalar_type_of(type);
  ensure(own || patterns, "values are read of tensors that hold some");
  const ScalarType stored = own.value_or(dtype);
  std::vector<float> values(static_cast<std::size_t>(count));
  if (stored == ScalarType::fp32) {
    if (auto read = file.read(begin + first * 4, std::as_writable_bytes(std::span(values)));
        !read) {
      return fail(read.error());
    }
  } else {
    std::vector<std::uint16_t> bits(values.size());
    if (auto read = file.read(begin + first * 2, std::as_writable_bytes(std::span(bits))); !read) {
      return fail(read.error());
    }
    std::transform(bits.begin(), bits.end(), values.begin(),
                   [&](std::uint16_t one) { return decode(stored, one); });
  }
  for (float& value : values) {
    value = value != value ? canonical_nan() : value;
  }
  return values;
}

}  // namespace tplora::core
