// Asks the library what the command line would: is this plan right?
#include <iostream>

#include "verify/run/laws.hpp"

int main() {
  const tplora::ConfigFolders configs{CONFIGS};
  const auto one = tplora::parse_case(
      "model=Qwen/Qwen3.5-35B-A3B layer=full_attention engine=sglang-24420 tp=4 "
      "adapters=a:r16:alpha32:qkv,b:r16:alpha32:qkv");
  const auto item = one ? tplora::prepare(*one, configs) : tl::unexpected(one.error());
  if (!item) {
    std::cerr << item.error().text() << "\n";
    return 2;
  }
  const auto laws = tplora::check_laws(*item);
  std::cout << (laws ? tplora::verdict_name(laws->analysis.verdict) : "bad contract") << "\n";
}
