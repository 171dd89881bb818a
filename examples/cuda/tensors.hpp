// As much of safetensors as a golden folder needs: 16-bit and I32 tensors by name, and one written.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "json.hpp"

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw std::runtime_error(path +
                             " cannot be read: is this a folder that `tplora golden` wrote?");
  return {std::istreambuf_iterator<char>(file), {}};
}

class TensorFile {
 public:
  explicit TensorFile(const std::string& path) : path_(path), bytes_(read_text(path)) {
    std::uint64_t size = 0;
    if (bytes_.size() < sizeof size) throw std::runtime_error(path + " is no safetensors file");
    std::memcpy(&size, bytes_.data(), sizeof size);
    header_text_ = bytes_.substr(sizeof size, size);
    header_ = json::Reader(header_text_).read();
    data_ = sizeof size + size;
  }

  bool has(const std::string& name) const {
    return header_.fields.find(name) != header_.fields.end();
  }

  /// The elements of a tensor, of which there must be `wanted`.
  template <class Element>
  std::vector<Element> read(const std::string& name, std::size_t wanted) const {
    const auto& offsets = header_[name]["data_offsets"].items;
    const auto begin = static_cast<std::size_t>(offsets[0].number);
    const auto end = static_cast<std::size_t>(offsets[1].number);
    if (end - begin != wanted * sizeof(Element) || data_ + end > bytes_.size())
      throw std::runtime_error(path_ + ": " + name + " has " + std::to_string(end - begin) +
                               " bytes, " + std::to_string(wanted * sizeof(Element)) + " expected");
    std::vector<Element> elements(wanted);
    std::memcpy(elements.data(), bytes_.data() + data_ + begin, end - begin);
    return elements;
  }

 private:
  std::string path_, bytes_, header_text_;
  json::Value header_;
  std::size_t data_ = 0;
};

/// A file of one tensor `y` [rows, cols]. `type`: "BF16" or "F16".
inline void write_y(const std::string& path, const std::string& type,
                    const std::vector<std::uint16_t>& y, std::size_t rows, std::size_t cols) {
  std::string header = "{\"y\":{\"dtype\":\"" + type + "\",\"shape\":[" + std::to_string(rows) +
                       "," + std::to_string(cols) + "],\"data_offsets\":[0," +
                       std::to_string(y.size() * sizeof y[0]) + "]}}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = header.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof size);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.write(reinterpret_cast<const char*>(y.data()),
             static_cast<std::streamsize>(y.size() * sizeof y[0]));
  file.close();
  if (!file) throw std::runtime_error(path + " cannot be written");
}
