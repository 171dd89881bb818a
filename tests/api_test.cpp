#include <algorithm>
#include <thread>

#include "tests/catch.hpp"
#include "tplora/tplora.hpp"
#include "verify/compare/digest.hpp"

namespace {

tplora::Configs configs() {
  return *tplora::open_configs(TPLORA_SOURCE_DIR "/configs");
}

tplora::Engine engine(const std::string& name) {
  return *tplora::load_engine(configs(), name);
}

tplora::QkvGeometry geometry() {
  return *tplora::make_geometry(
      {.hidden_size = 64, .num_attention_heads = 8, .num_key_value_heads = 2, .head_dim = 16});
}

bool says(const tplora::Error& error, const std::string& part) {
  INFO(error.text());
  return error.text().find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("golden outputs are those of the ranks of a consistent engine, bit for bit", "[api]") {
  for (const std::int64_t tp_size : {1, 2, 4, 8}) {
    for (const std::string dtype : {"bf16", "fp32"}) {
      const tplora::Serving serving{
          .tp_size = tp_size,
          .scenario =
              "slots=3 adapters=a:r8:alpha16:qkv,b:r16:alpha16:qv tokens=a,-,b,a dtype=" + dtype,
          .numbers = true};
      const auto golden = tplora::golden(engine("sglang"), geometry(), serving);
      const auto report = tplora::check(engine("sglang"), geometry(), serving);
      REQUIRE(golden.has_value());
      REQUIRE(report.has_value());
      REQUIRE(report->verdict == tplora::Verdict::consistent);
      REQUIRE(report->numbers.has_value());
      tplora::core::Digest digest;
      for (const tplora::GoldenRank& rank : golden->ranks) {
        CHECK(rank.y.size() == static_cast<std::size_t>(golden->tokens * rank.width));
        std::for_each(rank.y.begin(), rank.y.end(), [&](float value) { digest.add(value); });
      }
      CHECK(digest.value() == report->numbers->digest);
      CHECK(report->numbers->wrong == 0);
    }
  }
}

TEST_CASE("golden outputs do not follow a contract that is wrong", "[api]") {
  const tplora::Serving serving{.tp_size = 4, .scenario = "adapters=a:r8:alpha16:qkv"};
  const auto right = tplora::golden(engine("sglang"), geometry(), serving);
  const auto wrong = tplora::golden(engine("sglang-24420"), geometry(), serving);
  REQUIRE(right.has_value());
  REQUIRE(wrong.has_value());
  for (std::size_t rank = 0; rank < 4; ++rank) {
    CHECK(right->ranks[rank].y == wrong->ranks[rank].y);
  }
}

TEST_CASE("the weights of a golden make its base outputs", "[api]") {
  const auto golden =
      tplora::golden(engine("sglang"), geometry(),
                     {.scenario = "adapters=a:r8:alpha16:qkv tokens=a,- data=integers"});
  REQUIRE(golden.has_value());
  const auto weight = golden->weight(tplora::Part::k, 3, 2);
  REQUIRE(weight.has_value());
  for (std::size_t token = 0; token < 2; ++token) {
    for (std::size_t row = 0; row < 2; ++row) {
      float sum = 0;  // integers: every order of summation gives the same bits
      for (std::size_t i = 0; i < 64; ++i) {
        sum += golden->x[token * 64 + i] * (*weight)[row * 64 + i];
      }
      CHECK(sum == golden->y_base[1][token * 32 + 3 + row]);
    }
  }
  CHECK(says(golden->weight(tplora::Part::k, 31, 2).error(), "rows 31 to 33 of k: expected"));
  CHECK(says(golden->weight(tplora::Part::k, -1, 2).error(), "expected rows from 0 to 32"));
}

TEST_CASE("what a caller gets wrong is an error with a sentence", "[api]") {
  CHECK(says(tplora::open_configs("/nowhere").error(), "/nowhere: found no folder engines"));
  CHECK(says(tplora::load_engine(configs(), "sglong").error(), "sglong"));
  CHECK(says(tplora::load_model(configs(), "Qwen/Qwen99").error(), "Qwen99"));
  CHECK(says(tplora::make_geometry({.hidden_size = 64, .num_attention_heads = 8}).error(),
             "num_key_value_heads"));
  const auto refused = [&](const tplora::Serving& serving) {
    return tplora::check(engine("sglang"), geometry(), serving).error();
  };
  CHECK(says(refused({.tp_size = 0}), "tp=0"));
  CHECK(says(refused({.tp_size = 4096}), "tp=4096"));
  CHECK(says(refused({.tp_size = 2, .scenario = "dp=3 adapters=a:r8:alpha16:qkv"}), "dp=3"));
  CHECK(says(refused({.scenario = "model=H=1 adapters=a:r8:alpha16:qkv"}), "model"));
  CHECK(says(refused({.scenario = "slots=1 adapters=a:r8:alpha8:q,b:r8:alpha8:q"}), "slots=1"));
  CHECK(says(refused({.scenario = "adapters=a:r8:alpha8:q steps=load:a@7"}), "7"));
  CHECK(says(refused({.scenario = "adapters=a:r8:alpha8:q tokens=b"}), "b"));
  tplora::QkvGeometry raw;  // not completed
  CHECK(says(tplora::check(engine("sglang"), raw, {}).error(), "hidden_size"));
  CHECK(says(tplora::golden(engine("sglang"), geometry(), {.tp_size = 3}).error(),
             "3 ranks for 8 query heads"));
  CHECK(says(tplora::prove(engine("sglang"), {.max_heads = 0}).error(), "max_heads 0"));
  CHECK(
      says(tplora::prove(engine("sglang"), {.max_tp_size = 4, .dp_size = 8}).error(), "dp_size 8"));
  CHECK(says(tplora::prove(engine("sglang"), {.head_dims = {}}).error(), "head_dims"));
  CHECK(says(tplora::prove(engine("sglang"), {.head_dims = {0}}).error(), "head_dim 0"));
  CHECK(says(tplora::prove(engine("sglang"), {}, -1).error(), "jobs -1"));
  const auto big = tplora::make_geometry({.hidden_size = 1 << 20,
                                          .num_attention_heads = 1 << 16,
                                          .num_key_value_heads = 1 << 16,
                                          .head_dim = 1 << 10});
  REQUIRE(big.has_value());
  CHECK(says(tplora::golden(engine("sglang"), *big, {}).error(), "multiplications"));
}

TEST_CASE("a report outlives engine and configs, and says the same in all its forms", "[api]") {
  const auto report = [] {
    return tplora::check_case(configs(),
                              "model=H=8,KV=2,D=16,hidden=64 engine=sglang-24420 tp=4 "
                              "adapters=a:r8:alpha16:qkv tokens=a,-",
                              true);
  }();
  REQUIRE(report.has_value());
  CHECK(report->verdict == tplora::Verdict::silent);
  CHECK(report->shape_check);
  CHECK(report->claimed);
  REQUIRE_FALSE(report->findings.empty());
  CHECK(report->findings.front().cause_place.find("sglang-24420.json#/replace/~1let~1K") !=
        std::string::npos);
  CHECK(report->text().find("silent") != std::string::npos);
  CHECK(report->text().find("numbers:") != std::string::npos);
  CHECK(report->json().find("\"verdict\": \"silent\"") != std::string::npos);
  REQUIRE(report->numbers.has_value());
  CHECK(report->numbers->wrong > 0);
  const auto again = tplora::check_case(configs(), report->case_line, true);
  REQUIRE(again.has_value());
  CHECK(again->text() == report->text());
}

TEST_CASE("what was moved away is an engine still, or says that it has gone", "[api]") {
  tplora::Engine first = engine("sglang");
  const tplora::Engine second = std::move(first);
  CHECK(first.name() == second.name());  // NOLINT(bugprone-use-after-move)
  auto report = tplora::check(second, geometry(), {.tp_size = 2});
  REQUIRE(report.has_value());
  const tplora::Report kept = *std::move(report);
  CHECK_FALSE(kept.text().empty());
  CHECK_THROWS(report->text());  // NOLINT(bugprone-use-after-move)
  CHECK_THROWS(report->json());
}

TEST_CASE("one engine serves several threads", "[api]") {
  const tplora::Engine shared = engine("vllm");
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&] { text = tplora::check(shared, geometry(), {.tp_size = 4})->text(); });
  }
  std::for_each(threads.begin(), threads.end(), [](std::thread& one) { one.join(); });
  CHECK(std::all_of(texts.begin(), texts.end(),
                    [&](const std::string& text) { return text == texts.front(); }));
}

TEST_CASE("a proof through the interface finds the smallest point", "[api]") {
  const auto holds = tplora::prove(engine("sglang"), {.max_heads = 8, .max_tp_size = 8});
  REQUIRE(holds.has_value());
  CHECK(holds->holds);
  CHECK_FALSE(holds->counterexample.has_value());
  const auto broken = tplora::prove(engine("sglang-24420"), {.max_heads = 8, .max_tp_size = 8});
  REQUIRE(broken.has_value());
  CHECK_FALSE(broken->holds);
  REQUIRE(broken->counterexample.has_value());
  CHECK(broken->counterexample->verdict == tplora::Verdict::silent);
  CHECK(broken->counterexample->case_line.find("H=2,KV=1,D=1") != std::string::npos);
}
