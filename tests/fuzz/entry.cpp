// libFuzzer's entry to the target that the build names (TPLORA_FUZZ_TARGET).
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  tplora::fuzz::TPLORA_FUZZ_TARGET({reinterpret_cast<const char*>(bytes), count});
  return 0;
}
