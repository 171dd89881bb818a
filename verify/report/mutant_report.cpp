#include "verify/report/mutant_report.hpp"

#include <fmt/format.h>

#include <array>

#include "sim/base/json.hpp"

namespace tplora::core {
namespace {

constexpr std::array kFates = {Fate::law,        Fate::verdict, Fate::bad_contract,
                               Fate::equivalent, Fate::spare,   Fate::survived};

std::string line(const std::string& name, const std::map<Fate, std::int64_t>& fates,
                 std::int64_t total) {
  std::string text = fmt::format("{:<28}{:>7}", name, total);
  for (const Fate fate : kFates) {
    const auto found = fates.find(fate);
    text += fmt::format("{:>14}", found == fates.end() ? 0 : found->second);
  }
  return text + "\n";
}

constexpr std::array kNamed = {Named::first, Named::equivalent, Named::later, Named::never};

std::string blame_line(const std::string& name, const std::map<Named, std::int64_t>& blames) {
  std::int64_t total = 0;
  for (const auto& [named, count] : blames) {
    total += count;
  }
  if (total == 0) {
    return "";
  }
  std::string text = fmt::format("{:<28}{:>7}", name, total);
  std::int64_t so_far = 0;
  for (const Named named : kNamed) {
    const auto found = blames.find(named);
    const std::int64_t count = found == blames.end() ? 0 : found->second;
    so_far += named == Named::never ? 0 : count;
    text += fmt::format("{:>14}", count);
    if (named == Named::equivalent || named == Named::later) {
      text += fmt::format("{:>8.1f} %",
                          100.0 * static_cast<double>(so_far) / static_cast<double>(total));
    }
  }
  return text + "\n";
}

/// Of the mutants that are silent or crash: how the changed place was named.
std::string blames_text(const std::vector<MutantScore>& scores) {
  std::string lines;
  std::map<Named, std::int64_t> all;
  for (const MutantScore& score : scores) {
    lines += blame_line(score.engine, score.blames);
    for (const auto& [named, count] : score.blames) {
      all[named] += count;
    }
  }
  if (all.empty()) {
    return "";
  }
  std::string text = fmt::format(
      "\nthe changed place, in the findings on those that are silent or crash, at each tp_size\n"
      "{:<28}{:>7}{:>14}{:>14}{:>10}{:>14}{:>10}{:>14}\n",
      "contract", "cases", "first", "equivalent", "first", "later", "named", "never");
  text += lines + blame_line("all", all) + "\n";
  for (const MutantScore& score : scores) {
    for (const auto& one : score.blamed) {
      text += fmt::format("{}: {}{}: {}: {} was named first, at {}\n", named_name(one.how),
                          score.engine, one.place, one.what,
                          one.blamed.empty() ? "nothing" : one.blamed, one.at);
    }
  }
  return text;
}

}  // namespace

std::string mutants_text(const std::vector<MutantScore>& scores) {
  std::string text = fmt::format("{:<28}{:>7}", "contract", "mutants");
  for (const Fate fate : kFates) {
    text += fmt::format("{:>14}", fate_name(fate));
  }
  text += "\n";
  std::map<Fate, std::int64_t> all;
  std::int64_t total = 0;
  for (const MutantScore& score : scores) {
    text += line(score.engine, score.fates, score.total());
    total += score.total();
    for (const auto& [fate, count] : score.fates) {
      all[fate] += count;
    }
  }
  text += line("all", all, total);
  text += blames_text(scores);
  for (const MutantScore& score : scores) {
    for (const auto& named : score.named) {
      text += fmt::format("{}: {}{}: {} differs: {}\n", fate_name(named.fate), score.engine,
                          named.place, named.reason, named.what);
    }
  }
  return text;
}

std::string mutants_json(const std::vector<MutantScore>& scores) {
  Json list = Json::array();
  for (const MutantScore& score : scores) {
    Json fates = Json::object();
    for (const Fate fate : kFates) {
      const auto found = score.fates.find(fate);
      fates[std::string(fate_name(fate))] = found == score.fates.end() ? 0 : found->second;
    }
    Json named = Json::array();
    for (const auto& one : score.named) {
      named.push_back({{"fate", fate_name(one.fate)},
                       {"place", one.place},
                       {"what", one.what},
                       {"differs", one.reason}});
    }
    list.push_back({{"engine", score.engine},
                    {"mutants", score.total()},
                    {"points", score.points},
                    {"fates", std::move(fates)},
                    {"named", std::move(named)}});
  }
  const Json json = {{"format", "tplora-mutants/1"}, {"scores", std::move(list)}};
  return json.dump(2);
}

}  // namespace tplora::core
