#include "verify/case/suite.hpp"

#include <fmt/format.h>

#include "sim/base/fields.hpp"
#include "verify/case/condition.hpp"
#include "verify/case/library.hpp"
#include "verify/case/pins.hpp"

namespace tplora::core {
namespace {

bool is_digest(const std::string& text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// Far above any sweep in use: what is read and held before the first case runs. Strings and lists
/// of a case are of the order of its line.
constexpr std::size_t kMaxCases = 100'000;
constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;

/// Pins and cases of one file.
class SuiteReader {
 public:
  SuiteReader(const Json& json, const std::filesystem::path& file, const ConfigFolders& configs)
      : root_(json, file.string()), configs_(configs), library_(configs) {}

  Result<Suite> read() {
    const Fields fields(root_, errors_, {"format", "name", "about", "cases", "pins", "digest"});
    fields.format("tplora-suite/1");
    suite_.name = fields.text("name");
    suite_.digest = fields.text("digest", Need::optional);
    if (const auto digest = fields.find("digest", Need::optional);
        digest && !is_digest(suite_.digest)) {
      errors_.refuse(digest->expected("16 hexadecimal digits, as the run prints them"));
    }
    for (const JsonView& entry : fields.entries("cases")) {
      if (errors_.none()) {
        add_entry(entry);
      }
    }
    if (errors_.none()) {
      apply_pins(fields, errors_, suite_);
    }
    return errors_.result(std::move(suite_));
  }

 private:
  struct Entry {
    std::vector<std::string> models, engines;
    std::vector<std::int64_t> tp_sizes;
    Case scenario;  ///< on no model yet
    std::size_t line_bytes = 0;
    bool numbers = false;
    std::optional<Formula> refused_when;
  };

  void add_entry(const JsonView& view) {
    const Fields fields(view, errors_,
                        {"models", "engines", "bugs", "tp", "case", "numbers", "refused_when"});
    Entry entry;
    if (const auto line = fields.find("case")) {
      set_line(*line, fields.text("case"), entry);
    }
    entry.numbers = fields.flag("numbers", Need::optional);
    entry.refused_when = read_condition(fields, "refused_when", errors_);
    if (const auto bugs = fields.find("bugs", Need::optional)) {
      add_bugs(*bugs, fields.texts("bugs"), entry);
    } else {
      read_grid(fields, entry);
      add_grid(view, entry);
    }
  }

  void set_line(const JsonView& where, const std::string& line, Entry& entry) {
    auto scenario = parse_scenario(line);
    if (!scenario) {
      errors_.refuse(where.error(scenario.error().text()));
      return;
    }
    entry.scenario = *std::move(scenario);
    entry.line_bytes = line.size();
  }

  void read_grid(const Fields& fields, Entry& entry) {
    const auto models = fields.texts("models");
    entry.engines = fields.texts("engines");
    entry.tp_sizes = fields.positive_integers("tp");
    for (const std::string& model : models) {
      if (model == "*") {
        const auto all = errors_.take(library_.all_models());
        entry.models.insert(entry.models.end(), all.begin(), all.end());
      } else {
        entry.models.push_back(model);
      }
      if (entry.models.size() > kMaxCases) {
        errors_.refuse(too_many_cases(fields.view()));
        return;
      }
    }
  }

  static tl::unexpected<Error> too_many_cases(const JsonView& where) {
    return where.error(
        fmt::format("found more than {} cases, expected at most that many in a suite", kMaxCases));
  }

  /// Before any of `cases` cases with a line of so many bytes is made, whatever they come to.
  /// Whether there is room, and no error so far.
  bool make_room(const JsonView& where, std::size_t cases, std::size_t line_bytes) {
    if (cases > kMaxCases || suite_.cases.size() + cases > kMaxCases) {
      errors_.refuse(too_many_cases(where));
      return false;
    }
    line_bytes_ += cases * line_bytes;
    if (line_bytes_ > kMaxLineBytes) {
      errors_.refuse(
          where.error(fmt::format("found more than {} MiB of case lines, expected at most that "
                                  "many in a suite",
                                  kMaxLineBytes >> 20U)));
    }
    return errors_.none();
  }

  std::vector<PreparedCase> cases_of(const JsonView& where, const Entry& entry,
                                     const std::string& model, const std::string& engine,
                                     std::int64_t tp_size) {
    auto prepared =
        with_deployment(entry.scenario, model, engine, tp_size).and_then([&](const Case& one) {
          return library_.prepare(one);
        });
    if (!prepared) {
      errors_.refuse(where.error(prepared.error().text()));
      return {};
    }
    for (PreparedCase& item : *prepared) {
      item.numbers = entry.numbers;
      item.expect.verdict = item.geometry ? Verdict::consistent : Verdict::not_applicable;
    }
    return *std::move(prepared);
  }

  void add_grid(const JsonView& view, const Entry& entry) {
    // Each factor is below 2^20, a file's limit, so the product fits.
    const std::size_t count = entry.models.size() * entry.engines.size() * entry.tp_sizes.size();
    if (!make_room(view, count, entry.line_bytes)) {
      return;
    }
    for (const std::string& engine : entry.engines) {
      for (const std::string& model : entry.models) {
        for (const std::int64_t tp_size : entry.tp_sizes) {
          for (PreparedCase& item : cases_of(view, entry, model, engine, tp_size)) {
            expect_refusal(entry, item);
            suite_.cases.push_back(std::move(item));
          }
          if (!errors_.none()) {
            return;
          }
        }
      }
    }
  }

  /// A contract that refuses everything keeps every law, so a suite says which refusals are right.
  void expect_refusal(const Entry& entry, PreparedCase& item) {
    if (entry.refused_when && item.geometry &&
        errors_.take(evaluate_for(*entry.refused_when, item)) != 0) {
      item.expect.verdict = Verdict::refused;
      item.expect.reason = entry.refused_when->text();
    }
  }

  void add_bugs(const JsonView& view, std::vector<std::string> names, const Entry& entry) {
    if (names == std::vector<std::string>{"*"}) {
      names = errors_.take(list_contracts(configs_.root, "bugs"));
    }
    for (const std::string& name : names) {
      const auto bug = library_.bug_record(name);
      if (!bug) {
        errors_.refuse(view.error(bug.error().text()));
      } else if (*bug == nullptr) {
        errors_.refuse(view.error(fmt::format("contract \"{}\" has no bug record", name)));
      }
      if (!errors_.none()) {
        return;
      }
      for (const BugRecord::BugCase& published : (*bug)->cases) {
        add_bug_case(view, entry, name, **bug, published);
      }
    }
  }

  void add_bug_case(const JsonView& view, const Entry& entry, const std::string& name,
                    const BugRecord& bug, const BugRecord::BugCase& published) {
    Entry own = entry;
    if (!published.case_line.empty()) {
      set_line(view, published.case_line, own);
    }
    if (!make_room(view, 1, own.line_bytes)) {
      return;
    }
    for (PreparedCase& item : cases_of(view, own, published.model, name, published.tp_size)) {
      if (!item.geometry || (!published.layer.empty() && item.spec.layer != published.layer)) {
        continue;
      }
      item.expect = {.verdict = published.verdict,
                     .shape_check = published.shape_check,
                     .finding = published.finding,
                     .reason = bug.symptom,
                     .link = bug.links.empty() ? "" : bug.links.front()};
      item.role = published.role;
      suite_.cases.push_back(std::move(item));
    }
  }

  JsonView root_;
  const ConfigFolders& configs_;
  Library library_;
  FirstError errors_;
  Suite suite_;
  std::size_t line_bytes_ = 0;
};

}  // namespace

Result<Suite> read_suite(const std::filesystem::path& file, const ConfigFolders& configs) {
  return read_text_file(file).and_then(
      [&](const std::string& text) { return parse_suite(text, file, configs); });
}

Result<Suite> parse_suite(std::string_view text, const std::filesystem::path& file,
                          const ConfigFolders& configs) {
  return parse_json(text, file.string()).and_then([&](const Json& json) {
    return SuiteReader(json, file, configs).read();
  });
}

}  // namespace tplora::core
