// Catch2 2 needs its main here; Catch2 3 brings one with Catch2WithMain.
#ifndef TPLORA_CATCH3
#define CATCH_CONFIG_MAIN
#endif
#include "tests/catch.hpp"
