#include "sim/base/read_log.hpp"

#include <mutex>

#include "sim/base/ensure.hpp"
#include "sim/base/sha256.hpp"

namespace tplora::core {
namespace {

/// What stands while a log does.
struct Noted {
  std::mutex mutex;
  bool wanted = false;
  std::map<std::string, std::string> files;
  std::string changed;  ///< a file with two contents
};

Noted& noted() {
  static Noted all;
  return all;
}

}  // namespace

ReadLog::ReadLog() {
  Noted& all = noted();
  const std::scoped_lock lock(all.mutex);
  ensure(!all.wanted, "one log of files stands at a time");
  all.wanted = true;
  all.files.clear();
  all.changed.clear();
}

ReadLog::~ReadLog() {
  Noted& all = noted();
  const std::scoped_lock lock(all.mutex);
  all.wanted = false;
}

Result<std::map<std::string, std::string>> ReadLog::files() const {
  Noted& all = noted();
  const std::scoped_lock lock(all.mutex);
  if (!all.changed.empty()) {
    return fail("the file changed while the program read it, expected it to stay as it is",
                all.changed);
  }
  return all.files;
}

void note_read(const std::filesystem::path& file, const std::string& text) {
  Noted& all = noted();
  const std::scoped_lock lock(all.mutex);
  if (!all.wanted) {
    return;
  }
  const std::string digest = sha256_of(text);
  const auto [entry, is_new] = all.files.emplace(file.lexically_normal().string(), digest);
  if (!is_new && entry->second != digest) {
    all.changed = entry->first;
  }
}

}  // namespace tplora::core
