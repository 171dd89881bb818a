// Reading labels, for who looks at outputs and for who looks at slots.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "verify/check/read_labels.hpp"

namespace tplora::core {

/// Collects wrong columns into runs: one part, one adapter, consecutive holders.
class LabelRuns {
 public:
  LabelRuns(const LabelContext& context, std::string tensor, std::optional<int> adapter,
            std::optional<std::int64_t> slot, std::int64_t first_column)
      : context_(context),
        tensor_(std::move(tensor)),
        adapter_(adapter),
        slot_(slot),
        first_column_(first_column) {}

  void add(std::int64_t column, const Holder& found, bool nothing_due = false);
  [[nodiscard]] std::vector<PlaceFinding> take() { return std::move(runs_); }

 private:
  [[nodiscard]] CheckLaw law(const Holder& found) const;

  const LabelContext& context_;
  std::string tensor_;
  std::optional<int> adapter_;
  std::optional<std::int64_t> slot_;
  std::int64_t first_column_;
  std::vector<PlaceFinding> runs_;
};

/// What each digit of B becomes: in a slot, and in an output.
struct StoredDigits {
  std::array<float, 256> in_slot{}, in_delta{}, in_output{};
};
[[nodiscard]] StoredDigits stored_digits(const PreparedCase& item, const AdapterSpec& adapter,
                                         Part part);
/// The digit whose stored form is `value`: `expected` if it is that one's, else the only one whose
/// it is; nothing: none's, or that of two which round to it.
[[nodiscard]] std::optional<int> digit_behind(float value, const std::array<float, 256>& stored,
                                              int expected);

/// The holder behind values of which each should be the stored form of one digit.
class LabelReading {
 public:
  void see(int place, float value, std::optional<int> digit);
  [[nodiscard]] bool anything() const { return seen_ > 0; }
  [[nodiscard]] Holder holder(const QkvGeometry& g, const LabelledRow& due, int adapters,
                              bool of_base) const;

 private:
  int seen_ = 0, zeros_ = 0, not_finite_ = 0;
  bool unknown_ = false;
  LabelDigits digits_{};
};

/// One value that was seen: which digit of a label it should show.
struct SeenValue {
  int place = 0;
  float value = 0;
};
/// The holder behind values of one column that should show `due`, a row of an adapter's B. `forms`:
/// by adapter number, what each digit becomes there; another adapter's factor is tried where the
/// values are nothing under the due one's.
[[nodiscard]] Holder holder_of_b(const QkvGeometry& g, const LabelledRow& due,
                                 const std::vector<std::array<float, 256>>& forms,
                                 const std::vector<SeenValue>& seen);

/// Whether a holder is just that row.
[[nodiscard]] bool is_row(const Holder& found, const FoundRow& due);

}  // namespace tplora::core
