#include "verify/safetensors/writer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>

#include "sim/base/ensure.hpp"
#include "sim/base/json.hpp"

namespace tplora::core {
namespace {

void sort_for_writing(std::vector<TensorToWrite>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return a.type != b.type ? a.type > b.type : a.name < b.name;
  });
}

std::int64_t bytes_of(const TensorToWrite& tensor) {
  const auto bytes = byte_count(tensor.type, tensor.shape);
  ensure(bytes.has_value(), "a tensor that is written has a valid shape");
  return *bytes;
}

std::string header_of(const std::map<std::string, std::string>& metadata,
                      std::span<const TensorToWrite> tensors) {
  Json header = Json::object();
  if (!metadata.empty()) {
    header["__metadata__"] = metadata;
  }
  std::int64_t at = 0;
  for (const TensorToWrite& tensor : tensors) {
    ensure(!header.contains(tensor.name), "tensors of a file have different names");
    const std::int64_t end = at + bytes_of(tensor);
    header[tensor.name] = {{"dtype", tensor_type_name(tensor.type)},
                           {"shape", tensor.shape},
                           {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

Result<void> write_all(OutputFile& out, const std::map<std::string, std::string>& metadata,
                       std::span<const TensorToWrite> tensors) {
  const std::string header = header_of(metadata, tensors);
  const auto length =
      std::bit_cast<std::array<std::byte, 8>>(static_cast<std::uint64_t>(header.size()));
  if (auto written = out.write(length); !written) {
    return written;
  }
  if (auto written = out.write(std::as_bytes(std::span(header))); !written) {
    return written;
  }
  for (const TensorToWrite& tensor : tensors) {
    std::int64_t produced = 0;
    auto written = tensor.produce([&](std::span<const std::byte> bytes) {
      produced += static_cast<std::int64_t>(bytes.size());
      return out.write(bytes);
    });
    if (!written) {
      return written;
    }
    ensure(produced == bytes_of(tensor), "a tensor produces as many bytes as it has");
  }
  return {};
}

}  // namespace

Result<WrittenFile> write_safetensors(const std::filesystem::path& file,
                                      const std::map<std::string, std::string>& metadata,
                                      std::vector<TensorToWrite> tensors) {
  sort_for_writing(tensors);
  auto out = OutputFile::create(file);
  if (!out) {
    return fail(out.error());
  }
  if (auto written = write_all(*out, metadata, tensors); !written) {
    return fail(written.error());
  }
  return out->finish();
}

Result<void> put_values(ScalarType type, std::span<const float> values, const TakeBytes& take) {
  if (type == ScalarType::fp32) {
    return take(std::as_bytes(values));
  }
  std::array<std::uint16_t, 4096> block{};
  while (!values.empty()) {
    const auto some = values.first(std::min(values.size(), block.size()));
    std::transform(some.begin(), some.end(), block.begin(),
                   [&](float value) { return static_cast<std::uint16_t>(encode(type, value)); });
    if (auto taken = take(std::as_bytes(std::span(block).first(some.size()))); !taken) {
      return taken;
    }
    values = values.subspan(some.size());
  }
  return {};
}

TensorToWrite tensor_of(std::string name, ScalarType type, std::vector<std::int64_t> shape,
                        std::vector<float> values) {
  const auto held = std::make_shared<const std::vector<float>>(std::move(values));
  return {std::move(name), stored_type(type), std::move(shape),
          [held, type](const TakeBytes& take) { return put_values(type, *held, take); }};
}

TensorToWrite tensor_of(std::string name, std::vector<std::int32_t> values) {
  const auto held = std::make_shared<const std::vector<std::int32_t>>(std::move(values));
  return {std::move(name),
          TensorType::i32,
          {static_cast<std::int64_t>(held->size())},
          [held](const TakeBytes& take) { return take(std::as_bytes(std::span(*held))); }};
}

}  // namespace tplora::core
