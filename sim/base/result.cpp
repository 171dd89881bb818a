#include "sim/base/result.hpp"

#include "sim/base/printable.hpp"

namespace tplora {

std::string Error::text() const {
  const std::string said = printable(sentence, kMostSentenceBytes);
  return place.empty() ? said : printable(place, kMostPlaceBytes) + ": " + said;
}

}  // namespace tplora
