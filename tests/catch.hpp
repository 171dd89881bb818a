// The distribution's Catch2, whichever major version it ships.
#pragma once

#ifdef TPLORA_CATCH3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
