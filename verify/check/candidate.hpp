// What a kernel or an engine wrote: tensors by tp_rank and name, from safetensors or .npy files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/numerics/scalar.hpp"
#include "verify/golden/manifest.hpp"
#include "verify/safetensors/input_file.hpp"
#include "verify/safetensors/tensor_type.hpp"

namespace tplora::core {

/// A tensor of a file that stays open. Of its values nothing is held.
struct CandidateTensor {
  std::int64_t tp_rank = 0;
  std::string name;  ///< as in the golden's rank file: "y", "u.q", "lora_b" ..
  std::shared_ptr<const InputFile> file;
  TensorType type = TensorType::f32;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;  ///< of its bytes in the file

  [[nodiscard]] std::string place() const;
};

struct Candidate {
  std::vector<CandidateTensor> tensors;  ///< by tp_rank, then name
};

/// Reads the headers of a candidate:
///
/// - a folder: rankN.safetensors with the golden's tensor names, rankN.NAME.npy, and other
///   safetensors files whose tensors are called rankN.NAME;
/// - one safetensors file, with rankN.NAME or, of a golden of one rank, NAME;
/// - one .npy file, rankN.NAME.npy or, of a golden of one rank, NAME.npy.
///
/// Refused: files that are not read, no tensor at all, one given twice, a tp_rank that the golden
/// does not have, a file that says (tplora_case) that it is of another case.
[[nodiscard]] Result<Candidate> read_candidate(const std::filesystem::path& path,
                                               const ReadManifest& manifest);

/// Values [first, first + count) of a tensor of `type` at byte `begin` of a file. Precondition: the
/// type holds values of a dtype, or is U16 or I16, which are patterns of `dtype`.
[[nodiscard]] Result<std::vector<float>> read_values(const InputFile& file, std::int64_t begin,
                                                     TensorType type, ScalarType dtype,
                                                     std::int64_t first, std::int64_t count);

}  // namespace tplora::core
