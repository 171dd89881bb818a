// Verdicts as suite and bug files spell them.
#pragma once

#include <array>

#include "sim/base/word.hpp"
#include "sim/layout/verdict.hpp"

namespace tplora::core {

inline constexpr std::array<Word<Verdict>, 5> kVerdictWords = {
    {{"refused", Verdict::refused},
     {"crash", Verdict::crash},
     {"silent", Verdict::silent},
     {"consistent", Verdict::consistent},
     {"not_applicable", Verdict::not_applicable}}};

}  // namespace tplora::core
