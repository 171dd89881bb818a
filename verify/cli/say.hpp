// What a command says beside its result.
#pragma once

#include <cstdio>
#include <string>

namespace tplora::core {

/// To stderr, or `out`. Where nobody can hear it (stderr is closed, its disk is full) it is lost,
/// and nothing else: the exit code says what matters.
void say(const std::string& text, std::FILE* out = stderr);

}  // namespace tplora::core
