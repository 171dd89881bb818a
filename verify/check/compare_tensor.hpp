// Bits of a candidate's tensor against the golden's, at the speed at which files are read.
#pragma once

#include "sim/base/result.hpp"
#include "verify/check/candidate.hpp"
#include "verify/check/findings.hpp"
#include "verify/safetensors/reader.hpp"

namespace tplora::core {

/// Compares a tensor with the golden's of the same name, dtype and shape, block by block. `dtype`:
/// of the case. Refused: files that can no longer be read.
[[nodiscard]] Result<TensorComparison> compare_tensor(const CandidateTensor& candidate,
                                                      const SafetensorsFile& golden,
                                                      const TensorEntry& expected,
                                                      ScalarType dtype);

/// Notes element number `at`, of which the bits differ.
void note_mismatch(TensorComparison& comparison, std::int64_t at, float expected, float found);

}  // namespace tplora::core
