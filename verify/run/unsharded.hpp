// The unsharded side of a case: its tensors, and the reference forward over them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "sim/data/logical_tensors.hpp"
#include "sim/ranks/tp_group.hpp"
#include "verify/case/prepared_case.hpp"
#include "verify/reference/reference.hpp"

namespace tplora::core {

/// Rows [first, first + rows) of a part.
struct RowRange {
  std::int64_t first = 0, rows = 0;
};

/// K of each adapter's expand, as the contract's kernels have it: arithmetic, not placement. Empty
/// where nothing could be planned; 0 where launches of one part differ.
[[nodiscard]] ExpandDepths expand_depths(const Analysis& analysis, std::size_t adapters);

/// Use: construct, `run` once, then read. Of the case's contract only the rounding program counts.
class Unsharded {
 public:
  /// Makes the inputs and adapters of the case. Precondition: it has a geometry. `keep_steps`: keep
  /// shrink outputs and deltas (Reference::steps).
  explicit Unsharded(const PreparedCase& item, ExpandDepths depths = {}, bool keep_steps = false);
  Unsharded(const Unsharded&) = delete;
  Unsharded& operator=(const Unsharded&) = delete;

  /// Called with rows [first_row, first_row + panel.rows()) of the base weight of `part` and their
  /// bias (one value a row, or empty); both are gone afterwards.
  using EachPanel = std::function<void(Part part, std::int64_t first_row, const Panel& panel,
                                       std::span<const float> bias)>;
  /// The base weight passes by once, for the reference and for `each`; then the reference is done.
  /// Over `threads` threads (0: one for each core), which change no bit: `each` is called from all
  /// of them. Once `over` says true it returns soon, and there is nothing to be read.
  void run(
      const EachPanel& each = {}, int threads = 1,
      const std::function<bool()>& over = [] { return false; });
  /// The same for these rows of each part only; outputs of others are base outputs of +0 with their
  /// deltas.
  void run_rows(
      const std::array<RowRange, 3>& rows, int threads, const EachPanel& each = {},
      const std::function<bool()>& over = [] { return false; });

  /// The reference with other depths of the expand. After `run`.
  void use_depths(const ExpandDepths& depths);

  /// The case's own, or made from its seed; not null.
  [[nodiscard]] const std::shared_ptr<const LogicalTensors>& tensors() const { return tensors_; }
  [[nodiscard]] const Arithmetic& arithmetic() const { return arithmetic_; }
  /// x and who uses which adapter. Lives as long as this.
  [[nodiscard]] const Batch& batch() const { return batch_; }
  /// By number, as the steps of the case leave them.
  [[nodiscard]] std::span<const Adapter> adapters() const { return adapters_; }
  [[nodiscard]] const Reference& reference() const { return reference_; }

 private:
  QkvGeometry geometry_;
  std::shared_ptr<const LogicalTensors> tensors_;
  Arithmetic arithmetic_;
  std::vector<float> x_;
  Batch batch_;
  std::vector<Adapter> adapters_;
  ExpandDepths depths_;
  Reference reference_;
};

}  // namespace tplora::core
