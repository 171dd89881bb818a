#include "verify/check/compare_tensor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{1} << 20;

float value_of(const std::byte* at, TensorType type, ScalarType dtype) {
  if (type == TensorType::f32) {
    float value = 0;
    std::memcpy(&value, at, sizeof value);
    return value == value ? value : canonical_nan();
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof bits);
  const float value = decode(scalar_type_of(type).value_or(dtype), bits);
  return value == value ? value : canonical_nan();
}

/// Whether all elements of `bytes` have the bits of `first`.
bool all_like(std::span<const std::byte> bytes, std::span<const std::byte> first) {
  return bytes.size() < first.size() ||
         (std::memcmp(bytes.data(), first.data(), first.size()) == 0 &&
          std::memcmp(bytes.data(), bytes.data() + first.size(), bytes.size() - first.size()) == 0);
}

}  // namespace

void note_mismatch(TensorComparison& c, std::int64_t at, float expected, float found) {
  if (!c.first) {
    c.first = at;
    c.expected = expected;
    c.found = found;
  }
  ++c.mismatched;
  ++c.bits_differ;
  if (!std::isfinite(found) && std::isfinite(expected)) {
    ++c.not_finite;
    return;
  }
  const double absolute = std::fabs(static_cast<double>(found) - static_cast<double>(expected));
  if (absolute > c.greatest_absolute) {
    c.greatest_absolute = absolute;
    c.at_absolute = at;
  }
  const double relative = absolute / std::fabs(static_cast<double>(expected));
  if (expected != 0 && relative > c.greatest_relative) {
    c.greatest_relative = relative;
    c.at_relative = at;
  }
}

Result<TensorComparison> compare_tensor(const CandidateTensor& candidate,
                                        const SafetensorsFile& golden, const TensorEntry& expected,
                                        ScalarType dtype) {
  TensorComparison comparison{.tensor = candidate.name,
                              .tp_rank = candidate.tp_rank,
                              .shape = candidate.shape,
                              .elements = 0};
  const std::int64_t bytes = expected.bytes;
  const std::int64_t size = bits_of(expected.type) / 8;
  comparison.elements = bytes / size;
  comparison.constant = comparison.elements > 1;
  std::vector<std::byte> found(static_cast<std::size_t>(std::min(bytes, kBlockBytes)));
  std::vector<std::byte> due(found.size());
  std::array<std::byte, 4> first{};
  for (std::int64_t at = 0; at < bytes; at += kBlockBytes) {
    const auto some = static_cast<std::size_t>(std::min(kBlockBytes, bytes - at));
    const auto here = std::span(found).first(some);
    const auto there = std::span(due).first(some);
    if (auto read = candidate.file->read(candidate.begin + at, here); !read) {
      return fail(read.error());
    }
    if (auto read = golden.read(expected, at, there); !read) {
      return fail(read.error());
    }
    if (at == 0) {
      std::copy_n(here.begin(), size, first.begin());
    }
    comparison.constant = comparison.constant &&
                          all_like(here, std::span(first).first(static_cast<std::size_t>(size)));
    if (std::memcmp(here.data(), there.data(), some) == 0) {
      continue;
    }
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(some); i += size) {
      const float want = value_of(there.data() + i, expected.type, dtype);
      const float have = value_of(here.data() + i, candidate.type, dtype);
      if (!same_bits(want, have)) {
        const std::int64_t element = (at + i) / size;
        note_mismatch(comparison, element, want, have);
      }
    }
  }
  comparison.constant_value = value_of(first.data(), candidate.type, dtype);
  return comparison;
}

}  // namespace tplora::core
