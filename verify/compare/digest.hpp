// One number for many bits.
#pragma once

#include <bit>
#include <cstdint>

namespace tplora::core {

/// FNV-1a with 64 bits, over little-endian bytes.
class Digest {
 public:
  void add(float value) { add_bytes(std::bit_cast<std::uint32_t>(value), 4); }
  void add_word(std::uint64_t word) { add_bytes(word, 8); }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  void add_bytes(std::uint64_t word, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      hash_ = (hash_ ^ ((word >> (8 * i)) & 0xffU)) * 0x100000001b3ULL;
    }
  }

  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace tplora::core
