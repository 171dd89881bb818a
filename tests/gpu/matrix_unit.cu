// The bare matrix unit: y[t][n] = c[t][n] + sum of x[t][k] * w[n][k], done by nothing but one PTX
// instruction per group of k, in ascending k, its result the accumulator of the next. No arithmetic
// of ours takes part, so what comes out is the hardware's. Built by matrix_unit.py: nvcc -shared
// -gencode=arch=compute_90a,code=sm_90a (wgmma exists under no other target).
//
// Every shape used here takes 32 bytes of k from each row, whatever the type (16 x 16 bits, 8 x 32,
// 32 x 8), and in 4-byte words all the fragments of mma.sync look the same. So rows are read as
// words, and the type is only in the instruction's name.
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

namespace {

struct Problem {
  const std::uint32_t* x;  // [tokens, row_words]
  const std::uint32_t* w;  // [columns, row_words]
  const void* c;           // [tokens, columns] of 4 or 2 bytes, or nullptr for +0
  void* y;                 // as c
  int tokens, columns, row_words;
};

// ---- the instructions ----
// A thread holds four results e[0..3], as patterns; an fp16 accumulator packs two into one
// register.

#define PACKED(e, d) std::uint32_t d[2] = {(e)[0] | (e)[1] << 16, (e)[2] | (e)[3] << 16}
#define UNPACK(d, e) \
  (e)[0] = (d)[0] & 0xffff, (e)[1] = (d)[0] >> 16, (e)[2] = (d)[1] & 0xffff, (e)[3] = (d)[1] >> 16
#define FLOATS(e, d)                                                                       \
  float d[4] = {__uint_as_float((e)[0]), __uint_as_float((e)[1]), __uint_as_float((e)[2]), \
                __uint_as_float((e)[3])}
#define PATTERNS(d, e) \
  for (int i = 0; i < 4; ++i) (e)[i] = __float_as_uint((d)[i])

// 32 bytes of k: A in four words, B in two.
#define MMA_FP32(NAME, SHAPE)                                                           \
  struct NAME {                                                                         \
    static constexpr int kWords = 8;                                                    \
    static constexpr int kResultBytes = 4;                                              \
    static __device__ void run(std::uint32_t (&e)[4], const std::uint32_t (&a)[4],      \
                               const std::uint32_t (&b)[2]) {                           \
      FLOATS(e, d);                                                                     \
      asm volatile("mma.sync.aligned." SHAPE                                            \
                   " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"             \
                   : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                     \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])); \
      PATTERNS(d, e);                                                                   \
    }                                                                                   \
  }
MMA_FP32(MmaBf16, "m16n8k16.row.col.f32.bf16.bf16.f32");
MMA_FP32(MmaFp16, "m16n8k16.row.col.f32.f16.f16.f32");
MMA_FP32(MmaTf32, "m16n8k8.row.col.f32.tf32.tf32.f32");
MMA_FP32(MmaE4m3, "m16n8k32.row.col.f32.e4m3.e4m3.f32");
MMA_FP32(MmaE5m2, "m16n8k32.row.col.f32.e5m2.e5m2.f32");

// 16 bytes of k: A in two words, B in one.
#define MMA_FP32_HALF_DEPTH(NAME, SHAPE)                                                     \
  struct NAME {                                                                              \
    static constexpr int kWords = 4;                                                         \
    static constexpr int kResultBytes = 4;                                                   \
    static __device__ void run(std::uint32_t (&e)[4], const std::uint32_t (&a)[4],           \
                               const std::uint32_t (&b)[2]) {                                \
      FLOATS(e, d);                                                                          \
      asm volatile("mma.sync.aligned." SHAPE " {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};" \
                   : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                          \
                   : "r"(a[0]), "r"(a[1]), "r"(b[0]));                                       \
      PATTERNS(d, e);                                                                        \
    }                                                                                        \
  }
MMA_FP32_HALF_DEPTH(MmaBf16K8, "m16n8k8.row.col.f32.bf16.bf16.f32");
MMA_FP32_HALF_DEPTH(MmaFp16K8, "m16n8k8.row.col.f32.f16.f16.f32");

struct MmaFp16ToFp16 {
  static constexpr int kWords = 8;
  static constexpr int kResultBytes = 2;
  static __device__ void run(std::uint32_t (&e)[4], const std::uint32_t (&a)[4],
                             const std::uint32_t (&b)[2]) {
    PACKED(e, d);
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, "
        "{%0,%1};"
        : "+r"(d[0]), "+r"(d[1])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    UNPACK(d, e);
  }
};

// The asynchronous instructions are waited for one by one: slow, and the same arithmetic. The
// operands' scale is 1, and scale-d (the predicate) is 1: the accumulator takes part. The 16-bit
// shapes also say that neither operand is transposed.
#define WGMMA_BEGIN \
  "{ .reg .pred p; setp.ne.b32 p, 1, 0; wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned."
#define WGMMA_END "; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; }"

#define WGMMA_FP32(NAME, SHAPE, TRANSPOSED)                                                 \
  struct NAME {                                                                             \
    static constexpr int kResultBytes = 4;                                                  \
    static __device__ void run(std::uint32_t (&e)[4], std::uint64_t a, std::uint64_t b) {   \
      FLOATS(e, d);                                                                         \
      asm volatile(WGMMA_BEGIN SHAPE " {%0,%1,%2,%3}, %4, %5, p, 1, 1" TRANSPOSED WGMMA_END \
                   : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                         \
                   : "l"(a), "l"(b)                                                         \
                   : "memory");                                                             \
      PATTERNS(d, e);                                                                       \
    }                                                                                       \
  }
WGMMA_FP32(WgmmaBf16, "m64n8k16.f32.bf16.bf16", ", 0, 0");
WGMMA_FP32(WgmmaFp16, "m64n8k16.f32.f16.f16", ", 0, 0");
WGMMA_FP32(WgmmaTf32, "m64n8k8.f32.tf32.tf32", "");
WGMMA_FP32(WgmmaE4m3, "m64n8k32.f32.e4m3.e4m3", "");
WGMMA_FP32(WgmmaE5m2, "m64n8k32.f32.e5m2.e5m2", "");

#define WGMMA_FP16(NAME, SHAPE, TRANSPOSED)                                               \
  struct NAME {                                                                           \
    static constexpr int kResultBytes = 2;                                                \
    static __device__ void run(std::uint32_t (&e)[4], std::uint64_t a, std::uint64_t b) { \
      PACKED(e, d);                                                                       \
      asm volatile(WGMMA_BEGIN SHAPE " {%0,%1}, %2, %3, p, 1, 1" TRANSPOSED WGMMA_END     \
                   : "+r"(d[0]), "+r"(d[1])                                               \
                   : "l"(a), "l"(b)                                                       \
                   : "memory");                                                           \
      UNPACK(d, e);                                                                       \
    }                                                                                     \
  }
WGMMA_FP16(WgmmaFp16ToFp16, "m64n8k16.f16.f16.f16", ", 0, 0");
WGMMA_FP16(WgmmaE4m3ToFp16, "m64n8k32.f16.e4m3.e4m3", "");
WGMMA_FP16(WgmmaE5m2ToFp16, "m64n8k32.f16.e5m2.e5m2", "");

// ---- the loops around them ----
// Lane l of a warp holds the results (row l/4, columns 2*(l%4) and +1) and the same 8 rows below,
// for mma.sync and wgmma alike.

template <int kBytes>
__device__ std::uint32_t load_result(const void* from, std::int64_t at) {
  if constexpr (kBytes == 4) return static_cast<const std::uint32_t*>(from)[at];
  return static_cast<const std::uint16_t*>(from)[at];
}

template <int kBytes>
__device__ void store_result(void* to, std::int64_t at, std::uint32_t pattern) {
  if constexpr (kBytes == 4)
    static_cast<std::uint32_t*>(to)[at] = pattern;
  else
    static_cast<std::uint16_t*>(to)[at] = static_cast<std::uint16_t>(pattern);
}

// Whether this thread's result i lies in the problem, and where; `row` and `column` are those of
// its result 0.
__device__ bool place(const Problem& p, int row, int column, int i, std::int64_t& at) {
  const int t = row + 8 * (i / 2), n = column + i % 2;
  at = static_cast<std::int64_t>(t) * p.columns + n;
  return t < p.tokens && n < p.columns;
}

template <int kBytes>
__device__ void load_accumulators(const Problem& p, int row, int column, std::uint32_t (&e)[4]) {
  std::int64_t at = 0;
  for (int i = 0; i < 4; ++i)
    e[i] = p.c != nullptr && place(p, row, column, i, at) ? load_result<kBytes>(p.c, at) : 0;
}

template <int kBytes>
__device__ void store_accumulators(const Problem& p, int row, int column,
                                   const std::uint32_t (&e)[4]) {
  std::int64_t at = 0;
  for (int i = 0; i < 4; ++i)
    if (place(p, row, column, i, at)) store_result<kBytes>(p.y, at, e[i]);
}

// A word of a row; rows beyond the last are zero.
__device__ std::uint32_t word(const std::uint32_t* rows, int count, int row, int row_words,
                              int at) {
  return row < count ? rows[static_cast<std::int64_t>(row) * row_words + at] : 0;
}

// One warp makes a tile of 16 x 8 results.
template <class Op>
__global__ void mma_loop(Problem p) {
  const int row = blockIdx.x * 16 + threadIdx.x / 4, column = blockIdx.y * 8,
            quad = threadIdx.x % 4;
  std::uint32_t e[4];
  load_accumulators<Op::kResultBytes>(p, row, column + 2 * quad, e);
  for (int at = quad; at < p.row_words; at += Op::kWords) {
    std::uint32_t a[4] = {}, b[2] = {};
    for (int i = 0; i < Op::kWords / 2; ++i)
      a[i] = word(p.x, p.tokens, row + 8 * (i % 2), p.row_words, at + 4 * (i / 2));
    for (int i = 0; i < Op::kWords / 4; ++i)
      b[i] =
          word(p.w, p.columns, column + static_cast<int>(threadIdx.x) / 4, p.row_words, at + 4 * i);
    Op::run(e, a, b);
  }
  store_accumulators<Op::kResultBytes>(p, row, column + 2 * quad, e);
}

// Shared memory as wgmma reads it without swizzle: core matrices of 8 rows x 16 bytes, each 128
// bytes in one piece. The two of one 8-row band lie side by side (128 bytes apart), bands follow
// each other (256 bytes apart).
__device__ int core_word(int row, int at) {
  return row / 8 * 64 + at / 4 * 32 + row % 8 * 4 + at % 4;
}

__device__ std::uint64_t descriptor(const std::uint32_t* tile) {
  const std::uint64_t address = __cvta_generic_to_shared(tile);
  return (address & 0x3ffff) >> 4 | std::uint64_t{128 >> 4} << 16 | std::uint64_t{256 >> 4} << 32;
}

// Four warps make a tile of 64 x 8 results.
template <class Op>
__global__ void wgmma_loop(Problem p) {
  __shared__ alignas(128) std::uint32_t x_tile[64 * 8];
  __shared__ alignas(128) std::uint32_t w_tile[8 * 8];
  const int thread = threadIdx.x, lane = thread % 32, first_row = blockIdx.x * 64,
            first_column = blockIdx.y * 8;
  const int row = first_row + thread / 32 * 16 + lane / 4, column = first_column + 2 * (lane % 4);
  std::uint32_t e[4];
  load_accumulators<Op::kResultBytes>(p, row, column, e);
  for (int step = 0; step < p.row_words; step += 8) {
    for (int i = thread; i < 64 * 8; i += 128)
      x_tile[core_word(i / 8, i % 8)] =
          word(p.x, p.tokens, first_row + i / 8, p.row_words, step + i % 8);
    for (int i = thread; i < 8 * 8; i += 128)
      w_tile[core_word(i / 8, i % 8)] =
          word(p.w, p.columns, first_column + i / 8, p.row_words, step + i % 8);
    asm volatile("fence.proxy.async.shared::cta;" ::
                     : "memory");  // the unit reads past the ordinary path
    __syncthreads();
    Op::run(e, descriptor(x_tile), descriptor(w_tile));
    __syncthreads();
  }
  store_accumulators<Op::kResultBytes>(p, row, column, e);
}

// ---- the host's side ----

using Launch = void (*)(const Problem&);

template <class Op>
void launch_mma(const Problem& p) {
  mma_loop<Op><<<dim3((p.tokens + 15) / 16, (p.columns + 7) / 8), 32>>>(p);
}
template <class Op>
void launch_wgmma(const Problem& p) {
  wgmma_loop<Op><<<dim3((p.tokens + 63) / 64, (p.columns + 7) / 8), 128>>>(p);
}

struct Instruction {
  const char* name;
  Launch launch;
  int result_bytes, step_words;
};
template <class Op>
constexpr Instruction mma(const char* name) {
  return {name, launch_mma<Op>, Op::kResultBytes, Op::kWords};
}
template <class Op>
constexpr Instruction wgmma(const char* name) {
  return {name, launch_wgmma<Op>, Op::kResultBytes, 8};
}

const Instruction kInstructions[] = {
    mma<MmaBf16>("mma.sync.m16n8k16.f32.bf16.bf16.f32"),
    mma<MmaFp16>("mma.sync.m16n8k16.f32.f16.f16.f32"),
    mma<MmaTf32>("mma.sync.m16n8k8.f32.tf32.tf32.f32"),
    mma<MmaE4m3>("mma.sync.m16n8k32.f32.e4m3.e4m3.f32"),
    mma<MmaE5m2>("mma.sync.m16n8k32.f32.e5m2.e5m2.f32"),
    mma<MmaBf16K8>("mma.sync.m16n8k8.f32.bf16.bf16.f32"),
    mma<MmaFp16K8>("mma.sync.m16n8k8.f32.f16.f16.f32"),
    mma<MmaFp16ToFp16>("mma.sync.m16n8k16.f16.f16.f16.f16"),
    wgmma<WgmmaBf16>("wgmma.m64n8k16.f32.bf16.bf16"),
    wgmma<WgmmaFp16>("wgmma.m64n8k16.f32.f16.f16"),
    wgmma<WgmmaTf32>("wgmma.m64n8k8.f32.tf32.tf32"),
    wgmma<WgmmaE4m3>("wgmma.m64n8k32.f32.e4m3.e4m3"),
    wgmma<WgmmaE5m2>("wgmma.m64n8k32.f32.e5m2.e5m2"),
    wgmma<WgmmaFp16ToFp16>("wgmma.m64n8k16.f16.f16.f16"),
    wgmma<WgmmaE4m3ToFp16>("wgmma.m64n8k32.f16.e4m3.e4m3"),
    wgmma<WgmmaE5m2ToFp16>("wgmma.m64n8k32.f16.e5m2.e5m2"),
};

char error[256] = "";

int fail(const char* what, const char* detail) {
  std::snprintf(error, sizeof error, "%s: %s", what, detail);
  return 1;
}

// A host array's copy on the device, freed with it.
class DeviceCopy {
 public:
  DeviceCopy(const void* from, std::size_t bytes) {
    if (cudaMalloc(&data_, bytes) != cudaSuccess) data_ = nullptr;
    if (data_ != nullptr && from != nullptr) cudaMemcpy(data_, from, bytes, cudaMemcpyHostToDevice);
  }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;
  ~DeviceCopy() { cudaFree(data_); }
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

}  // namespace

extern "C" const char* matrix_unit_error() {
  return error;
}

/// Runs `name` over host arrays (`c` may be null); 0, or 1 and a sentence in matrix_unit_error().
extern "C" int matrix_unit(const char* name, const void* x, const void* w, const void* c, void* y,
                           int tokens, int columns, int row_words) {
  const Instruction* instruction = nullptr;
  for (const Instruction& one : kInstructions)
    if (std::strcmp(one.name, name) == 0) instruction = &one;
  if (instruction == nullptr) return fail("no such instruction", name);
  if (row_words % instruction->step_words != 0)
    return fail("K is no multiple of the instruction's", name);
  const std::size_t row_bytes = std::size_t{4} * row_words;
  const std::size_t result_bytes =
      static_cast<std::size_t>(tokens) * columns * instruction->result_bytes;
  const DeviceCopy dx(x, tokens * row_bytes), dw(w, columns * row_bytes), dc(c, result_bytes),
      dy(nullptr, result_bytes);
  instruction->launch({static_cast<const std::uint32_t*>(dx.data()),
                       static_cast<const std::uint32_t*>(dw.data()),
                       c == nullptr ? nullptr : dc.data(), dy.data(), tokens, columns, row_words});
  cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess) status = cudaDeviceSynchronize();
  if (status == cudaSuccess)
    status = cudaMemcpy(y, dy.data(), result_bytes, cudaMemcpyDeviceToHost);
  return status == cudaSuccess ? 0 : fail("CUDA", cudaGetErrorString(status));
}
