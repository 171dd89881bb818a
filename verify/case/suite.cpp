#include "verify/case/suite.hpp"

#include <fmt/format.h>

#include "sim/base/json.hpp"
#include "verify/case/library.hpp"
#include "verify/case/pins.hpp"

namespace tplora {
namespace {

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
    if (auto keys = root_.only_keys({"format", "name", "about", "cases", "pins", "digest"});
        !keys) {
      return fail(keys.error());
    }
    const auto format = root_.at("format").and_then([](const JsonView& v) { return v.string(); });
    if (!format) {
      return fail(format.error());
    }
    if (*format != "tplora-suite/1") {
      return root_.find("format")->expected("\"tplora-suite/1\"");
    }
    const auto name = root_.at("name").and_then([](const JsonView& v) { return v.string(); });
    if (!name) {
      return fail(name.error());
    }
    suite_.name = *name;
    if (const auto digest = root_.find("digest")) {
      const auto text = digest->string();
      if (!text) {
        return fail(text.error());
      }
      suite_.digest = *text;
    }
    const auto list = root_.at("cases").and_then([](const JsonView& v) { return v.elements(); });
    if (!list) {
      return fail(list.error());
    }
    for (const JsonView& entry : *list) {
      if (auto added = add_entry(entry); !added) {
        return fail(added.error());
      }
    }
    if (auto pinned = apply_pins(root_, suite_); !pinned) {
      return fail(pinned.error());
    }
    return std::move(suite_);
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

  Result<void> add_entry(const JsonView& view) {
    auto keys =
        view.only_keys({"models", "engines", "bugs", "tp", "case", "numbers", "refused_when"});
    if (!keys) {
      return keys;
    }
    Entry entry;
    if (auto common = read_common(view, entry); !common) {
      return common;
    }
    if (const auto bugs = view.find("bugs")) {
      return add_bugs(*bugs, entry);
    }
    return read_grid(view, entry).and_then([&] { return add_grid(view, entry); });
  }

  Result<void> read_common(const JsonView& view, Entry& entry) {
    const auto line = view.at("case").and_then([](const JsonView& v) { return v.string(); });
    if (!line) {
      return fail(line.error());
    }
    if (auto set = set_line(*view.find("case"), *line, entry); !set) {
      return set;
    }
    if (const auto numbers = view.find("numbers")) {
      const auto value = numbers->boolean();
      if (!value) {
        return fail(value.error());
      }
      entry.numbers = *value;
    }
    if (const auto when = view.find("refused_when")) {
      const auto text = when->string();
      if (!text) {
        return fail(text.error());
      }
      auto formula = Formula::parse(*text, when->place(), predefined_symbols());
      if (!formula) {
        return fail(formula.error());
      }
      entry.refused_when = std::move(*formula);
    }
    return {};
  }

  static Result<void> set_line(const JsonView& where, const std::string& line, Entry& entry) {
    auto scenario = parse_scenario(line);
    if (!scenario) {
      return where.error(scenario.error().text());
    }
    entry.scenario = *std::move(scenario);
    entry.line_bytes = line.size();
    return {};
  }

  Result<void> read_grid(const JsonView& view, Entry& entry) {
    const auto models = view.at("models").and_then([](const JsonView& v) { return v.strings(); });
    const auto engines = view.at("engines").and_then([](const JsonView& v) { return v.strings(); });
    const auto sizes = view.at("tp").and_then([](const JsonView& v) { return v.elements(); });
    if (const auto error = first_error(models, engines, sizes)) {
      return fail(*error);
    }
    for (const std::string& model : *models) {
      if (model == "*") {
        const auto& all = library_.all_models();
        entry.models.insert(entry.models.end(), all.begin(), all.end());
      } else {
        entry.models.push_back(model);
      }
      if (entry.models.size() > kMaxCases) {
        return too_many_cases(view);
      }
    }
    entry.engines = *engines;
    for (const JsonView& size : *sizes) {
      const auto value = size.positive_integer();
      if (!value) {
        return fail(value.error());
      }
      entry.tp_sizes.push_back(*value);
    }
    return {};
  }

  static tl::unexpected<Error> too_many_cases(const JsonView& where) {
    return where.error(
        fmt::format("found more than {} cases, expected at most that many in a suite", kMaxCases));
  }

  /// Before any of `cases` cases with a line of so many bytes is made, whatever they come to.
  Result<void> make_room(const JsonView& where, std::size_t cases, std::size_t line_bytes) {
    if (cases > kMaxCases || suite_.cases.size() + cases > kMaxCases) {
      return too_many_cases(where);
    }
    line_bytes_ += cases * line_bytes;
    return line_bytes_ <= kMaxLineBytes
               ? Result<void>()
               : where.error(
                     fmt::format("found more than {} MiB of case lines, expected at most that "
                                 "many in a suite",
                                 kMaxLineBytes >> 20U));
  }

  Result<std::vector<PreparedCase>> cases_of(const JsonView& where, const Entry& entry,
                                             const std::string& model, const std::string& engine,
                                             std::int64_t tp_size) {
    auto prepared =
        with_deployment(entry.scenario, model, engine, tp_size).and_then([&](const Case& one) {
          return library_.prepare(one);
        });
    if (!prepared) {
      return where.error(prepared.error().text());
    }
    for (PreparedCase& item : *prepared) {
      item.numbers = entry.numbers;
      item.expect.verdict = item.geometry ? Verdict::consistent : Verdict::not_applicable;
    }
    return prepared;
  }

  Result<void> add_grid(const JsonView& view, const Entry& entry) {
    // Each factor is below 2^20, a file's limit, so the product fits.
    const std::size_t count = entry.models.size() * entry.engines.size() * entry.tp_sizes.size();
    if (auto room = make_room(view, count, entry.line_bytes); !room) {
      return room;
    }
    for (const std::string& engine : entry.engines) {
      for (const std::string& model : entry.models) {
        for (const std::int64_t tp_size : entry.tp_sizes) {
          auto cases = cases_of(view, entry, model, engine, tp_size);
          if (!cases) {
            return fail(cases.error());
          }
          for (PreparedCase& item : *cases) {
            if (auto expected = expect_refusal(entry, item); !expected) {
              return expected;
            }
            suite_.cases.push_back(std::move(item));
          }
        }
      }
    }
    return {};
  }

  /// A contract that refuses everything keeps every law, so a suite says which refusals are right.
  static Result<void> expect_refusal(const Entry& entry, PreparedCase& item) {
    if (!entry.refused_when || !item.geometry) {
      return {};
    }
    const auto refused = evaluate_for(*entry.refused_when, item);
    if (!refused) {
      return fail(refused.error());
    }
    if (*refused != 0) {
      item.expect.verdict = Verdict::refused;
      item.expect.reason = entry.refused_when->text();
    }
    return {};
  }

  Result<void> add_bugs(const JsonView& view, const Entry& entry) {
    auto names = view.strings();
    if (!names) {
      return fail(names.error());
    }
    if (*names == std::vector<std::string>{"*"}) {
      names = list_contracts(configs_.root, "bugs");
    }
    for (const std::string& name : *names) {
      const auto contract = library_.contract(name);
      if (!contract) {
        return view.error(contract.error().text());
      }
      if (!(*contract)->bug) {
        return view.error(fmt::format("contract \"{}\" has no bug record", name));
      }
      for (const BugRecord::Expectation& expect : (*contract)->bug->expect) {
        if (auto added = add_bug_case(view, entry, name, *(*contract)->bug, expect); !added) {
          return added;
        }
      }
    }
    return {};
  }

  Result<void> add_bug_case(const JsonView& view, const Entry& entry, const std::string& name,
                            const BugRecord& bug, const BugRecord::Expectation& expect) {
    Entry own = entry;
    if (!expect.case_line.empty()) {
      if (auto line = set_line(view, expect.case_line, own); !line) {
        return line;
      }
    }
    if (auto room = make_room(view, 1, own.line_bytes); !room) {
      return room;
    }
    auto cases = cases_of(view, own, expect.model, name, expect.tp_size);
    if (!cases) {
      return fail(cases.error());
    }
    for (PreparedCase& item : *cases) {
      if (!item.geometry || (!expect.layer.empty() && item.one.layer != expect.layer)) {
        continue;
      }
      item.expect = {.verdict = *verdict_of(expect.verdict),
                     .shape_check = expect.shape_check,
                     .finding = expect.finding,
                     .reason = bug.symptom,
                     .link = bug.links.empty() ? "" : bug.links.front()};
      item.role = expect.role;
      suite_.cases.push_back(std::move(item));
    }
    return {};
  }

  JsonView root_;
  const ConfigFolders& configs_;
  Library library_;
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

}  // namespace tplora
