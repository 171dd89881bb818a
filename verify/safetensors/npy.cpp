#include "verify/safetensors/npy.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::int64_t kMostHeaderBytes = 1 << 16;

constexpr std::pair<std::string_view, TensorType> kTypes[] = {
    {"|b1", TensorType::boolean}, {"|u1", TensorType::u8},  {"|i1", TensorType::i8},
    {"<i2", TensorType::i16},     {"<u2", TensorType::u16}, {"<f2", TensorType::f16},
    {"<i4", TensorType::i32},     {"<u4", TensorType::u32}, {"<f4", TensorType::f32},
    {"<i8", TensorType::i64},     {"<u8", TensorType::u64}, {"<f8", TensorType::f64},
};

/// The text of a Python dict of three keys, read from left to right.
class Header {
 public:
  explicit Header(std::string_view text) : text_(text) {}

  /// Takes `word`, blanks before it left out.
  bool take(std::string_view word) {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n')) {
      text_.remove_prefix(1);
    }
    const bool there = text_.starts_with(word);
    text_.remove_prefix(there ? word.size() : 0);
    return there;
  }
  /// A text between single quotes.
  std::optional<std::string> quoted() {
    const auto end = take("'") ? text_.find('\'') : std::string_view::npos;
    if (end == std::string_view::npos) {
      return std::nullopt;
    }
    std::string text(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return text;
  }
  std::optional<std::vector<std::int64_t>> tuple() {
    std::vector<std::int64_t> sizes;
    if (!take("(")) {
      return std::nullopt;
    }
    while (!take(")")) {
      const auto size = number();
      if (!size || (!take(",") && !text_.starts_with(")"))) {
        return std::nullopt;
      }
      sizes.push_back(*size);
    }
    return sizes;
  }

 private:
  std::optional<std::int64_t> number() {
    take("");
    const auto end = text_.find_first_not_of("0123456789");
    const auto digits = text_.substr(0, end);
    text_.remove_prefix(digits.size());
    return parse_decimal<std::int64_t>(std::string(digits));
  }
  std::string_view text_;
};

/// The dict's fields; nothing where it is in another form.
struct Fields3 {
  std::string descr;
  bool fortran = false;
  std::vector<std::int64_t> shape;
};

std::optional<Fields3> read_header(std::string_view text) {
  Header header(text);
  Fields3 fields;
  if (!header.take("{")) {
    return std::nullopt;
  }
  for (int field = 0; field < 3; ++field) {
    const auto key = header.quoted();
    if (!key || !header.take(":")) {
      return std::nullopt;
    }
    if (*key == "descr") {
      const auto descr = header.quoted();
      fields.descr = descr.value_or("");
    } else if (*key == "fortran_order") {
      fields.fortran = header.take("True");
      if (!fields.fortran && !header.take("False")) {
        return std::nullopt;
      }
    } else if (*key == "shape") {
      auto shape = header.tuple();
      if (!shape) {
        return std::nullopt;
      }
      fields.shape = std::move(*shape);
    } else {
      return std::nullopt;
    }
    header.take(",");
  }
  return header.take("}") && !fields.descr.empty() ? std::optional(fields) : std::nullopt;
}

}  // namespace

Result<NpyFile> open_npy(const std::filesystem::path& path) {
  auto file = InputFile::open(path);
  if (!file) {
    return fail(file.error());
  }
  const std::string place = path.string();
  std::array<char, 12> start{};
  const std::size_t there =
      std::min<std::size_t>(start.size(), static_cast<std::size_t>(file->size()));
  if (auto read = file->read(0, std::as_writable_bytes(std::span(start).first(there))); !read) {
    return fail(read.error());
  }
  const auto byte = [&](std::size_t i) {
    return static_cast<std::int64_t>(static_cast<unsigned char>(start[i]));
  };
  const std::int64_t version = byte(6);
  if (!std::string_view(start.data(), there).starts_with(kMagic) || there < 12 || version < 1 ||
      version > 3) {
    return fail("is no .npy file of version 1 to 3", place);
  }
  const std::int64_t before = version == 1 ? 10 : 12;
  const std::int64_t length = version == 1
                                  ? byte(8) + 256 * byte(9)
                                  : byte(8) + 256 * (byte(9) + 256 * (byte(10) + 256 * byte(11)));
  if (length > kMostHeaderBytes || before + length > file->size()) {
    return fail(fmt::format("says that its header has {} bytes: expected at most {}, and no more "
                            "than the file has",
                            length, kMostHeaderBytes),
                place);
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  if (auto read = file->read(before, std::as_writable_bytes(std::span(text))); !read) {
    return fail(read.error());
  }
  const auto fields = read_header(text);
  if (!fields) {
    return fail(
        "header " + excerpt(text) +
            ": expected descr (a plain type), fortran_order and shape, as numpy.save writes "
            "them",
        place);
  }
  TensorEntry array;
  array.shape = fields->shape;
  array.begin = before + length;
  const TensorType* type = nullptr;
  for (const auto& [descr, known] : kTypes) {
    type = fields->descr == descr ? &known : type;
  }
  if (type == nullptr || fields->fortran) {
    return fail(fmt::format("elements {}{}: expected a little-endian plain type in C order",
                            excerpt(fields->descr), fields->fortran ? " in Fortran order" : ""),
                place);
  }
  array.type = *type;
  const auto bytes = byte_count(array.type, array.shape);
  if (!bytes || *bytes != file->size() - array.begin) {
    return fail(fmt::format("has {} bytes of data, expected {} for {} of shape {}",
                            file->size() - array.begin, bytes ? std::to_string(*bytes) : "fewer",
                            fields->descr, excerpt(shape_text(array.shape))),
                place);
  }
  array.bytes = *bytes;
  return NpyFile{std::move(*file), std::move(array)};
}

}  // namespace tplora::core
