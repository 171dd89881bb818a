// Whether the laws notice a mutant.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/layout/analysis.hpp"
#include "verify/mutants/mutate.hpp"

namespace tplora::core {

/// What became of a mutant.
enum class Fate {
  law,           ///< somewhere the original keeps every law and the mutant breaks one
  verdict,       ///< somewhere one of them refuses or crashes by a check and the other does not
  bad_contract,  ///< a formula has no value or counts below zero: refused as a description
  equivalent,    ///< at every point of the range both plan the same
  spare,     ///< the plans differ only in what reaches no output: buffer rows, zeros, contractions
             ///< over zeros, the rank that holds a row of a gathered A
  survived,  ///< the plans differ in what reaches an output, and nothing notices
};
[[nodiscard]] std::string_view fate_name(Fate fate);

/// The points at which mutants of one contract are judged: those of a proof's range inside its
/// claims, each with the standard scenario and with one in which the adapter that follows a full
/// one leaves out a part. A contract that looks at dp_size or at the config's global values gets
/// points where these differ from tp_size and the layer.
class Judge {
 public:
  Judge(const Contract& contract, std::int64_t max_heads, std::int64_t max_tp_size);

  struct Sentence {
    Fate fate = Fate::survived;
    /// spare and survived: what differs ("the length of a lora_b buffer").
    std::string reason;
  };
  [[nodiscard]] Sentence judge(const Contract& mutant) const;
  [[nodiscard]] std::size_t points() const { return points_.size(); }
  /// Points at which the original is consistent and the mutant is silent or crashes: the first of
  /// each tp_size, then others in order until there are `most` of them.
  [[nodiscard]] std::vector<LayoutCase> broken_points(const Contract& mutant,
                                                      std::size_t most) const;

 private:
  struct Point {
    LayoutCase input;
    Verdict verdict;
  };
  void add(const Contract& contract, Analyser& analyser, LayoutCase input);
  void sort_points();
  [[nodiscard]] Sentence compare_plans(const Contract& mutant) const;

  const Contract& contract_;
  std::vector<Point> points_;
};

}  // namespace tplora::core
