#include "verify/safetensors/input_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "sim/base/sha256.hpp"

namespace tplora::core {

Result<InputFile> InputFile::open(const std::filesystem::path& file) {
  const auto failed = [&] {
    return fail("cannot be read: " + std::generic_category().message(errno), file.string());
  };
  // Not blocking: a pipe without a writer would hang before it can be refused.
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return failed();
  }
  struct stat about {};
  const bool known = ::fstat(descriptor, &about) == 0;
  InputFile opened(file, descriptor, known ? static_cast<std::int64_t>(about.st_size) : 0);
  if (!known) {
    return failed();
  }
  if (!S_ISREG(about.st_mode)) {
    return fail("is no regular file", file.string());
  }
  return opened;
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

Result<void> InputFile::read(std::int64_t begin, std::span<std::byte> into) const {
  while (!into.empty()) {
    const ssize_t some = ::pread(descriptor_, into.data(), into.size(), begin);
    if (some < 0 && errno != EINTR) {
      return fail("cannot be read: " + std::generic_category().message(errno), path_.string());
    }
    if (some == 0) {
      return fail(
          fmt::format("ends at byte {}, expected {} bytes: it was cut off while it was read", begin,
                      size_),
          path_.string());
    }
    begin += std::max<ssize_t>(some, 0);
    into = into.subspan(static_cast<std::size_t>(std::max<ssize_t>(some, 0)));
  }
  return {};
}

Result<std::string> sha256_of_file(const InputFile& file) {
  Sha256 digest;
  std::vector<std::byte> block(std::size_t{1} << 20);
  for (std::int64_t at = 0; at < file.size();) {
    const std::int64_t some = std::min(file.size() - at, static_cast<std::int64_t>(block.size()));
    const std::span<std::byte> here(block.data(), static_cast<std::size_t>(some));
    if (auto read = file.read(at, here); !read) {
      return fail(read.error());
    }
    digest.add(here);
    at += some;
  }
  return digest.hex();
}

}  // namespace tplora::core
