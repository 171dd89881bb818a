// The numeric side of cases: reference and virtual ranks over one pass of the base weights.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "verify/compare/compare.hpp"
#include "verify/explain/provenance.hpp"
#include "verify/run/laws.hpp"

namespace tplora::core {

/// Outputs of one tp_rank and part that differ from the reference.
struct NumericDifference {
  std::int64_t tp_rank = 0;
  Part part = Part::q;
  std::int64_t first_row = 0, last_row = 0;  ///< logical rows of the part
  Difference bits;                           ///< rows counted from the stretch compared
  /// For each live adapter among the tokens: where the wrong delta came from, by the labels.
  struct Source {
    int adapter = 0;
    std::int64_t slot = 0;
    std::vector<Provenance> from;
  };
  std::vector<Source> sources;
};

struct NumericOutcome {
  enum class State {
    not_run,
    equal,  ///< every output bit of every rank is the reference's
    different,
    vacuous,  ///< equal, but it could not have come out otherwise
  };
  State state = State::not_run;
  std::int64_t compared = 0;
  std::int64_t wrong = 0;
  std::vector<NumericDifference> differences;
  std::string why_vacuous;
  std::uint64_t digest = 0;  ///< of all output bits, ranks in order
};

struct NumbersOptions {
  int threads = 1;  ///< 0: one for each core
  /// Once true, from any thread: it returns soon, and what it returns means nothing.
  std::function<bool()> over = [] { return false; };
  /// Told now and then which share of the weights has passed by since it was told last, on any
  /// thread.
  std::function<void(double)> passed = [](double) {};
};

/// Runs the numbers of cases that share geometry, adapters, batch, data, program and seed (see
/// numeric_key): the base weights pass by once, in panels, for the reference and for every case.
/// Precondition: each case's verdict is consistent or silent.
[[nodiscard]] std::vector<NumericOutcome> run_numbers(const std::vector<const LayerReport*>& cases,
                                                      const NumbersOptions& options = {});

/// Cases with equal keys may share one pass of the weights.
[[nodiscard]] std::string weights_key(const PreparedCase& item);

/// Cases with equal keys have equal numeric outcomes, so one of them is run.
[[nodiscard]] std::string numeric_key(const PreparedCase& item);

}  // namespace tplora::core
