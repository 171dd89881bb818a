#include <fmt/format.h>

#include "sim/base/decimal.hpp"
#include "tests/support.hpp"
#include "verify/case/case_values.hpp"

using namespace tplora;
using namespace tplora::core;

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
  CHECK(error_of("model=m engine=e tp=0").find("expected a decimal integer from 1 to 1024") !=
        std::string::npos);
  CHECK(error_of(start + "R=-3").find("R=-3: expected a decimal integer") != std::string::npos);
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

TEST_CASE("an integer is decimal or refused, wherever one is read", "[case]") {
  for (const char* text : {"010", "0x10", "+8", "-0", "00", " 8", "8 ", "8.0", "1e1", "", "-",
                           "9223372036854775808"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_decimal(text));
  }
  for (const char* text : {"0", "8", "-8", "9223372036854775807", "-9223372036854775808"}) {
    const auto value = parse_decimal(text);
    REQUIRE(value);
    CHECK(std::to_string(*value) == text);
  }
  CHECK(parse_decimal<std::uint64_t>("18446744073709551615") == 18446744073709551615U);
  CHECK_FALSE(parse_decimal<std::uint64_t>("-1"));
  const std::string start = "model=m engine=e tp=2 ";
  CHECK(error_of("model=m engine=e tp=010") ==
        "case line: tp=010: expected a decimal integer from 1 to 1024");
  CHECK(error_of(start + "seed=01") ==
        "case line: seed=01: expected a decimal integer from 0 to 2^64-1");
  CHECK(error_of(start + "adapters=a:r016:alpha4:q").find("lora_rank of a=016") !=
        std::string::npos);
  CHECK(error_of(start + "adapters=a:r4:alpha4:q steps=load:a@00").find("decimal integer") !=
        std::string::npos);
  CHECK(error_of(start + "accumulator=tensor_core:hopper,split=02").find("decimal integer") !=
        std::string::npos);
}

TEST_CASE("names with blanks and percent signs stand in a line as codes", "[case]") {
  for (const char* name : {"a b", "100%", "%20", "%", "%2", "%%20", "tab\t\n\v\f\r end", "%0a"}) {
    CAPTURE(name);
    CHECK(escape(name).find_first_of(" \t\n\v\f\r") == std::string::npos);
    CHECK(unescape(escape(name)) == name);
    const auto one = with_deployment({}, name, name, 2);
    REQUIRE(one);
    Case whole = *one;
    whole.layer = name;
    whole.tokens = {-1};
    CHECK(parse_case(print_case(whole)) == whole);
  }
}

TEST_CASE("a model path with a blank works in suites as in case lines", "[case]") {
  const test::TemporaryFolder folder;
  const std::string model =
      folder
          .write("my 100% model.json",
                 R"({"model_type": "llama", "hidden_size": 64, "num_attention_heads": 8,
                     "num_key_value_heads": 2, "num_hidden_layers": 1})")
          .string();
  const auto suite = parse_suite(
      fmt::format(R"({{"format": "tplora-suite/1", "name": "s", "cases": [{{"models": ["{}"],
                      "engines": ["sglang"], "tp": [2], "case": "R=16"}}]}})",
                  model),
      folder.path() / "suite.json", test::configs());
  REQUIRE(suite);
  const std::string line = print_case(suite->cases.at(0).spec);
  CHECK(line.find("my%20100%25%20model.json ") != std::string::npos);
  const auto one = parse_case(line);
  REQUIRE(one);
  CHECK(*one == suite->cases.at(0).spec);
  CHECK(one->model == model);
  CHECK(prepare(*one, test::configs()));
}

TEST_CASE("a suite's line says neither model nor engine nor tp", "[case]") {
  for (const char* key : {"model", "engine", "tp"}) {
    const auto scenario = parse_scenario(fmt::format("R=8 {}=2", key));
    REQUIRE_FALSE(scenario);
    CHECK(scenario.error().text().find(fmt::format("found the key \"{}\"", key)) !=
          std::string::npos);
  }
  const auto scenario = parse_scenario("R=8 dp=2 adapters=a:r4:alpha4:q");
  REQUIRE(scenario);
  CHECK(*with_deployment(*scenario, "m", "e", 4) ==
        *parse_case("model=m engine=e tp=4 R=8 dp=2 adapters=a:r4:alpha4:q"));
  CHECK_FALSE(with_deployment(*scenario, "m", "e", 3));
  CHECK_FALSE(with_deployment(*scenario, "m", "e", 0));
  CHECK_FALSE(with_deployment(*scenario, "m", "e", 1026));
}
