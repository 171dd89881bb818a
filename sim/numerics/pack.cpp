// Row-major weights into blocks. One source for every SIMD target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/numerics/pack.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "sim/numerics/kernels.hpp"
#include "sim/numerics/weights-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace tplora::core::HWY_NAMESPACE {

void PackBlocks(const WeightRows& source, float* out) {
  with_weights(source.type, [&]<class Weights>(Weights /*reader*/) {
    for (std::int64_t b = 0; b * kPanelRows < source.rows; ++b) {
      pack_block<Weights>(source, b, 0, source.cols, out + b * kPanelRows * source.cols);
    }
  });
}

}  // namespace tplora::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tplora::core {

HWY_EXPORT(PackBlocks);

void pack_blocks(const WeightRows& source, float* out) {
  HWY_DYNAMIC_DISPATCH(PackBlocks)(source, out);
}

}  // namespace tplora::core
#endif
