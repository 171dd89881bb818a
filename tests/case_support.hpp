// What tests of whole cases need: contracts with edits, and a case run from its line.
#pragma once

#include <string>

#include "tests/support.hpp"
#include "verify/run/runner.hpp"

namespace tplora::test {

/// A contract of the repository with edits, as a file.
inline std::string edited(const TemporaryFolder& folder, const std::string& engine,
                          const std::string& edits) {
  const std::string file = (configs().root / ("engines/" + engine + ".json")).string();
  return folder
      .write("edited.json",
             R"({"format": "tplora-contract/1", "extends": ")" + file + "\", " + edits + "}")
      .string();
}

/// With numbers.
inline PreparedCase prepared(const std::string& line) {
  auto item =
      parse_case(line).and_then([](const Case& one) { return prepare(one, test::configs()); });
  if (!item) {
    FAIL(item.error().text());
  }
  item->numbers = true;
  return *item;
}

inline CaseOutcome run(const std::string& line) {
  auto outcomes = run_cases({prepared(line)}, {});
  if (!outcomes) {
    FAIL(outcomes.error().text());
  }
  return outcomes->front();
}

}  // namespace tplora::test
