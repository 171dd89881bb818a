// Words of closed lists.
#pragma once

#include <string_view>

namespace tplora::core {

/// One word of a closed list, and what it means.
template <class Value>
struct Word {
  std::string_view word;
  Value value;
};

}  // namespace tplora::core
