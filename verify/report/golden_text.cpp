#include "verify/report/golden_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/printable.hpp"

namespace tplora::core {

std::string golden_text(const std::string& folder, const std::string& case_line,
                        const GoldenSummary& summary) {
  std::string text = fmt::format("golden {}\n  case {}\n", excerpt(folder), case_line);
  std::size_t width = 0;
  for (const GoldenFile& file : summary.files) {
    width = std::max(width, file.name.size());
  }
  for (const GoldenFile& file : summary.files) {
    text += fmt::format("  {:<{}}  {:>12} bytes  sha256 {}\n", file.name, width, file.bytes,
                        file.sha256.substr(0, 16));
  }
  for (const std::string& note : summary.notes) {
    text += "  note: " + note + "\n";
  }
  return text + fmt::format("  check a result: tplora check {} CANDIDATE\n", excerpt(folder));
}

}  // namespace tplora::core
