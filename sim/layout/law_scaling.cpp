#include "sim/layout/law_scaling.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

/// The square of a quotient, in lowest terms.
class Square {
 public:
  /// Times (up / down)^2. False: it does not fit.
  bool times_square(std::int64_t up, std::int64_t down) {
    for (int i = 0; i < 2; ++i) {
      if (!times(magnitude(up), magnitude(down))) {
        return false;
      }
    }
    negative_ = negative_ != ((up < 0) != (down < 0));
    return true;
  }
  /// Times up / down. Precondition: down is not 0.
  bool times(std::uint64_t up, std::uint64_t down) {
    Wide wide_up = up;
    Wide wide_down = down;
    reduce(up_, wide_down);
    reduce(wide_up, down_);
    return !__builtin_mul_overflow(up_, wide_up, &up_) &&
           !__builtin_mul_overflow(down_, wide_down, &down_);
  }
  [[nodiscard]] bool is_one() const { return !negative_ && up_ == down_; }

 private:
  __extension__ using Wide = unsigned __int128;

  static std::uint64_t magnitude(std::int64_t value) {
    return value < 0 ? -static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  }
  static void reduce(Wide& a, Wide& b) {
    Wide x = a;
    Wide y = b;
    while (y != 0) {
      x = std::exchange(y, x % y);
    }
    if (x > 1) {
      a /= x;
      b /= x;
    }
  }

  Wide up_ = 1, down_ = 1;
  bool negative_ = false;
};

/// Whether the product of the factors is the part's. One that does not fit is no right factor.
bool is_right(const RankState& rank, const AdapterShape& shape, std::span<const int> events,
              Part part) {
  Square square;  // of the factors over that which is due
  const std::int64_t lora_rank = shape.rank_of(part);
  const auto root = static_cast<std::uint64_t>(lora_rank);
  if (!square.times_square(shape.alpha_unit, shape.alpha_of(part)) ||
      !(shape.rslora ? square.times(root, 1) : square.times_square(lora_rank, 1))) {
    return false;
  }
  return std::all_of(events.begin(), events.end(),
                     [&](int event) {
                       const DeltaFactor& one =
                           rank.load(event).factors[static_cast<std::size_t>(part)];
                       return square.times_square(one.numerator, one.denominator) &&
                              square.times_square(1, one.alpha_unit) &&
                              square.times(1, static_cast<std::uint64_t>(one.root));
                     }) &&
         square.is_one();
}

/// The usual case, without a division: one factor for all parts, which is alpha / lora_rank.
bool is_plain(const RankState& rank, const AdapterShape& shape, std::span<const int> events) {
  if (events.size() != 1 || shape.rslora || shape.part_ranks != std::array<std::int64_t, 3>{} ||
      shape.part_alphas != std::array<std::int64_t, 3>{}) {
    return false;
  }
  const auto& factors = rank.load(events.front()).factors;
  const DeltaFactor plain{.numerator = shape.lora_alpha,
                          .alpha_unit = shape.alpha_unit,
                          .denominator = shape.lora_rank,
                          .root = 1};
  return std::all_of(factors.begin(), factors.end(),
                     [&](const DeltaFactor& factor) { return factor == plain; });
}

}  // namespace

void check_scaling(const RankState& rank, const LiveAdapter& live, std::span<const int> events,
                   std::vector<Violation>& violations) {
  ensure(!events.empty(), "a live adapter's factor was read at some event");
  ensure(live.shape.lora_rank > 0 && live.shape.lora_alpha > 0 && live.shape.alpha_unit > 0,
         "a live adapter has a lora_rank and a lora_alpha");
  if (is_plain(rank, live.shape, events)) {
    return;
  }
  std::vector<Part> wrong;
  std::size_t targeted = 0;
  for (const Part part : kParts) {
    if (live.shape.has(part)) {  // else it has no delta
      ++targeted;
      if (!is_right(rank, live.shape, events, part)) {
        wrong.push_back(part);
      }
    }
  }
  WrongScaling violation{.tp_rank = rank.build.tp_rank,
                         .delta = {.adapter = live.adapter, .slot = live.slot},
                         .part = std::nullopt};
  if (!wrong.empty() && wrong.size() == targeted) {
    violations.push_back(violation);
    return;
  }
  for (const Part part : wrong) {
    violation.part = part;
    violations.push_back(violation);
  }
}

bool check_rows(const QkvGeometry& geometry, const RankState& rank, const LiveAdapter& live,
                std::vector<Violation>& violations) {
  bool foreign = false;
  for (const Part part : kParts) {
    const std::int64_t rows = live.shape.part_rows[static_cast<std::size_t>(part)];
    if (live.shape.has(part) && rows != 0 && rows != geometry.rows(part)) {
      foreign = true;
      violations.push_back(ForeignRows{.tp_rank = rank.build.tp_rank,
                                       .delta = {.adapter = live.adapter, .slot = live.slot},
                                       .part = part,
                                       .rows = rows,
                                       .due_rows = geometry.rows(part)});
    }
  }
  return foreign;
}

}  // namespace tplora::core
