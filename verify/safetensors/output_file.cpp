#include "verify/safetensors/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "sim/base/printable.hpp"

namespace tplora::core {

tl::unexpected<Error> output_error(const std::filesystem::path& file, const char* what, int code) {
  Error error{fmt::format("{}: {}", what, std::generic_category().message(code)), file.string()};
  error.is_output = true;
  return fail(std::move(error));
}

tl::unexpected<Error> OutputFile::failed(const char* what, int code) const {
  return output_error(file_, what, code);
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& file) {
  std::filesystem::path temporary = file;
  temporary += fmt::format(".{}.tmp", ::getpid());
  const int descriptor =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);  // umask applies
  if (descriptor < 0) {
    return output_error(file, "cannot be created", errno);
  }
  return OutputFile(file, std::move(temporary), descriptor);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : file_(std::move(other.file_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_),
      digest_(std::move(other.digest_)) {}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  digest_.add(bytes);
  bytes_ += static_cast<std::int64_t>(bytes.size());
  while (!bytes.empty()) {
    const ssize_t some = ::write(descriptor_, bytes.data(), bytes.size());
    if (some < 0 && errno != EINTR) {
      return failed("cannot be written", errno);
    }
    bytes = bytes.subspan(some < 0 ? 0 : static_cast<std::size_t>(some));
  }
  return {};
}

Result<WrittenFile> OutputFile::finish() {
  if (::fsync(descriptor_) != 0) {
    return failed("cannot be brought to the disk", errno);
  }
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    return failed("cannot be closed", code);
  }
  if (::rename(temporary_.c_str(), file_.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    return failed("cannot be given its name", code);
  }
  return WrittenFile{bytes_, digest_.hex()};
}

Result<WrittenFile> write_text_file(const std::filesystem::path& file, const std::string& text) {
  auto out = OutputFile::create(file);
  if (!out) {
    return fail(out.error());
  }
  if (auto written = out->write(std::as_bytes(std::span(text))); !written) {
    return fail(written.error());
  }
  return out->finish();
}

}  // namespace tplora::core
