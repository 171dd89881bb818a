// Formulas and the entries that are made of them: loops, buffers, copies.
#pragma once

#include <string_view>
#include <vector>

#include "sim/base/fields.hpp"
#include "sim/contract/contract.hpp"

namespace tplora {

enum class CopySection { weight, lora_b, lora_a };

/// Reads into one contract, whose symbols must be defined already. Errors go to the fields.
class EntryReader {
 public:
  EntryReader(Fields& fields, Contract& contract) : fields_(fields), contract_(contract) {}

  /// A formula is a JSON string, or an integer for a constant.
  Formula formula(const JsonView& view);
  Formula formula(const JsonView& view, std::string_view key);
  /// `for` of an entry. Its indices are symbols until the caller shrinks the table again.
  std::vector<Loop> loops(const JsonView& item);
  std::vector<Buffer> buffers(const JsonView& section);
  int buffer_number(const JsonView& item, std::string_view key, const std::vector<Buffer>& list);
  std::vector<Copy> copies(const JsonView& section, CopySection kind,
                           const std::vector<Buffer>& list);

  /// One more than the highest symbol number of any formula read so far.
  [[nodiscard]] int symbols_used() const { return max_symbols_; }
  void count_symbols() { max_symbols_ = contract_.symbols.size(); }

 private:
  void all_parts(const JsonView& list, CopySection kind, const std::vector<Copy>& copies);

  Fields& fields_;
  Contract& contract_;
  int max_symbols_ = 0;
  int formulas_ = 0;
};

}  // namespace tplora
