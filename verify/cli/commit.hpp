// The sources that the program was built from.
#pragma once

namespace tplora::core {

/// Of git, with "-dirty" where files had changed; empty: not known. Written by cmake/commit.cmake
/// at every build.
const char* commit();

}  // namespace tplora::core
