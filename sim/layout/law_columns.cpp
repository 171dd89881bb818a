#include "sim/layout/law_columns.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "sim/base/ensure.hpp"
#include "sim/layout/spaces.hpp"

namespace tplora::core {
namespace {

/// The usual case, without sorting: launches follow each other and fill the output row.
bool tile_the_row(const std::vector<KernelLaunch>& launches, std::int64_t width) {
  std::int64_t reached = 0;
  for (const KernelLaunch& launch : launches) {
    if (launch.rows > 0 && launch.out != reached) {
      return false;
    }
    reached += launch.rows;
  }
  return reached == width;
}

class ColumnsCheck {
 public:
  ColumnsCheck(const RankState& rank, const LiveAdapter& live, std::vector<Violation>& violations)
      : rank_(rank), live_(live), violations_(violations) {}

  void run(std::vector<KernelLaunch> launches) {
    std::erase_if(launches, [](const KernelLaunch& one) { return one.rows == 0; });
    std::stable_sort(launches.begin(), launches.end(),
                     [](const KernelLaunch& x, const KernelLaunch& y) { return x.out < y.out; });
    std::int64_t reached = 0;
    for (const KernelLaunch& launch : launches) {
      const std::int64_t end = launch.out + launch.rows;
      report<NoDelta>(reached, launch.out);
      report<SecondDelta>(launch.out, std::min(reached, end));
      reached = std::max(reached, end);
    }
    report<NoDelta>(reached, rank_.build.width);
  }

 private:
  template <class Kind>
  void report(std::int64_t begin, std::int64_t end) {
    end = std::min(end, rank_.build.width);  // law 4 tells what is missing behind it
    if (begin >= end) {
      return;
    }
    rank_.due.visit(begin, end, [&](const Segment& column) {
      if (column.space < 0 || !live_.shape.has(part_of(column.space))) {
        return;
      }
      const Violation violation = Kind{.tp_rank = rank_.build.tp_rank,
                                       .delta = {.adapter = live_.adapter, .slot = live_.slot},
                                       .due = due_rows(column)};
      if (told_.emplace(violation.index(), column.at, column.rows).second) {
        violations_.push_back(violation);
      }
    });
  }

  const RankState& rank_;
  const LiveAdapter& live_;
  std::vector<Violation>& violations_;
  std::set<std::tuple<std::size_t, std::int64_t, std::int64_t>> told_;
};

}  // namespace

DueRows due_rows(const Segment& column) {
  ensure(column.space >= 0, "rows of a part are due there");
  return {.part = part_of(column.space),
          .first_row = column.from,
          .rows = column.rows,
          .column = column.at};
}

void check_columns(const RankState& rank, const LiveAdapter& live,
                   std::vector<Violation>& violations) {
  const std::vector<KernelLaunch>& launches = rank.load(live.event).launches;
  if (!tile_the_row(launches, rank.build.width)) {
    ColumnsCheck(rank, live, violations).run(launches);
  }
}

}  // namespace tplora::core
