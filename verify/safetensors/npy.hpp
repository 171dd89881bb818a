// NumPy's .npy files: one array each.
#pragma once

#include <filesystem>

#include "sim/base/result.hpp"
#include "verify/safetensors/reader.hpp"

namespace tplora::core {

/// An open file with its header read. `name` of the entry is empty.
struct NpyFile {
  InputFile file;
  TensorEntry array;
};

/// Versions 1 to 3. Refused: another magic, a header above 64 KiB or in another form than NumPy
/// writes, Fortran order, an element type that no tensor has (big-endian, structured, strings), a
/// size that is not the array's.
[[nodiscard]] Result<NpyFile> open_npy(const std::filesystem::path& file);

}  // namespace tplora::core
