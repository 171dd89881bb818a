// One rank's QKV + LoRA forward in CUDA C++ with mma.sync, and the CPU oracle's bits beside it.
//
//   nvcc -std=c++17 -O2 -gencode=arch=compute_90,code=sm_90 examples/cuda/qkv_lora.cu -o
//   build/qkv_lora_cuda
//   build/tplora golden "CASE LINE" --out golden --only inputs,ranks
//   build/qkv_lora_cuda golden candidate && build/tplora check golden candidate
//
// `tplora golden` writes x, every rank's shard of the weight, and the adapters in their slots; this
// program writes each rank's y, and `tplora check` judges it. The kernels are written to be read,
// not to be fast: one warp makes a tile of 16 x 8 results straight from global memory. With
// accumulator=tensor_core:hopper every bit must agree on a Hopper GPU; with data=integers on any
// GPU that has the instruction. Exit code 0: all is written; 2: something is missing.
//
// The rounding program is `sglang_triton` (docs/numerics.md):
//   y = rnd(x W + bias),  u = rnd(x A),  d = rnd(scaling * (u B)),  y = rnd(y + d)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "json.hpp"
#include "tensors.hpp"

namespace {

using Pattern = std::uint16_t;  // a bf16 or fp16 value as bits
constexpr int kTileTokens = 16;
constexpr int kParts = 3;

// ---- the two 16-bit types: rounding to nearest even, reading back, and their instruction ----

struct Bf16 {
  static __device__ Pattern round(float value) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(value));
  }
  static __device__ float value(Pattern bits) {
    return __bfloat162float(__ushort_as_bfloat16(bits));
  }
  static __device__ void multiply_add(float (&d)[4], const std::uint32_t (&a)[4],
                                      const std::uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

struct Fp16 {
  static __device__ Pattern round(float value) { return __half_as_ushort(__float2half_rn(value)); }
  static __device__ float value(Pattern bits) { return __half2float(__ushort_as_half(bits)); }
  static __device__ void multiply_add(float (&d)[4], const std::uint32_t (&a)[4],
                                      const std::uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

// ---- a tile of dot products ----

// A row of patterns, or zeros in its place, which change no sum. The pointer is good in any case:
// were lanes to go different ways where a row is missing, a compiler might make two loops of one,
// and the instruction below, which a whole warp executes together, would wait for ever.
struct Row {
  const Pattern* at;
  bool is_there;
};

// Elements k and k+1 of a row as one register; what lies past its end is zero.
__device__ std::uint32_t pair(const Row& row, int k, int depth) {
  const std::uint32_t first = k < depth ? row.at[k] : 0;
  const std::uint32_t second = k + 1 < depth ? row.at[k + 1] : 0;
  return row.is_there ? first | second << 16 : 0;
}

// d[0], d[1]: row `upper` of A against columns 2q, 2q+1 of the tile, q = lane % 4; d[2], d[3]: row
// `lower` against the same. This lane brings, of A, its row lane/4 and the one 8 below it; of B,
// its column lane/4. K ascends in steps of 16, each step's result the next one's accumulator: that
// order, and nothing else about the tile, is in the bits.
template <class T>
__device__ void dot_tile(const Row& upper, const Row& lower, const Row& column, int depth,
                         float (&d)[4]) {
  const int q = static_cast<int>(threadIdx.x) % 4;
  for (int step = 0; step < depth; step += 16) {
    const int k = step + 2 * q;
    const std::uint32_t a[4] = {pair(upper, k, depth), pair(lower, k, depth),
                                pair(upper, k + 8, depth), pair(lower, k + 8, depth)};
    const std::uint32_t b[2] = {pair(column, k, depth), pair(column, k + 8, depth)};
    __syncwarp();
    T::multiply_add(d, a, b);
  }
}

// ---- the forward ----

struct Layer {
  const Pattern *x, *weight, *bias;  // [tokens, hidden], [width, hidden], [width] or nullptr
  Pattern* y;                        // [tokens, width]
  int tokens, hidden, width;
};

// Slots in flat memory, one for each adapter; a tile is up to 16 tokens of one adapter, -1 where it
// has fewer.
struct Lora {
  const Pattern *a_pool, *b_pool;  // [slots, 3, R, hidden], [slots, width, R]
  Pattern* u;                      // [tokens, 3, R]
  const int *tile_tokens, *tile_slot, *lora_rank_of, *part_starts;
  const float* scaling_of;
  int R;
};

__device__ Row row_of(const Pattern* rows, std::int64_t number, bool is_there, int length) {
  return {rows + (is_there ? number : 0) * length, is_there};
}

template <class T>
__global__ void base_kernel(Layer layer) {
  const int lane = threadIdx.x, n = blockIdx.y * 8;
  const int token[2] = {static_cast<int>(blockIdx.x) * kTileTokens + lane / 4,
                        static_cast<int>(blockIdx.x) * kTileTokens + lane / 4 + 8};
  Row row[2];
  for (int i = 0; i < 2; ++i)
    row[i] = row_of(layer.x, token[i], token[i] < layer.tokens, layer.hidden);
  const int mine = n + lane / 4;
  float d[4] = {};
  dot_tile<T>(row[0], row[1], row_of(layer.weight, mine, mine < layer.width, layer.hidden),
              layer.hidden, d);
  for (int i = 0; i < 4; ++i) {
    const int t = token[i / 2], c = n + 2 * (lane % 4) + i % 2;
    if (t >= layer.tokens || c >= layer.width) continue;
    const float sum = layer.bias != nullptr ? __fadd_rn(d[i], T::value(layer.bias[c])) : d[i];
    layer.y[static_cast<std::int64_t>(t) * layer.width + c] = T::round(sum);
  }
}

template <class T>
__global__ void shrink_kernel(Layer layer, Lora lora) {
  const int lane = threadIdx.x, tile = blockIdx.x, part = blockIdx.z, j = blockIdx.y * 8;
  const int slot = lora.tile_slot[tile], lora_rank = lora.lora_rank_of[slot];
  const int token[2] = {lora.tile_tokens[tile * kTileTokens + lane / 4],
                        lora.tile_tokens[tile * kTileTokens + lane / 4 + 8]};
  Row row[2];
  for (int i = 0; i < 2; ++i) row[i] = row_of(layer.x, token[i], token[i] >= 0, layer.hidden);
  const int mine = j + lane / 4;
  const std::int64_t first_row = (static_cast<std::int64_t>(slot) * kParts + part) * lora.R;
  float d[4] = {};
  dot_tile<T>(row[0], row[1], row_of(lora.a_pool, first_row + mine, mine < lora_rank, layer.hidden),
              layer.hidden, d);
  for (int i = 0; i < 4; ++i) {
    const int t = token[i / 2], c = j + 2 * (lane % 4) + i % 2;
    if (t >= 0 && c < lora_rank)
      lora.u[(static_cast<std::int64_t>(t) * kParts + part) * lora.R + c] = T::round(d[i]);
  }
}

template <class T>
__global__ void expand_kernel(Layer layer, Lora lora) {
  const int lane = threadIdx.x, tile = blockIdx.x, part = blockIdx.z;
  const int slot = lora.tile_slot[tile], lora_rank = lora.lora_rank_of[slot];
  const int n = lora.part_starts[part] + blockIdx.y * 8, end = lora.part_starts[part + 1];
  const int token[2] = {lora.tile_tokens[tile * kTileTokens + lane / 4],
                        lora.tile_tokens[tile * kTileTokens + lane / 4 + 8]};
  Row row[2];
  for (int i = 0; i < 2; ++i)
    row[i] =
        row_of(lora.u, static_cast<std::int64_t>(token[i]) * kParts + part, token[i] >= 0, lora.R);
  const int mine = n + lane / 4;
  float d[4] = {};
  dot_tile<T>(
      row[0], row[1],
      row_of(lora.b_pool, static_cast<std::int64_t>(slot) * layer.width + mine, mine < end, lora.R),
      lora_rank, d);
  for (int i = 0; i < 4; ++i) {
    const int t = token[i / 2], c = n + 2 * (lane % 4) + i % 2;
    if (t < 0 || c >= end) continue;
    Pattern& y = layer.y[static_cast<std::int64_t>(t) * layer.width + c];
    const float delta = T::value(T::round(__fmul_rn(d[i], lora.scaling_of[slot])));
    y = T::round(__fadd_rn(T::value(y), delta));
  }
}

// ---- host: files and memory ----

void check(cudaError_t status) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

template <class Element>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<Element>& from) : size_(from.size()) {
    if (size_ == 0) return;
    check(cudaMalloc(&data_, size_ * sizeof(Element)));
    check(cudaMemcpy(data_, from.data(), size_ * sizeof(Element), cudaMemcpyHostToDevice));
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data_); }
  Element* data() const { return data_; }
  std::vector<Element> back() const {
    std::vector<Element> to(size_);
    check(cudaMemcpy(to.data(), data_, size_ * sizeof(Element), cudaMemcpyDeviceToHost));
    return to;
  }

 private:
  Element* data_ = nullptr;
  std::size_t size_ = 0;
};

// What the host prepares for the LoRA kernels.
struct Slots {
  std::vector<Pattern> a_pool, b_pool;
  std::vector<int> tile_tokens, tile_slot, lora_rank_of, part_starts{0};
  std::vector<float> scaling_of;
  int R = 8, widest_part = 0;
};

// Tokens of one slot side by side, 16 to a tile; tokens without adapter are in no tile.
void fill_tiles(const std::vector<int>& slot_of_token, int slot_count, Slots& slots) {
  for (int slot = 0; slot < slot_count; ++slot) {
    int used = 0;
    for (int token = 0; token < static_cast<int>(slot_of_token.size()); ++token) {
      if (slot_of_token[token] != slot) continue;
      if (used % kTileTokens == 0) {
        slots.tile_slot.push_back(slot);
        slots.tile_tokens.resize(slots.tile_slot.size() * kTileTokens, -1);
      }
      slots.tile_tokens[(slots.tile_slot.size() - 1) * kTileTokens + used++ % kTileTokens] = token;
    }
  }
}

// Flat pools, as the golden has them: rows of a part that an adapter does not target are zero, and
// so are columns from its lora_rank on.
Slots load_slots(const TensorFile& mine, const json::Value& manifest, const json::Value& rank,
                 const std::vector<int>& slot_of_token, int hidden, int width) {
  Slots slots;
  const int count = manifest["slots"].integer();
  slots.R = manifest["max_lora_rank"].integer();
  slots.lora_rank_of.resize(count);
  slots.scaling_of.resize(count);
  for (const json::Value& adapter : manifest["adapters"].items) {
    if (adapter["slot"].text == "null" || adapter["parts"].fields.empty()) continue;
    // These kernels take one lora_rank and one scaling for all parts.
    const json::Value& part = adapter["parts"].fields.begin()->second;
    slots.lora_rank_of[adapter["slot"].integer()] = part["lora_rank"].integer();
    slots.scaling_of[adapter["slot"].integer()] = static_cast<float>(part["scaling"].number);
  }
  for (const json::Value& part : rank["columns"].items) {
    slots.part_starts.push_back(slots.part_starts.back() + part["rows"].integer());
    slots.widest_part = std::max(slots.widest_part, part["rows"].integer());
  }
  const std::size_t rows = static_cast<std::size_t>(slots.R) * hidden;
  slots.a_pool.resize(count * kParts * rows);
  for (int part = 0; part < kParts; ++part) {
    const auto a =
        mine.read<Pattern>("lora_a." + rank["columns"].items[part]["part"].text, count * rows);
    for (int slot = 0; slot < count; ++slot)
      std::copy_n(a.begin() + static_cast<std::ptrdiff_t>(slot * rows), rows,
                  slots.a_pool.begin() + (slot * kParts + part) * rows);
  }
  slots.b_pool = mine.read<Pattern>("lora_b", static_cast<std::size_t>(count) * width * slots.R);
  fill_tiles(slot_of_token, count, slots);
  return slots;
}

// ---- one rank ----

template <class T>
std::vector<Pattern> forward(const std::string& folder, const json::Value& manifest,
                             const json::Value& rank) {
  const int tokens = static_cast<int>(manifest["tokens"].items.size());
  const int hidden = manifest["geometry"]["hidden_size"].integer(), width = rank["width"].integer();
  const TensorFile inputs(folder + "/inputs.safetensors");
  const TensorFile mine(folder + "/" + rank["file"].text);
  const OnDevice<Pattern> x(inputs.read<Pattern>("x", static_cast<std::size_t>(tokens) * hidden));
  const OnDevice<Pattern> weight(
      mine.read<Pattern>("weight", static_cast<std::size_t>(width) * hidden));
  const OnDevice<Pattern> bias(mine.has("bias") ? mine.read<Pattern>("bias", width)
                                                : std::vector<Pattern>{});
  const OnDevice<Pattern> y(std::vector<Pattern>(static_cast<std::size_t>(tokens) * width));
  const Layer layer{x.data(), weight.data(), bias.data(), y.data(), tokens, hidden, width};
  base_kernel<T><<<dim3((tokens + 15) / 16, (width + 7) / 8), 32>>>(layer);

  const Slots slots =
      load_slots(mine, manifest, rank, inputs.read<int>("slot_of_token", tokens), hidden, width);
  const int tiles = static_cast<int>(slots.tile_slot.size());
  const OnDevice<Pattern> a_pool(slots.a_pool), b_pool(slots.b_pool);
  const OnDevice<Pattern> u(
      std::vector<Pattern>(static_cast<std::size_t>(tokens) * kParts * slots.R));
  const OnDevice<int> tile_tokens(slots.tile_tokens), tile_slot(slots.tile_slot),
      lora_rank_of(slots.lora_rank_of), part_starts(slots.part_starts);
  const OnDevice<float> scaling_of(slots.scaling_of);
  const Lora lora{a_pool.data(),      b_pool.data(),     u.data(),
                  tile_tokens.data(), tile_slot.data(),  lora_rank_of.data(),
                  part_starts.data(), scaling_of.data(), slots.R};
  if (tiles > 0) {
    shrink_kernel<T><<<dim3(tiles, slots.R / 8, kParts), 32>>>(layer, lora);
    expand_kernel<T><<<dim3(tiles, (slots.widest_part + 7) / 8, kParts), 32>>>(layer, lora);
  }
  check(cudaGetLastError());
  check(cudaDeviceSynchronize());
  return y.back();
}

int run(const std::string& golden, const std::string& candidate) {
  const std::string text = read_text(golden + "/manifest.json");
  const json::Value manifest = json::Reader(text).read();
  const std::string dtype = manifest["dtype"].text, program = manifest["program"].text;
  if (dtype != "bf16" && dtype != "fp16")
    throw std::runtime_error("dtype " + dtype + " is not bf16 or fp16, which these kernels take");
  if (program != "sglang_triton")
    throw std::runtime_error("program " + program +
                             " is not sglang_triton, as which these kernels round");
  std::filesystem::create_directories(candidate);
  for (const json::Value& rank : manifest["ranks"].items) {
    const auto y = dtype == "bf16" ? forward<Bf16>(golden, manifest, rank)
                                   : forward<Fp16>(golden, manifest, rank);
    const std::size_t tokens = manifest["tokens"].items.size();
    write_y(candidate + "/" + rank["file"].text, dtype == "bf16" ? "BF16" : "F16", y, tokens,
            y.size() / tokens);
  }
  std::printf("%zu ranks: %s\n", manifest["ranks"].items.size(), manifest["case"].text.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(
        stderr,
        "usage: %s GOLDEN CANDIDATE, a folder that `tplora golden` wrote and one to write\n",
        argv[0]);
    return 2;
  }
  try {
    return run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
