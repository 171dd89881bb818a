// A candidate's LoRA buffers, in whatever heights an engine gives them, against what must be there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/check/candidate.hpp"
#include "verify/check/findings.hpp"
#include "verify/check/read_labels.hpp"
#include "verify/safetensors/reader.hpp"

namespace tplora::core {

/// What one buffer comes to.
struct BufferResult {
  TensorComparison comparison;
  std::optional<FitFinding> fit;
  std::vector<PlaceFinding> places;  ///< of `labels` data only
  std::vector<float> values;         ///< of the buffer
};

/// Whether a tensor of that name is a buffer: lora_b, lora_b.q, lora_a, lora_a.q ..
[[nodiscard]] bool is_slot_buffer(const std::string& name);

/// The buffers of one rank. Of each resident adapter's slot are compared: rows of B, one for each
/// column in the order of the columns, its own lora_rank elements of each; and of A each targeted
/// part's rows, one behind the other wherever they begin. What else a slot holds is the engine's.
/// Refused: another dtype, too few slots, rows that are too short, files that cannot be read.
[[nodiscard]] Result<std::vector<BufferResult>> check_slot_buffers(
    const LabelContext& context, const SafetensorsFile& golden,
    const std::vector<const CandidateTensor*>& buffers);

}  // namespace tplora::core
