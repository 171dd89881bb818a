// Runs every target over its folder of tests/fuzz/corpus: what once broke a reader breaks no more.
//
// Usage: tplora_fuzz_replay CORPUS [TARGET]. Names each file on stderr before it runs, so that the
// last line of a crash names the culprit.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/target.hpp"

namespace {

namespace fs = std::filesystem;

struct Named {
  const char* name;
  void (*run)(std::string_view bytes);
};

constexpr Named kTargets[] = {
    {"config", tplora::fuzz::config},   {"contract", tplora::fuzz::contract},
    {"formula", tplora::fuzz::formula}, {"case", tplora::fuzz::case_line},
    {"suite", tplora::fuzz::suite},     {"safetensors", tplora::fuzz::safetensors}};

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string bytes_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: tplora_fuzz_replay CORPUS [TARGET]\n");
    return 2;
  }
  for (const Named& target : kTargets) {
    if (argc > 2 && std::string_view(argv[2]) != target.name) {
      continue;
    }
    const auto files = files_in(fs::path(argv[1]) / target.name);
    for (const fs::path& file : files) {
      std::fprintf(stderr, "%s\n", file.c_str());
      target.run(bytes_of(file));
    }
    std::printf("%s: %zu files\n", target.name, files.size());
    if (files.empty()) {
      return 1;  // a corpus that is not found tests nothing
    }
  }
  return 0;
}
