#include "verify/explain/trial.hpp"

#include <algorithm>

namespace tplora::core {

namespace {

/// More than any layer has: where heads that do not exist are owned, no head is looked at.
constexpr std::int64_t kAllHeads = 1 << 20;

}  // namespace

void Symptoms::add(const Violation& violation) {
  using What = SymptomKind::What;
  const std::int64_t rank = tp_rank_of(violation);
  const auto put = [&](What what, int adapter, std::int64_t begin, std::int64_t cells) {
    cells_[{what, rank, adapter}].emplace_back(begin, begin + cells);
  };
  const Delta* delta = delta_of(violation);
  if (const DueRows* due = due_of(violation)) {
    put(delta == nullptr ? What::base : What::delta, delta == nullptr ? -1 : delta->adapter,
        due->column, due->rows);
    return;
  }
  std::visit(Overloaded{[&](const SurplusColumns& v) { put(What::base, -1, v.column, v.columns); },
                        [&](const WrittenPastRow& v) {
                          put(What::delta, v.delta.adapter, v.column, v.columns);
                        },
                        [&](const WrongScaling& v) {
                          put(What::scaling, v.delta.adapter,
                              v.part ? static_cast<std::int64_t>(*v.part) : 0, v.part ? 1 : 3);
                        },
                        [&](const ForeignRows& v) {
                          put(What::foreign, v.delta.adapter, static_cast<std::int64_t>(v.part), 1);
                        },
                        [](const DisagreeingReplicas&) {},
                        [&](const WrongOwners& v) {
                          put(v.part == Part::q ? What::q_heads : What::kv_heads, -1, v.head, 1);
                        },
                        [&](const HeadsOutside& v) {
                          put(v.part == Part::q ? What::q_heads : What::kv_heads, -1, 0, kAllHeads);
                        },
                        [&](const auto&) { put(What::pairing, -1, 0, 1); }},
             violation);
}

void Symptoms::merge() {
  for (auto& [kind, ranges] : cells_) {
    std::sort(ranges.begin(), ranges.end());
    std::vector<Range> merged;
    for (const Range& range : ranges) {
      if (!merged.empty() && range.first <= merged.back().second) {
        merged.back().second = std::max(merged.back().second, range.second);
      } else {
        merged.push_back(range);
      }
    }
    ranges = std::move(merged);
  }
}

Symptoms::Symptoms(const Analysis& analysis) {
  for (const PlanFailure& failure : analysis.failures) {
    cells_[{SymptomKind::What::failure, failure.tp_rank, -1}].emplace_back(0, 1);
  }
  for (const Violation& violation : analysis.violations) {
    add(violation);
  }
  merge();
}

Symptoms Symptoms::of(const Violation& violation) {
  Symptoms symptoms;
  symptoms.add(violation);
  return symptoms;
}

Symptoms Symptoms::of(const PlanFailure& failure) {
  Symptoms symptoms;
  symptoms.cells_[{SymptomKind::What::failure, failure.tp_rank, -1}].emplace_back(0, 1);
  return symptoms;
}

Symptoms Symptoms::of_adapter(int adapter) const {
  Symptoms symptoms = *this;
  std::erase_if(symptoms.cells_, [&](const auto& entry) {
    return entry.first.adapter >= 0 && entry.first.adapter != adapter;
  });
  return symptoms;
}

bool Symptoms::concern(int adapter) const {
  return std::any_of(cells_.begin(), cells_.end(), [&](const auto& entry) {
    return entry.first.adapter < 0 || entry.first.adapter == adapter;
  });
}

bool Symptoms::fail() const {
  return std::any_of(cells_.begin(), cells_.end(), [](const auto& entry) {
    return entry.first.what == SymptomKind::What::failure;
  });
}

std::int64_t Symptoms::size() const {
  std::int64_t cells = 0;
  for (const auto& [kind, ranges] : cells_) {
    for (const auto& [begin, end] : ranges) {
      cells += end - begin;
    }
  }
  return cells;
}

bool Symptoms::contain(const Symptoms& other) const {
  return std::all_of(other.cells_.begin(), other.cells_.end(), [&](const auto& entry) {
    const auto own = cells_.find(entry.first);
    return own != cells_.end() &&
           std::all_of(entry.second.begin(), entry.second.end(), [&](const Range& range) {
             return std::any_of(own->second.begin(), own->second.end(), [&](const Range& wide) {
               return wide.first <= range.first && range.second <= wide.second;
             });
           });
  });
}

bool Symptoms::touch(const Symptoms& other) const {
  return std::any_of(other.cells_.begin(), other.cells_.end(), [&](const auto& entry) {
    const auto own = cells_.find(entry.first);
    return own != cells_.end() &&
           std::any_of(entry.second.begin(), entry.second.end(), [&](const Range& range) {
             return std::any_of(own->second.begin(), own->second.end(), [&](const Range& wide) {
               return wide.first < range.second && range.first < wide.second;
             });
           });
  });
}

}  // namespace tplora::core
