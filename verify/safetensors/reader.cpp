#include "verify/safetensors/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "sim/base/checked.hpp"
#include "sim/base/ensure.hpp"
#include "sim/base/fields.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

/// Of the length before the header.
constexpr std::int64_t kLengthBytes = 8;

/// The header's text, its padding included.
Result<std::string> header_text(const InputFile& file) {
  const std::string place = file.path().string();
  if (file.size() < kLengthBytes) {
    return fail(fmt::format("has {} bytes: expected a header of at least 8, as safetensors files "
                            "have one",
                            file.size()),
                place);
  }
  std::array<std::byte, kLengthBytes> bytes{};
  if (auto read = file.read(0, bytes); !read) {
    return fail(read.error());
  }
  const auto length = std::bit_cast<std::uint64_t>(bytes);
  if (length > static_cast<std::uint64_t>(kMaxJsonBytes)) {
    return fail(fmt::format("says that its header has {} bytes: expected at most {} (is this a "
                            "safetensors file?)",
                            length, kMaxJsonBytes),
                place);
  }
  const auto header = static_cast<std::int64_t>(length);
  if (header > file.size() - kLengthBytes) {
    return fail(fmt::format("says that its header has {} bytes, and has {} behind the length: it "
                            "is cut off",
                            header, file.size() - kLengthBytes),
                place);
  }
  std::string text(static_cast<std::size_t>(header), '\0');
  if (auto read = file.read(kLengthBytes, std::as_writable_bytes(std::span(text))); !read) {
    return fail(read.error());
  }
  if (text.empty() || text.front() != '{') {
    return fail("has a header that does not begin with \"{\": this is no safetensors file", place);
  }
  return text;
}

/// One member of the header. Its `begin` counts from the first byte of the data.
TensorEntry read_entry(const std::string& name, const JsonView& value, FirstError& errors) {
  const Fields fields(value, errors, {"dtype", "shape", "data_offsets"});
  TensorEntry entry;
  entry.name = name;
  const std::string type = fields.text("dtype");
  const auto known = tensor_type_of(type);
  if (errors.none() && !known) {
    errors.refuse(value.error(
        fmt::format("dtype {}: expected one of the format, as F32 or BF16", excerpt(type))));
  }
  entry.type = known.value_or(TensorType::f32);
  for (const JsonView& size : fields.entries("shape")) {
    entry.shape.push_back(errors.take(size.integer()));
  }
  const auto offsets = fields.entries("data_offsets");
  if (errors.none() && offsets.size() != 2) {
    errors.refuse(value.error("data_offsets: expected two numbers, begin and end"));
  }
  if (!errors.none()) {
    return entry;
  }
  entry.begin = errors.take(offsets[0].integer());
  const std::int64_t end = errors.take(offsets[1].integer());
  const auto due = byte_count(entry.type, entry.shape);
  if (errors.none() && (entry.begin < 0 || end < entry.begin)) {
    errors.refuse(value.error(
        fmt::format("data_offsets [{}, {}]: expected 0 <= begin <= end", entry.begin, end)));
  } else if (errors.none() && (!due || *due != end - entry.begin)) {
    errors.refuse(
        value.error(fmt::format("has {} bytes, expected {} for {} of shape {}", end - entry.begin,
                                due ? std::to_string(*due) : "a number that 64 bits hold", type,
                                excerpt(shape_text(entry.shape)))));
  }
  entry.bytes = errors.none() ? end - entry.begin : 0;
  return entry;
}

/// That the tensors, by place, cover [0, size) once.
Result<void> check_cover(std::span<const TensorEntry> tensors, std::int64_t size,
                         const std::string& place) {
  std::int64_t at = 0;
  for (const TensorEntry& tensor : tensors) {
    if (tensor.begin != at) {
      return fail(fmt::format("tensor {} begins at byte {} of the data, expected {}: {}",
                              excerpt(tensor.name), tensor.begin, at,
                              tensor.begin < at ? "it overlaps another" : "there is a gap"),
                  place);
    }
    at += tensor.bytes;
  }
  if (at != size) {
    return fail(fmt::format("has {} bytes of data, and tensors of {}: {}", size, at,
                            size < at ? "it is cut off" : "there is something behind them"),
                place);
  }
  return {};
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  auto file = InputFile::open(path);
  if (!file) {
    return fail(file.error());
  }
  SafetensorsFile opened(std::move(*file));
  const std::string place = path.string();
  const auto text = header_text(opened.file_);
  const auto json = text ? parse_json(*text, place) : fail(text.error());
  if (!json) {
    return fail(json.error());
  }
  FirstError errors;
  for (const auto& [name, value] : errors.take(JsonView(*json, place).members())) {
    if (name != "__metadata__") {
      opened.tensors_.push_back(read_entry(name, value, errors));
      continue;
    }
    for (const auto& [key, word] : errors.take(value.members())) {
      opened.metadata_[key] = errors.take(word.string());
    }
  }
  if (auto read = errors.result(); !read) {
    return fail(read.error());
  }
  std::stable_sort(opened.tensors_.begin(), opened.tensors_.end(),
                   [](const TensorEntry& a, const TensorEntry& b) {
                     return std::pair(a.begin, a.bytes) < std::pair(b.begin, b.bytes);
                   });
  const std::int64_t data = kLengthBytes + static_cast<std::int64_t>(text->size());
  if (auto whole = check_cover(opened.tensors_, opened.file_.size() - data, place); !whole) {
    return fail(whole.error());
  }
  for (TensorEntry& tensor : opened.tensors_) {
    tensor.begin += data;
  }
  return opened;
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const TensorEntry& one) { return one.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

Result<void> SafetensorsFile::read(const TensorEntry& tensor, std::int64_t first_byte,
                                   std::span<std::byte> into) const {
  ensure(first_byte >= 0 && first_byte + static_cast<std::int64_t>(into.size()) <= tensor.bytes,
         "bytes that are read are the tensor's");
  return file_.read(tensor.begin + first_byte, into);
}

}  // namespace tplora::core
