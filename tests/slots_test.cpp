// Which slot an adapter gets where the case leaves it to the engine.
#include "verify/case/slots.hpp"

#include "tests/support.hpp"
#include "verify/case/case_values.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

std::string chosen(const std::string& rest, const PoolSection& pool) {
  const auto one = parse_case("model=H=2,KV=2,D=1,hidden=16 engine=e tp=2 " + rest);
  if (!one) {
    return one.error().sentence;
  }
  const auto with = choose_slots(*one, pool);
  if (!with) {
    return with.error().sentence;
  }
  return print_steps(with->steps, with->adapters);
}

const std::string kAdapters =
    "slots=2 adapters=a:r1:alpha1:qkv,b:r1:alpha1:qkv,c:r1:alpha1:qkv tokens=c ";

}  // namespace

TEST_CASE("the lowest empty slot comes first, then the least recently used or the oldest",
          "[slots]") {
  const std::string steps = "steps=load:a,load:b,use:a,load:c";
  CHECK(chosen(kAdapters + steps, {.evict = PoolEvict::lru}) == "load:a@0,load:b@1,load:c@1");
  CHECK(chosen(kAdapters + steps, {.evict = PoolEvict::fifo}) == "load:a@0,load:b@1,load:c@0");
  CHECK(chosen(kAdapters + "steps=load:a,load:b,evict:a,load:c", {}) ==
        "load:a@0,load:b@1,evict:a,load:c@0");
  // A slot that the case names counts as taken.
  CHECK(chosen(kAdapters + "steps=load:a@1,load:b,load:c", {}) == "load:a@1,load:b@0,load:c@1");
}

TEST_CASE("the base model holds slot 0 while a token has no adapter, and loses it last",
          "[slots]") {
  const PoolSection base{.base = PoolBase::slot};
  const std::string adapters = "adapters=a:r1:alpha1:qkv,b:r1:alpha1:qkv steps=load:a,load:b ";
  CHECK(chosen(adapters + "slots=3 tokens=a,b,-", base) == "load:a@1,load:b@2");
  CHECK(chosen(adapters + "slots=3 tokens=a,b,-", {}) == "load:a@0,load:b@1");
  CHECK(chosen(adapters + "slots=3 tokens=a,b", base) == "load:a@0,load:b@1");
  // An adapter makes room before the base model does.
  CHECK(chosen(adapters + "slots=2 tokens=b,-", base) == "load:a@1,load:b@1");
  CHECK(chosen("adapters=a:r1:alpha1:qkv steps=load:a slots=1 tokens=a,-", base) == "load:a@0");
}

TEST_CASE("what makes no sense once slots are chosen is refused", "[slots]") {
  CHECK(chosen(kAdapters + "steps=load:a,load:b,load:c,use:a", {}).find("is not resident") !=
        std::string::npos);
  CHECK(chosen(kAdapters + "steps=load:c,load:c", {}).find("is already resident") !=
        std::string::npos);
  CHECK(chosen(kAdapters + "steps=load:c,load:a,load:b", {}).find("which no slot holds") !=
        std::string::npos);
  const auto open = parse_case(
      "model=H=2,KV=2,D=1,hidden=16 engine=e tp=2 adapters=a:r1:alpha1:qkv steps=load:a");
  REQUIRE(!open);
  CHECK(open.error().sentence.find("expected tokens=") != std::string::npos);
}

TEST_CASE("an engine's own choice leads to what its pool then does", "[slots]") {
  // c takes b's slot under lru: a rank-1 adapter behind a rank-2 one, in a pool that clears
  // nothing.
  const auto one = parse_case(
      "model=H=4,KV=2,D=2,hidden=16 engine=sglang tp=4 R=2 slots=2 adapters=a:r1:alpha1:qkv,"
      "b:r2:alpha2:qkv,c:r1:alpha1:qkv steps=load:a,load:b,use:a,load:c tokens=a,c");
  REQUIRE(one);
  const auto item = prepare(*one, test::configs());
  REQUIRE(item);
  const LayoutCase input = layout_case(item->spec, *item->geometry);
  Analyser analyser;
  const Analysis& analysis = analyser.run(*item->contract, input);
  CHECK(analysis.verdict == Verdict::consistent);
  REQUIRE(analysis.live.size() == 2);
  CHECK(analysis.live[0].adapter == 0);
  CHECK(analysis.live[1].adapter == 2);
  CHECK(analysis.live[1].slot == 1);
}
