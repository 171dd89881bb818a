#include "sim/base/result.hpp"

#include "sim/base/printable.hpp"

namespace tplora {

std::string Error::text() const {
  const std::string said = core::printable(sentence, kMostSentenceBytes);
  return place.empty() ? said : core::printable(place, kMostPlaceBytes) + ": " + said;
}

}  // namespace tplora
