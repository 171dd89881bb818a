#include "tests/support.hpp"

using namespace tplora;

namespace {

std::string error_of(const std::string& line) {
  auto one = parse_case(line);
  REQUIRE_FALSE(one);
  return one.error().text();
}

constexpr const char* kLine =
    "model=Qwen/Qwen3.5-35B-A3B layer=full_attention engine=sglang tp=4 R=32 slots=2 "
    "adapters=a:r16:alpha32:qkv,b:r8:alpha8:qv tokens=a,b,-,a steps=load:a@0,load:b@1 dtype=bf16 "
    "accumulator=fp32_chain data=wide seed=7";

}  // namespace

TEST_CASE("a canonical case line prints as it was read", "[case]") {
  for (const std::string& line :
       {std::string(kLine),
        std::string("model=H=16,KV=2,D=256,hidden=2048 engine=sglang tp=8 dp=2 R=16 slots=3 "
                    "adapters=a:r16:alpha16:fused tokens=-,a steps=load:a@2,evict:a,load:a@0 "
                    "dtype=fp32 accumulator=fp32_chain data=labels seed=18446744073709551615")}) {
    const auto one = parse_case(line);
    REQUIRE(one);
    CHECK(print_case(*one) == line);
    CHECK(parse_case(print_case(*one)) == *one);
  }
}

TEST_CASE("steps and tokens have defaults that use every adapter", "[case]") {
  const auto one = parse_case("model=m engine=e tp=1 adapters=a:r4:alpha4:q,b:r4:alpha4:v");
  REQUIRE(one);
  CHECK(print_case(*one).find("tokens=a,b,- steps=load:a@0,load:b@1") != std::string::npos);
}

TEST_CASE("a bad case line is refused with one sentence", "[case]") {
  const std::string start = "model=m engine=e tp=2 ";
  CHECK(error_of("model=m engine=e") == "case line: the key \"tp\" is missing");
  CHECK(error_of(start + "tp=2") == "case line: the key \"tp\" stands twice");
  CHECK(error_of(start + "colour=red").find("unknown key \"colour\"") != std::string::npos);
  CHECK(error_of(start + "naked").find("expected key=value") != std::string::npos);
  CHECK(error_of("model=m engine=e tp=0").find("expected an integer from 1 to 1024") !=
        std::string::npos);
  CHECK(error_of(start + "R=-3").find("R=-3: expected an integer") != std::string::npos);
  CHECK(error_of(start + "adapters=a:r0:alpha1:q").find("lora_rank of a=0") != std::string::npos);
  CHECK(error_of(start + "adapters=a:r4:alpha1:kq").find("in that order") != std::string::npos);
  CHECK(error_of(start + "adapters=a:r4:alpha1:qqv").find("in that order") != std::string::npos);
  CHECK(error_of(start + "adapters=a:r4:alpha1:q,a:r4:alpha1:q").find("two adapters") !=
        std::string::npos);
  CHECK(error_of(start + "adapters=a").find("expected name:r<lora_rank>") != std::string::npos);
  CHECK(error_of(start + "adapters=a:r4:alpha1:q steps=load:b@0").find("no adapter is called") !=
        std::string::npos);
  CHECK(error_of(start + "adapters=a:r4:alpha1:q steps=load:a@7").find("from 0 to 1") !=
        std::string::npos);
  CHECK(error_of(start + "adapters=a:r4:alpha1:q steps=evict:a").find("not resident") !=
        std::string::npos);
  CHECK(error_of(start + "adapters=a:r4:alpha1:q steps=load:a@0,evict:a tokens=a")
            .find("no slot holds") != std::string::npos);
  CHECK(error_of(start + "dtype=bf8").find("expected bf16, fp16 or fp32") != std::string::npos);
  CHECK(error_of(start + "dp=3").find("does not divide") != std::string::npos);
  CHECK(error_of(start + "seed=1.5").find("seed=1.5") != std::string::npos);
  CHECK(error_of(start + "slots=1 adapters=a:r4:alpha1:q,b:r4:alpha1:q").find("do not fit") !=
        std::string::npos);
}
