#include "verify/case/bug_record.hpp"

#include <array>

#include "sim/base/fields.hpp"
#include "verify/case/verdict_words.hpp"

namespace tplora::core {
namespace {

BugRecord::BugCase read_case(const JsonView& view, FirstError& errors) {
  static constexpr std::array<Word<std::string_view>, 2> kShapeChecks = {
      {{"pass", "pass"}, {"fail", "fail"}}};
  static constexpr std::array<Word<std::string_view>, 3> kRoles = {
      {{"published", "published"}, {"smallest", "smallest"}, {"invisible", "invisible"}}};
  const Fields fields(
      view, errors,
      {"role", "model", "layer", "tp_size", "case", "verdict", "shape_check", "finding"});
  return {.role = std::string(fields.word("role", kRoles)),
          .model = fields.text("model"),
          .layer = fields.text("layer", Need::optional),
          .tp_size = fields.positive_integer("tp_size"),
          .case_line = fields.text("case", Need::optional),
          .verdict = fields.word("verdict", kVerdictWords),
          .shape_check = std::string(fields.word("shape_check", kShapeChecks)),
          .finding = fields.texts("finding", Need::optional)};
}

BugRecord read_record(const JsonView& view, FirstError& errors) {
  const Fields fields(view, errors,
                      {"title", "links", "published", "symptom", "inferred", "lesson", "expect"});
  BugRecord record{.title = fields.text("title"),
                   .links = fields.texts("links"),
                   .published = fields.text("published"),
                   .symptom = fields.text("symptom"),
                   .inferred = fields.text("inferred", Need::optional),
                   .lesson = fields.text("lesson"),
                   .cases = {}};
  for (const JsonView& entry : fields.entries("expect")) {
    record.cases.push_back(read_case(entry, errors));
  }
  return record;
}

}  // namespace

Result<std::optional<BugRecord>> parse_bug_record(std::string_view text,
                                                  const std::filesystem::path& file) {
  const auto json = parse_json(text, file.string());
  if (!json) {
    return fail(json.error());
  }
  const auto view = JsonView(*json, file.string()).find("bug");
  if (!view) {
    return std::nullopt;
  }
  FirstError errors;
  return errors.result(std::optional(read_record(*view, errors)));
}

Result<std::optional<BugRecord>> read_bug_record(const std::filesystem::path& file) {
  return read_text_file(file).and_then(
      [&](const std::string& text) { return parse_bug_record(text, file); });
}

}  // namespace tplora::core
