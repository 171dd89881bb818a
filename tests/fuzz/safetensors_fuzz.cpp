#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/fuzz/target.hpp"
#include "verify/safetensors/npy.hpp"
#include "verify/safetensors/reader.hpp"

namespace tplora::fuzz {

using namespace core;

void safetensors(std::string_view bytes) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("tplora_fuzz_" + std::to_string(::getpid()) + ".safetensors");
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const auto file = SafetensorsFile::open(path);
  const auto npy = open_npy(path);
  std::filesystem::remove(path);  // what is open stays readable
  if (!file) {
    check_error(file.error(), path.filename().string());
  } else {
    std::int64_t sum = 0;
    for (const TensorEntry& tensor : file->tensors()) {
      std::vector<std::byte> all(static_cast<std::size_t>(tensor.bytes));
      check(file->read(tensor, 0, all).has_value(), "a tensor's bytes are in the file");
      sum += tensor.bytes;
    }
    check(sum < static_cast<std::int64_t>(bytes.size()), "tensors do not overlap");
  }
  if (!npy) {
    check_error(npy.error(), path.filename().string());
  } else {
    check(npy->array.begin + npy->array.bytes == static_cast<std::int64_t>(bytes.size()),
          "an array ends where its file does");
  }
}

}  // namespace tplora::fuzz
