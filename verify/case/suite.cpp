#include "verify/case/suite.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "sim/base/fields.hpp"
#include "sim/base/printable.hpp"
#include "verify/case/case_lines.hpp"
#include "verify/case/case_values.hpp"
#include "verify/case/condition.hpp"
#include "verify/case/exclusions.hpp"
#include "verify/case/library.hpp"
#include "verify/case/pins.hpp"
#include "verify/case/suite_names.hpp"

namespace tplora::core {
namespace {

bool is_digest(const std::string& text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// Far above any sweep in use: what is read and held before the first case runs. Strings and lists
/// of a case are of the order of its line.
constexpr std::size_t kMaxCases = 100'000;
constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;

constexpr std::array<Word<SuiteMode>, 2> kModeWords = {
    {{"check", SuiteMode::check}, {"report", SuiteMode::report}}};

/// Pins and cases of one file.
class SuiteReader {
 public:
  SuiteReader(const Json& json, const std::filesystem::path& file, const ConfigFolders& configs)
      : root_(json, file.string()),
        configs_(configs),
        library_(configs),
        names_(library_, configs, file.parent_path()) {}

  Result<Suite> read() {
    const Fields fields(root_, errors_,
                        {"format", "name", "about", "mode", "explain", "cases", "pins", "digest"});
    fields.format("tplora-suite/1");
    suite_.name = fields.text("name");
    suite_.mode = fields.word("mode", kModeWords, SuiteMode::check);
    suite_.digest = fields.text("digest", Need::optional);
    if (const auto digest = fields.find("digest", Need::optional);
        digest && !is_digest(suite_.digest)) {
      errors_.refuse(digest->expected("16 hexadecimal digits, as the run prints them"));
    }
    const auto explain = fields.find("explain", Need::optional);
    explain_ = explain ? errors_.take(explain->boolean()) : suite_.mode == SuiteMode::check;
    refuse_in_report_mode(fields, "pins");
    for (const JsonView& entry : fields.entries("cases")) {
      if (errors_.none()) {
        add_entry(entry);
      }
    }
    if (errors_.none()) {
      apply_pins(fields, names_, errors_, suite_);
    }
    return errors_.result(std::move(suite_));
  }

 private:
  struct Named {
    std::string name;
    JsonView view;  ///< where it is written, or the pattern that it fits
  };
  struct Entry {
    std::vector<Named> models, engines;
    std::vector<std::int64_t> tp_sizes;
    std::vector<Case> scenarios;  ///< on no model yet
    std::size_t line_bytes = 0;   ///< of the longest
    bool fit = false;             ///< scenarios to what each engine takes
    std::int64_t numbers = 0;     ///< of each n-th case; 0: of none
    std::optional<Formula> refused_when;
  };

  void refuse_in_report_mode(const Fields& fields, const char* key) {
    if (const auto field = fields.find(key, Need::optional);
        field && suite_.mode == SuiteMode::report) {
      errors_.refuse(field->error("in mode report nothing is expected of a case, expected none"));
    }
  }

  void add_entry(const JsonView& view) {
    const Fields fields(view, errors_,
                        {"about", "models", "engines", "bugs", "tp", "case", "vary", "fit",
                         "numbers", "exclude", "refused_when"});
    refuse_in_report_mode(fields, "refused_when");
    refuse_in_report_mode(fields, "bugs");
    Entry entry;
    if (const auto line = fields.find("case")) {
      for (const std::string& one : errors_.take(
               case_lines(*line, fields.find("vary", Need::optional), kMaxCases, kMaxLineBytes))) {
        add_line(*line, one, entry);
      }
    }
    entry.fit = fields.flag("fit", Need::optional);
    entry.numbers = read_numbers(fields);
    entry.refused_when = read_condition(fields, "refused_when", errors_);
    if (const auto bugs = fields.find("bugs", Need::optional)) {
      for (const char* key : {"models", "engines", "tp", "vary", "fit", "exclude"}) {
        if (const auto field = fields.find(key, Need::optional)) {
          errors_.refuse(field->error("cases of \"bugs\" are those of their files, expected none"));
        }
      }
      add_bugs(*bugs, fields.some_texts("bugs"), entry);
    } else {
      read_grid(fields, entry);
      Exclusions exclusions(fields, names_, errors_);
      add_grid(view, entry, exclusions);
    }
  }

  /// true, false, or {"every": 50}.
  std::int64_t read_numbers(const Fields& fields) {
    const auto field = fields.find("numbers", Need::optional);
    if (!field || !field->json().is_object()) {
      return fields.flag("numbers", Need::optional) ? 1 : 0;
    }
    return Fields(*field, errors_, {"every"}).positive_integer("every");
  }

  void add_line(const JsonView& where, const std::string& line, Entry& entry) {
    auto scenario = parse_scenario(line);
    if (!scenario) {
      errors_.refuse(where.error(scenario.error().text()));
      return;
    }
    entry.scenarios.push_back(*std::move(scenario));
    entry.line_bytes = std::max(entry.line_bytes, line.size());
  }

  void read_grid(const Fields& fields, Entry& entry) {
    entry.models =
        names_in(fields, "models", [&](const std::string& one) { return names_.models(one); });
    entry.engines =
        names_in(fields, "engines", [&](const std::string& one) { return names_.engines(one); });
    if (const auto tp = fields.find("tp")) {
      entry.tp_sizes = errors_.take(number_list(*tp, kMaxRanks));
    }
  }

  /// Each once, in the order in which they are named.
  template <class Names>
  std::vector<Named> names_in(const Fields& fields, const char* key, const Names& names) {
    std::vector<Named> all;
    std::set<std::string> seen;
    const auto list = fields.find(key);
    const auto texts = fields.some_texts(key);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      auto some = names(texts[i]);
      if (!some) {
        errors_.refuse(some.error().place.empty()
                           ? list->element(i).error(some.error().sentence).value()
                           : std::move(some.error()));
        return {};
      }
      for (std::string& name : *some) {
        if (seen.insert(name).second) {
          all.push_back({std::move(name), list->element(i)});
        }
      }
      if (all.size() > kMaxCases) {
        errors_.refuse(too_many_cases(fields.view()));
        return {};
      }
    }
    return all;
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

  /// A case for each layer kind; one where the model cannot be read, or its engine be asked.
  std::vector<PreparedCase> cases_of(const JsonView& where, const Entry& entry,
                                     const Case& scenario, const Named& model, const Named& engine,
                                     std::int64_t tp_size) {
    const auto loaded = library_.engine(engine.name);
    if (!loaded) {
      errors_.refuse(engine.view.error(loaded.error().text()));
      return {};
    }
    auto one = with_deployment(scenario, model.name, engine.name, tp_size);
    if (!one) {
      errors_.refuse(where.error(one.error().text()));
      return {};
    }
    if (entry.fit) {
      fit_to_engine(*one, loaded->contract());
    }
    const auto read = library_.model(model.name);
    auto prepared = read ? prepare_layers(*one, **read, *loaded) : fail(read.error());
    if (!prepared) {
      const Error why = prepared.error();
      const JsonView& place = read ? where : model.view;
      prepared = std::vector<PreparedCase>(1);
      prepared->front().spec = *std::move(one);
      prepared->front().unreadable = why.place.empty() ? place.error(why.sentence).value() : why;
    }
    for (PreparedCase& item : *prepared) {
      item.explain = explain_;
      item.numbers = entry.numbers > 0 && counted_++ % entry.numbers == 0;
      item.expect.verdict = item.geometry ? Verdict::consistent : Verdict::not_applicable;
      if (suite_.mode == SuiteMode::report) {
        item.expect.verdict.reset();
      }
    }
    return *std::move(prepared);
  }

  void add_grid(const JsonView& view, const Entry& entry, Exclusions& exclusions) {
    // Each factor is at most 2^20, so that the product may be larger than 64 bits count.
    const double count =
        static_cast<double>(entry.models.size()) * static_cast<double>(entry.engines.size()) *
        static_cast<double>(entry.tp_sizes.size()) * static_cast<double>(entry.scenarios.size());
    constexpr double kMost = 1e9;
    if (!make_room(view, static_cast<std::size_t>(std::min(count, kMost)), entry.line_bytes)) {
      return;
    }
    counted_ = 0;
    for (const Named& engine : entry.engines) {
      for (const Named& model : entry.models) {
        for (const Case& scenario : entry.scenarios) {
          for (const std::int64_t tp_size : entry.tp_sizes) {
            for (PreparedCase& item : cases_of(view, entry, scenario, model, engine, tp_size)) {
              expect_refusal(entry, item);
              if (!errors_.take(exclusions.leaves_out(item))) {
                suite_.cases.push_back(std::move(item));
              }
            }
            if (!errors_.none()) {
              return;
            }
          }
        }
      }
    }
    errors_.take(exclusions.all_used());
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
    const auto known = errors_.take(list_contracts(configs_.root, "bugs"));
    for (const std::string& name : names) {
      if (!name.ends_with(".json") && std::find(known.begin(), known.end(), name) == known.end()) {
        errors_.refuse(view.error(fmt::format(
            "no bug is called {}, expected \"*\" or names of tplora list bugs", excerpt(name))));
        return;
      }
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
      own.scenarios.clear();
      add_line(view, published.case_line, own);
    }
    if (!errors_.none() || !make_room(view, 1, own.line_bytes)) {
      return;
    }
    for (PreparedCase& item : cases_of(view, own, own.scenarios.front(), {published.model, view},
                                       {name, view}, published.tp_size)) {
      if (!item.unreadable &&
          (!item.geometry || (!published.layer.empty() && item.spec.layer != published.layer))) {
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
  SuiteNames names_;
  FirstError errors_;
  Suite suite_;
  bool explain_ = true;
  std::size_t line_bytes_ = 0;
  std::int64_t counted_ = 0;  ///< cases of the entry, for those whose numbers are run
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
