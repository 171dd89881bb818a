#include "sim/base/sha256.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "sim/base/ensure.hpp"

namespace tplora::core {

struct Sha256::Context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  ensure(context_->digest != nullptr &&
             EVP_DigestInit_ex(context_->digest.get(), EVP_sha256(), nullptr) == 1,
         "the library has SHA-256");
}

Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::byte> bytes) {
  ensure(EVP_DigestUpdate(context_->digest.get(), bytes.data(), bytes.size()) == 1,
         "a digest takes bytes until it is asked for");
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned int size = 0;
  ensure(EVP_DigestFinal_ex(context_->digest.get(), sum.data(), &size) == 1 && size == 32,
         "a digest is asked for once");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += fmt::format("{:02x}", sum[i]);
  }
  return text;
}

std::string sha256_of(const std::string& text) {
  Sha256 digest;
  digest.add(std::as_bytes(std::span(text)));
  return digest.hex();
}

}  // namespace tplora::core
