#include "verify/run/minimise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "sim/model/inline_geometry.hpp"
#include "verify/run/failure.hpp"

namespace tplora::core {
namespace {

void drop_adapter(Case& one, int adapter) {
  one.adapters.erase(one.adapters.begin() + adapter);
  std::erase_if(one.steps, [&](const PoolStep& step) { return step.adapter == adapter; });
  for (PoolStep& step : one.steps) {
    step.adapter -= step.adapter > adapter ? 1 : 0;
  }
  std::erase(one.tokens, adapter);
  for (int& token : one.tokens) {
    token -= token > adapter ? 1 : 0;
  }
}

class Minimiser {
 public:
  Minimiser(const PreparedCase& item, const LoadedEngine& engine, const Model& model,
            const std::function<bool()>& stop, const std::function<void(std::int64_t)>& progress)
      : engine_(engine), model_(model), stop_(stop), progress_(progress), best_(item.spec) {}

  Result<Smallest> run(PreparedCase item) {
    item.explain = true;
    const std::optional<QkvGeometry> geometry = item.geometry;
    auto report = check_laws(std::move(item), stop_);
    if (!report) {
      return fail(report.error());
    }
    if (stop_()) {
      return fail("stopped before the case itself was explained");
    }
    wanted_ = failure_of(*report, true);
    if (!geometry || wanted_.verdict == Verdict::consistent) {
      return fail(geometry ? "the case keeps every law: there is nothing to make smaller"
                           : "the layer has no qkv projection: there is nothing to make smaller");
    }
    claimed_ = claimed(report->item);
    found_ = *std::move(report);
    geometry_ = *geometry;
    const bool inline_works = to_geometry(geometry_, best_.tp_size, best_.dp_size);
    for (Case before; !stop_() && before != best_;) {
      before = best_;
      smaller_scenario();
      if (inline_works) {
        smaller_geometry();
      } else {
        smaller_tp_size();
      }
    }
    return Smallest{std::move(found_), tried_, !inline_works};
  }

 private:
  /// Takes `one` if it is a case and fails the same way.
  bool accept(Case one) {
    if (one == best_ || stop_()) {
      return false;
    }
    progress_(++tried_);
    // Through its line, which refuses what is no case.
    auto report = parse_case(print_case(one)).and_then([&](Case read) {
      return prepared(std::move(read)).and_then([](PreparedCase item) {
        item.explain = false;
        return check_laws(std::move(item));
      });
    });
    if (!report || !wrong_alike(failure_of(*report, false), wanted_) ||
        (claimed_ && !claimed(report->item))) {
      return false;
    }
    report->item.explain = true;
    report = check_laws(std::move(report->item), stop_);
    if (!report || stop_() || !blamed_alike(failure_of(*report, true), wanted_) ||
        !is_seen(*report)) {
      return false;
    }
    best_ = std::move(one);
    found_ = *std::move(report);
    return true;
  }

  /// Whether a token meets what is wrong first: else the numbers would not show it.
  static bool is_seen(const LayerReport& report) {
    const auto told = std::find_if(report.findings.begin(), report.findings.end(),
                                   [](const Finding& one) { return one.violation.has_value(); });
    const auto& tokens = report.item.spec.tokens;
    return told == report.findings.end() || !told->delta ||
           std::find(tokens.begin(), tokens.end(), told->delta->adapter) != tokens.end();
  }

  [[nodiscard]] Result<PreparedCase> prepared(Case one) const {
    const auto model =
        one.model == model_.name ? Result<Model>(model_) : read_inline_geometry(one.model);
    return model.and_then([&](const Model& read) {
      return prepare_layers(one, read, engine_).map([](std::vector<PreparedCase> items) {
        return std::move(items.front());
      });
    });
  }

  template <class Change>
  bool change(const Change& change) {
    Case one = best_;
    change(one);
    return accept(std::move(one));
  }

  void smaller_scenario() {
    for (int i = static_cast<int>(best_.adapters.size()) - 1; i >= 0; --i) {
      change([&](Case& one) { drop_adapter(one, i); });
    }
    for (std::size_t i = best_.steps.size(); i-- > 0;) {
      change(
          [&](Case& one) { one.steps.erase(one.steps.begin() + static_cast<std::ptrdiff_t>(i)); });
    }
    smaller_tokens();
    for (std::size_t i = 0; i < best_.adapters.size(); ++i) {
      smaller_adapter(i);
    }
    // The lora_ranks of all together with the buffers', the smallest first.
    for (const std::int64_t lora_rank : {1, 2, 4, 8}) {
      if (lora_rank < best_.max_lora_rank && change([&](Case& one) {
            one.max_lora_rank = lora_rank;
            for (AdapterSpec& adapter : one.adapters) {
              adapter.lora_rank = std::min(adapter.lora_rank, lora_rank);
            }
          })) {
        break;
      }
    }
    change([](Case& one) {
      std::int64_t largest = 1;
      for (const AdapterSpec& adapter : one.adapters) {
        largest = std::max(largest, adapter.largest_rank());
      }
      one.max_lora_rank = largest;
    });
    for (std::int64_t slots = 1; slots < best_.slots; ++slots) {
      if (change([&](Case& one) { one.slots = slots; })) {
        break;
      }
    }
  }

  void smaller_tokens() {
    // Halves first: a batch may have thousands.
    for (std::size_t size = best_.tokens.size() / 2; size > 0; size /= 2) {
      for (std::size_t at = 0; at + size <= best_.tokens.size() && best_.tokens.size() > size;) {
        const bool gone = change([&](Case& one) {
          const auto from = one.tokens.begin() + static_cast<std::ptrdiff_t>(at);
          one.tokens.erase(from, from + static_cast<std::ptrdiff_t>(size));
        });
        at += gone ? 0 : size;
      }
    }
  }

  void smaller_adapter(std::size_t i) {
    change([&](Case& one) { one.adapters[i].part_ranks = {}; });
    change([&](Case& one) { one.adapters[i].part_alphas = {}; });
    change([&](Case& one) { one.adapters[i].rslora = false; });
    change([&](Case& one) { one.adapters[i].targets = {false, false, false}; });
    for (std::size_t part = 0; part < 3 && !best_.adapters[i].shared_a; ++part) {
      change([&](Case& one) {
        one.adapters[i].targets[part] = false;
        one.adapters[i].part_ranks[part] = 0;
        one.adapters[i].part_alphas[part] = 0;
      });
    }
    for (const std::int64_t lora_rank : {1, 2, 4, 8}) {
      if (lora_rank < best_.adapters[i].lora_rank &&
          change([&](Case& one) { one.adapters[i].lora_rank = lora_rank; })) {
        break;
      }
    }
    for (const std::int64_t alpha : {1, 2}) {
      if (best_.adapters[i].lora_alpha <= alpha || change([&](Case& one) {
            one.adapters[i].lora_alpha = alpha;
            one.adapters[i].alpha_unit = 1;
          })) {
        break;
      }
    }
  }

  /// The same case on a geometry without a model.
  bool to_geometry(const QkvGeometry& geometry, std::int64_t tp_size, std::int64_t dp_size) {
    if (!validate(geometry)) {
      return false;
    }
    Case one = best_;
    one.model = print_inline_geometry(geometry);
    one.layer.clear();
    one.tp_size = tp_size;
    one.dp_size = dp_size;
    if (one == best_ || accept(one)) {
      geometry_ = geometry;
      return true;
    }
    return false;
  }

  void smaller_tp_size() {
    for (std::int64_t size = 1; size < best_.tp_size; ++size) {
      if (change([&](Case& one) { one.tp_size = size; })) {
        return;
      }
    }
  }

  void smaller_geometry() {
    fewest_ranks();
    // What is left of it, each alone.
    const auto lower = [&](std::int64_t least, std::int64_t now, std::int64_t step,
                           const auto& put) {
      for (std::int64_t value = least; value < now; value = step == 0 ? value * 2 : value + step) {
        QkvGeometry g = geometry_;
        put(g, value);
        if (to_geometry(g, best_.tp_size, best_.dp_size)) {
          return;
        }
      }
    };
    lower(1, geometry_.head_dim, 1, [&](QkvGeometry& g, std::int64_t value) {
      g = with_heads(g, g.num_attention_heads, g.num_key_value_heads, value);
    });
    if (geometry_.v_head_dim != geometry_.head_dim) {  // else it follows
      lower(1, geometry_.v_head_dim, 1,
            [](QkvGeometry& g, std::int64_t value) { g.v_head_dim = value; });
    }
    lower(1, geometry_.q_multiplier, 1,
          [](QkvGeometry& g, std::int64_t value) { g.q_multiplier = value; });
    lower(kLeastHidden, geometry_.hidden_size, 0,
          [](QkvGeometry& g, std::int64_t value) { g.hidden_size = value; });
    const auto as_the_layer = [&](std::int64_t QkvGeometry::*config,
                                  std::int64_t QkvGeometry::*layer) {
      QkvGeometry g = geometry_;
      g.*config = g.*layer;
      to_geometry(g, best_.tp_size, best_.dp_size);
    };
    as_the_layer(&QkvGeometry::config_num_attention_heads, &QkvGeometry::num_attention_heads);
    as_the_layer(&QkvGeometry::config_num_key_value_heads, &QkvGeometry::num_key_value_heads);
    as_the_layer(&QkvGeometry::config_head_dim, &QkvGeometry::head_dim);
    QkvGeometry plain = geometry_;
    plain.qkv_bias = false;
    to_geometry(plain, best_.tp_size, best_.dp_size);
    plain = geometry_;
    plain.fused_order = RowOrder::blocks;
    to_geometry(plain, best_.tp_size, best_.dp_size);
  }

  void fewest_ranks() {
    const std::int64_t last = best_.tp_size;
    const std::int64_t last_dp = best_.dp_size;
    for (std::int64_t size = 1; size <= last && !stop_(); ++size) {
      for (std::int64_t dp = 1; dp <= std::min(size, last_dp); ++dp) {
        if (size % dp == 0 && fewest_heads(size, dp)) {
          return;
        }
      }
    }
  }

  /// The first that fails the same way, by query heads, KV heads and head_dim.
  bool fewest_heads(std::int64_t tp_size, std::int64_t dp_size) {
    const QkvGeometry from = geometry_;
    for (std::int64_t heads = 1; heads <= from.num_attention_heads && !stop_(); ++heads) {
      for (std::int64_t kv = 1; kv <= std::min(heads, from.num_key_value_heads); ++kv) {
        if (heads % kv != 0) {
          continue;
        }
        std::int64_t last = 0;
        for (const std::int64_t head_dim : {std::int64_t{1}, std::int64_t{2}, from.head_dim}) {
          if (head_dim <= last || head_dim > from.head_dim) {
            continue;
          }
          last = head_dim;
          if (to_geometry(with_heads(from, heads, kv, head_dim), tp_size, dp_size)) {
            return true;
          }
          if (tp_size == best_.tp_size && dp_size == best_.dp_size &&
              heads == from.num_attention_heads && kv == from.num_key_value_heads &&
              head_dim == from.head_dim) {
            return true;  // there is none smaller
          }
        }
      }
    }
    return false;
  }

  /// What followed the layer's numbers follows them still.
  static QkvGeometry with_heads(const QkvGeometry& from, std::int64_t heads, std::int64_t kv,
                                std::int64_t head_dim) {
    QkvGeometry g = from;
    const auto follow = [](std::int64_t own, std::int64_t old, std::int64_t now) {
      return own == old || own == 0 ? std::min(own, now)
                                    : std::max<std::int64_t>(1, own * now / old);
    };
    g.num_attention_heads = heads;
    g.num_key_value_heads = kv;
    g.head_dim = head_dim;
    g.v_head_dim = std::max<std::int64_t>(1, follow(from.v_head_dim, from.head_dim, head_dim));
    g.config_num_attention_heads =
        follow(from.config_num_attention_heads, from.num_attention_heads, heads);
    g.config_num_key_value_heads =
        follow(from.config_num_key_value_heads, from.num_key_value_heads, kv);
    g.config_head_dim = follow(from.config_head_dim, from.head_dim, head_dim);
    return g;
  }

  static constexpr std::int64_t kLeastHidden = 1;

  const LoadedEngine& engine_;
  const Model& model_;
  const std::function<bool()>& stop_;
  const std::function<void(std::int64_t)>& progress_;
  Case best_;
  LayerReport found_;
  QkvGeometry geometry_;
  Failure wanted_;
  bool claimed_ = false;
  std::int64_t tried_ = 0;
};

}  // namespace

Result<Smallest> minimise(const PreparedCase& item, const LoadedEngine& engine, const Model& model,
                          const std::function<bool()>& stop,
                          const std::function<void(std::int64_t)>& progress) {
  return Minimiser(item, engine, model, stop, progress).run(item);
}

}  // namespace tplora::core
