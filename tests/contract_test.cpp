#include "tests/support.hpp"

using namespace tplora;
using test::TemporaryFolder;

namespace {

std::string error_of(const TemporaryFolder& folder, const std::string& text) {
  auto contract = read_contract(folder.write("case.json", text));
  REQUIRE_FALSE(contract);
  return contract.error().text();
}

std::string extending(const std::string& rest) {
  return R"({"extends": ")" + (test::configs().root / "engines/sglang.json").string() + "\", " +
         rest + "}";
}

}  // namespace

TEST_CASE("every contract of the repository compiles", "[contract]") {
  for (const char* kind : {"engines", "bugs"}) {
    const auto names = list_contracts(test::configs().root, kind);
    CHECK_FALSE(names.empty());
    for (const auto& name : names) {
      CHECK(test::contract(name).name == name);
    }
  }
}

TEST_CASE("a bug is its engine with formulas replaced", "[contract]") {
  const Contract fixed = test::contract("sglang");
  const Contract bug = test::contract("sglang-24420");
  CHECK(bug.engine == fixed.engine);
  CHECK(bug.lora_b.buffers[0].rows.text() == "(H*gate + 2*KV)*D/T");
  CHECK(bug.lora_b.buffers[0].rows.place().ends_with(
      "sglang-24420.json#/replace/~1lora_b~1buffers~1B"));
  CHECK(bug.kernel[2].out.text() == fixed.kernel[2].out.text());
  CHECK(bug.kernel[2].out.place().ends_with("sglang.json#/kernel/2/out"));
  REQUIRE(bug.bug);
  CHECK(bug.bug->expect.size() == 7);
}

TEST_CASE("a formula's phase is that of its latest symbol", "[contract]") {
  const Contract contract = test::contract("sglang");
  CHECK(contract.phase_of(contract.owns.first_q) == Phase::tp_rank);
  CHECK(contract.phase_of(contract.kernel[0].depth) == Phase::adapter);
}

TEST_CASE("extends adds, removes and replaces, and says where each value was written",
          "[contract]") {
  const TemporaryFolder folder;
  const auto file = folder.write(
      "mine.json",
      extending(R"("add": {"/let/extra": "h + 1", "/kernel/-": {"a": "A", "a_at": "0", "b": "B",
                "b_at": "0", "out": "0", "rows": "extra", "depth": "r"}},
                "remove": ["/checks/3"], "view": {"gather": "all", "order": "per_group"})"));
  const auto contract = read_contract(file);
  REQUIRE(contract);
  CHECK(contract->kernel.size() == 4);
  CHECK(contract->checks.size() == 3);
  CHECK(contract->view.gather == ViewGather::all);
  CHECK(contract->kernel[3].rows.place() == file.string() + "#/add/~1kernel~1-/rows");
}

TEST_CASE("a bad contract is refused with one sentence that names file and pointer",
          "[contract]") {
  const TemporaryFolder folder;
  const auto has = [&](const std::string& text, const std::string& part) {
    const std::string error = error_of(folder, text);
    CAPTURE(error);
    CHECK(error.find(part) != std::string::npos);
    CHECK(error.find("case.json") != std::string::npos);
    CHECK(error.find('\n') == std::string::npos);
  };
  has("{", "not valid JSON");
  has("[]", "expected an object");
  has("{}", "\"format\" is missing");
  has(R"({"format": "tplora-contract/9"})", "expected \"tplora-contract/1\"");
  has(R"({"a": 1, "a": 2})", "stands twice");
  has(extending(R"("surprise": 1)"), "unknown key \"surprise\"");
  has(extending(R"("replace": {"/lora_b/bufers": 1})"), "has no /lora_b/bufers");
  has(extending(R"("add": {"/let/h": "1"})"), "stands in the extended contract already");
  has(extending(R"("remove": ["/nothing"])"), "has no /nothing");
  has(extending(R"("replace": {"let": 1})"), "not a JSON pointer");
  has(extending(R"("add": {"/kernel/1000000000": {}})"), "nothing can stand at");
  has(extending(R"("add": {"/nowhere/x": {}})"), "nothing can stand at");
  has(extending(R"("remove": ["/kernel/99999999999999999999"])"), "has no /kernel/9999");
  has(extending(R"("replace": {"/let/h": "H/"})"), "#/replace/~1let~1h: column 3: found the end");
  has(extending(R"("replace": {"/let/h": "n"})"), "unknown name \"n\"");
  has(extending(R"("replace": {"/kernel/0/b": "C"})"), "no buffer is called \"C\"");
  has(extending(R"("replace": {"/lora_b/fit": "loose"})"), "expected one of \"exact\", \"corner\"");
  has(extending(R"("replace": {"/lora_b/buffers/B": "3*r"})"), "before any adapter is known");
  has(extending(R"("replace": {"/weight/copies/0/rows": "r"})"), "cannot depend on an adapter");
  has(extending(R"("replace": {"/weight/copies": []})"), "expected at least one copy");
  CHECK(error_of(folder, extending(R"("remove": ["/owns"])")).find("\"owns\" is missing") !=
        std::string::npos);
  has(R"({"extends": "nowhere"})", "no contract \"nowhere\"");
  has(R"({"extends": "case"})", "`extends` leads back to this file");
}

TEST_CASE("an extends cycle over two files is refused", "[contract]") {
  const TemporaryFolder folder;
  folder.write("one.json", R"({"extends": "two"})");
  const auto contract = read_contract(folder.write("two.json", R"({"extends": "one"})"));
  REQUIRE_FALSE(contract);
  CHECK(contract.error().text().find("leads back") != std::string::npos);
}
