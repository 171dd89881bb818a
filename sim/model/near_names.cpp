#include "sim/model/near_names.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <tuple>

namespace tplora::core {
namespace {

constexpr std::size_t kMaxSuggestions = 5;
constexpr std::size_t kMaxLetters = 200;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::string last_part(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

/// Insertions, deletions and exchanges of one letter that turn a into b.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t exchanged = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({exchanged, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

bool contains(const std::string& text, const std::string& part) {
  return part.size() >= 2 && text.find(part) != std::string::npos;
}

/// How near a name is; the smallest stands first. A name that contains what was wanted is nearer
/// than any that only resembles it.
struct Nearness {
  bool resembles_only = true;
  std::size_t distance = 0;
  bool near = false;
};

Nearness compare(const std::string& wanted, const std::string& name) {
  const std::string part = last_part(wanted);
  const bool contained = contains(name, wanted) || contains(last_part(name), part);
  const std::size_t distance =
      std::min(edit_distance(wanted, name), edit_distance(part, last_part(name)));
  return {.resembles_only = !contained,
          .distance = distance,
          .near = contained || distance <= std::max<std::size_t>(2, part.size() / 4)};
}

}  // namespace

std::vector<std::string> near_names(const std::string& wanted,
                                    const std::vector<std::string>& names) {
  if (wanted.empty() || wanted.size() > kMaxLetters) {
    return {};
  }
  std::vector<std::tuple<bool, std::size_t, std::string>> ranked;
  for (const std::string& name : names) {
    const Nearness nearness = compare(lower(wanted), lower(name));
    if (nearness.near) {
      ranked.emplace_back(nearness.resembles_only, nearness.distance, name);
    }
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> result;
  for (std::size_t i = 0; i < std::min(kMaxSuggestions, ranked.size()); ++i) {
    result.push_back(std::move(std::get<std::string>(ranked[i])));
  }
  return result;
}

}  // namespace tplora::core
