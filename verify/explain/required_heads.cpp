#include "verify/explain/required_heads.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>

namespace tplora::core {
namespace {

/// A share of `all` things dealt out to `ranks`: floor deals them as evenly as it goes, ceil gives
/// all the same but the last, who may have fewer or none.
enum class Round { floor, ceil };

HeadRange share_of(std::int64_t all, std::int64_t ranks, std::int64_t i, Round round) {
  const std::int64_t each = (all + ranks - 1) / ranks;
  const std::int64_t first = round == Round::floor ? i * all / ranks : std::min(i * each, all);
  const std::int64_t end =
      round == Round::floor ? (i + 1) * all / ranks : std::min((i + 1) * each, all);
  return {first, end - first};
}

/// The KV heads of rank t where all are dealt out; where there are more ranks, one to each.
HeadRange kv_share_of(std::int64_t kv_heads, std::int64_t ranks, std::int64_t t, Round round) {
  if (ranks < kv_heads) {
    return share_of(kv_heads, ranks, t, round);
  }
  const std::int64_t holders = (ranks + kv_heads - 1) / kv_heads;
  return {round == Round::floor ? t * kv_heads / ranks : std::min(t / holders, kv_heads - 1), 1};
}

class Dealer {
 public:
  explicit Dealer(const GroupFacts& facts)
      : geometry_(facts.input.geometry),
        now_(owned(facts)),
        group_(facts.group_size()),
        heads_per_kv_(geometry_.num_attention_heads / geometry_.num_key_value_heads) {}

  std::vector<Dealing> all() {
    for (const Round round : {Round::floor, Round::ceil}) {
      put(by_kv_heads(now_, round));
    }
    for (const Round kv : {Round::floor, Round::ceil}) {
      Dealing dealing = now_;
      for (std::size_t rank = 0; rank < now_.size(); ++rank) {
        dealing[rank].kv = kv_share_of(geometry_.num_key_value_heads, group_, t_of(rank), kv);
      }
      put(by_kv_heads(dealing, Round::floor));
      put(by_kv_heads(dealing, Round::ceil));
      put(by_query_heads(kv));
    }
    put(neighbours([](const HeadRange& own, std::int64_t before, std::int64_t) {
      return HeadRange{before, own.end() - before};
    }));
    put(neighbours([](const HeadRange& own, std::int64_t, std::int64_t next) {
      return HeadRange{own.first, next - own.first};
    }));
    put(one_behind_the_other());
    return std::move(result_);
  }

 private:
  [[nodiscard]] std::int64_t t_of(std::size_t rank) const {
    return static_cast<std::int64_t>(rank) % group_;
  }

  void put(Dealing dealing) {
    const auto same = [](const Dealing& a, const Dealing& b) {
      return std::equal(a.begin(), a.end(), b.begin(),
                        [](const Share& one, const Share& two) { return one.fits(two); });
    };
    const bool fine = std::all_of(dealing.begin(), dealing.end(), [&](const Share& share) {
      return share.q.first >= 0 && share.q.count >= 0 && share.kv.first >= 0 &&
             share.kv.count >= 0 && share.q.end() <= geometry_.num_attention_heads &&
             share.kv.end() <= geometry_.num_key_value_heads;
    });
    if (fine && !same(dealing, now_) &&
        std::none_of(result_.begin(), result_.end(),
                     [&](const Dealing& one) { return same(dealing, one); })) {
      result_.push_back(std::move(dealing));
    }
  }

  /// Each KV head's query heads to those that hold it: to all of a group that hold it alone.
  [[nodiscard]] Dealing by_kv_heads(Dealing dealing, Round round) const {
    for (std::size_t rank = 0; rank < dealing.size(); ++rank) {
      const HeadRange kv = dealing[rank].kv;
      HeadRange& q = dealing[rank].q;
      if (kv.count != 1) {
        q = {kv.first * heads_per_kv_, kv.count * heads_per_kv_};
        continue;
      }
      const std::size_t begin = rank - static_cast<std::size_t>(t_of(rank));
      const std::size_t end = std::min(begin + static_cast<std::size_t>(group_), dealing.size());
      const auto holders_in = [&](std::size_t from, std::size_t to) {
        return std::count_if(
            dealing.begin() + static_cast<std::ptrdiff_t>(from),
            dealing.begin() + static_cast<std::ptrdiff_t>(to),
            [&](const Share& one) { return one.kv.first == kv.first && one.kv.count == 1; });
      };
      q = share_of(heads_per_kv_, holders_in(begin, end), holders_in(begin, rank), round);
      q.first += kv.first * heads_per_kv_;
    }
    return dealing;
  }

  [[nodiscard]] Dealing by_query_heads(Round round) const {
    Dealing dealing = now_;
    for (std::size_t rank = 0; rank < now_.size(); ++rank) {
      const HeadRange q = share_of(geometry_.num_attention_heads, group_, t_of(rank), round);
      dealing[rank].q = q;
      if (q.count > 0) {
        const std::int64_t first = q.first / heads_per_kv_;
        dealing[rank].kv = {first, (q.end() - 1) / heads_per_kv_ - first + 1};
      }
    }
    return dealing;
  }

  /// Each rank's query heads by its own, the end of the rank's before it, and the beginning of the
  /// next rank's, all as they are.
  template <class Of>
  [[nodiscard]] Dealing neighbours(const Of& of) const {
    Dealing dealing = now_;
    for (std::size_t rank = 0; rank < now_.size(); ++rank) {
      const bool last = t_of(rank) + 1 == group_ || rank + 1 == now_.size();
      dealing[rank].q = of(now_[rank].q, t_of(rank) == 0 ? 0 : now_[rank - 1].q.end(),
                           last ? geometry_.num_attention_heads : now_[rank + 1].q.first);
    }
    return dealing;
  }

  [[nodiscard]] Dealing one_behind_the_other() const {
    Dealing dealing = now_;
    for (std::size_t rank = 0; rank < now_.size(); ++rank) {
      dealing[rank].q.first = t_of(rank) == 0 ? 0 : dealing[rank - 1].q.end();
    }
    return dealing;
  }

  const QkvGeometry& geometry_;
  Dealing now_;
  std::int64_t group_;
  std::int64_t heads_per_kv_;
  std::vector<Dealing> result_;
};

/// What a rank owns if a let has a value.
class OwnedWithLet {
 public:
  OwnedWithLet(const GroupFacts& facts, const std::vector<FormulaSite>& sites,
               const std::vector<Formula*>& formulas, std::size_t let)
      : facts_(facts), let_(let) {
    using enum FormulaRole;
    for (std::size_t site = 0; site < sites.size(); ++site) {
      for (std::size_t i = 0; i < kRoles.size(); ++i) {
        if (sites[site].role == kRoles[i]) {
          owns_[i] = formulas[site];
        }
      }
    }
  }

  [[nodiscard]] std::optional<Share> at(const RankFacts& rank, std::int64_t value) const {
    const std::vector<std::int64_t> values =
        values_with_let(facts_.contract, rank.trace.values, let_, value);
    std::array<std::int64_t, 4> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const auto number = owns_[i] == nullptr ? std::nullopt : owns_[i]->evaluate(values);
      if (!number) {
        return std::nullopt;
      }
      numbers[i] = *number;
    }
    return Share{{numbers[0], numbers[1]}, {numbers[2], numbers[3]}};
  }

  /// The least value at which the rank owns its share.
  [[nodiscard]] std::optional<std::int64_t> value_for(const RankFacts& rank,
                                                      const Share& wanted) const {
    const QkvGeometry& geometry = facts_.input.geometry;
    const std::int64_t most = std::max(geometry.num_attention_heads, facts_.group_size());
    for (const std::int64_t unit :
         {std::int64_t{1}, geometry.rows_per_head(Part::q), geometry.rows_per_head(Part::k),
          geometry.rows_per_head(Part::v)}) {
      for (std::int64_t times = 0; times <= most; ++times) {
        if (const auto own = at(rank, times * unit); own && wanted.fits(*own)) {
          return times * unit;
        }
      }
    }
    return std::nullopt;
  }

 private:
  static constexpr std::array<FormulaRole, 4> kRoles = {
      FormulaRole::first_q, FormulaRole::q_heads, FormulaRole::first_kv, FormulaRole::kv_heads};
  const GroupFacts& facts_;
  std::size_t let_;
  std::array<const Formula*, 4> owns_{};
};

}  // namespace

bool Share::fits(const Share& own) const {
  const auto same = [](const HeadRange& a, const HeadRange& b) {
    return a.first == b.first && a.count == b.count;
  };
  return q.count == 0 ? own.q.count == 0 : same(q, own.q) && same(kv, own.kv);
}

Dealing owned(const GroupFacts& facts) {
  Dealing dealing;
  for (const RankFacts& rank : facts.ranks) {
    dealing.push_back(
        {owned_heads(rank.trace.heads, Part::q), owned_heads(rank.trace.heads, Part::k)});
  }
  return dealing;
}

std::vector<Dealing> dealings(const GroupFacts& facts) {
  return Dealer(facts).all();
}

Corrections let_for_dealing(const GroupFacts& facts, const std::vector<FormulaSite>& sites,
                            const std::vector<Formula*>& formulas, std::size_t let,
                            const Dealing& dealing) {
  const OwnedWithLet owned_with(facts, sites, formulas, let);
  const auto symbol = static_cast<std::size_t>(facts.contract.lets[let].symbol);
  Corrections corrections;
  for (std::size_t rank = 0; rank < dealing.size(); ++rank) {
    const RankFacts& own = facts.ranks[rank];
    const std::int64_t now = own.trace.values[symbol];
    if (const auto here = owned_with.at(own, now); here && dealing[rank].fits(*here)) {
      continue;
    }
    const auto value = owned_with.value_for(own, dealing[rank]);
    if (!value) {
      return {};
    }
    corrections.push_back({own.trace.tp_rank, {}, *value - now});
  }
  return corrections;
}

}  // namespace tplora::core
