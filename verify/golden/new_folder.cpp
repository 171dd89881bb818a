#include "verify/golden/new_folder.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace tplora::core {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> cannot_write(const fs::path& path, const std::error_code& code) {
  Error error{"cannot be written: " + code.message(), path.string()};
  error.is_output = true;
  return fail(std::move(error));
}

}  // namespace

Result<NewFolder> NewFolder::create(const fs::path& folder) {
  std::error_code code;
  if (fs::exists(fs::symlink_status(folder, code))) {
    return fail("--out: it exists already; expected a new folder", folder.string());
  }
  const fs::path named = folder.has_filename() ? folder : folder.parent_path();  // "out/"
  NewFolder made(named, named.string() + fmt::format(".{}.tmp", ::getpid()));
  if (auto folders = make_folders(made.temporary_); !folders) {
    return fail(folders.error());
  }
  return made;
}

NewFolder::~NewFolder() {
  if (!temporary_.empty()) {
    std::error_code ignored;
    fs::remove_all(temporary_, ignored);
  }
}

Result<void> NewFolder::name_it() {
  std::error_code code;
  fs::rename(temporary_, folder_, code);
  if (code) {
    return cannot_write(folder_, code);
  }
  temporary_.clear();
  return {};
}

Result<void> make_folders(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  return code ? Result<void>(cannot_write(folder, code)) : Result<void>();
}

}  // namespace tplora::core
