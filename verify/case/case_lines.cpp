#include "verify/case/case_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "sim/base/number_list.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

constexpr std::int64_t kLargestValue = 1'000'000;

/// What stands in the place called `name`.
struct Values {
  std::string name;
  std::vector<std::string> texts;
};

Result<std::vector<std::string>> texts_of(const JsonView& view) {
  std::vector<std::string> texts;
  if (view.json().is_string()) {
    return number_list(view, kLargestValue).map([&](const std::vector<std::int64_t>& numbers) {
      for (const std::int64_t number : numbers) {
        texts.push_back(std::to_string(number));
      }
      return texts;
    });
  }
  const auto elements = view.elements();
  if (!elements || elements->empty()) {
    return view.expected("a list of texts and integers that is not empty, or a range as \"1-8\"");
  }
  for (const JsonView& element : *elements) {
    if (element.json().is_string()) {
      texts.push_back(*element.string());
    } else if (const auto number = element.integer()) {
      texts.push_back(std::to_string(*number));
    } else {
      return element.expected("a text or an integer");
    }
  }
  std::vector<std::string> once;
  std::set<std::string> seen;
  std::copy_if(texts.begin(), texts.end(), std::back_inserter(once),
               [&](const std::string& text) { return seen.insert(text).second; });
  return once;
}

/// Names of the places of a line, each once.
Result<std::set<std::string>> places_of(const JsonView& view, const std::string& line) {
  std::set<std::string> places;
  for (std::size_t at = line.find('{'); at != std::string::npos; at = line.find('{', at + 1)) {
    const std::size_t end = line.find('}', at);
    if (end == std::string::npos) {
      return view.error(fmt::format("found {} without its end, expected a place as {{r}}",
                                    excerpt(line.substr(at))));
    }
    places.insert(line.substr(at + 1, end - at - 1));
  }
  return places;
}

std::string filled(const std::string& line, const std::string& name, const std::string& value) {
  const std::string place = "{" + name + "}";
  std::string text;
  std::size_t from = 0;
  for (std::size_t at = line.find(place); at != std::string::npos; at = line.find(place, from)) {
    text += line.substr(from, at - from) + value;
    from = at + place.size();
  }
  return text + line.substr(from);
}

}  // namespace

Result<std::vector<std::int64_t>> number_list(const JsonView& view, std::int64_t most) {
  const std::string expected = fmt::format(
      "integers from 1 to {} and ranges of them, as in [1, 2, \"4-8\"] or \"1-8,16\"", most);
  std::vector<std::int64_t> numbers;
  const auto add = [&](const JsonView& one) -> Result<void> {
    if (one.json().is_string()) {
      const auto some = read_number_list(*one.string(), 1, most, "", "");
      if (!some) {
        return one.expected(expected);
      }
      numbers.insert(numbers.end(), some->begin(), some->end());
      return {};
    }
    const auto number = one.integer();
    if (!number || *number < 1 || *number > most) {
      return one.expected(expected);
    }
    numbers.push_back(*number);
    return {};
  };
  if (view.json().is_string()) {
    if (auto added = add(view); !added) {
      return fail(added.error());
    }
    return numbers;
  }
  const auto elements = view.elements();
  if (!elements || elements->empty()) {
    return view.expected(expected);
  }
  for (const JsonView& element : *elements) {
    if (auto added = add(element); !added) {
      return fail(added.error());
    }
  }
  std::vector<std::int64_t> once;
  std::set<std::int64_t> seen;
  std::copy_if(numbers.begin(), numbers.end(), std::back_inserter(once),
               [&](std::int64_t number) { return seen.insert(number).second; });
  return once;
}

Result<std::vector<std::string>> case_lines(const JsonView& view,
                                            const std::optional<JsonView>& vary, std::size_t most,
                                            std::size_t most_bytes) {
  const auto line = view.string();
  if (!line || !vary) {
    return line ? Result<std::vector<std::string>>({*line}) : fail(line.error());
  }
  const auto members = vary->members();
  const auto places = places_of(view, *line);
  if (const auto error = first_error(members, places)) {
    return fail(*error);
  }
  std::vector<Values> all;
  double count = 1;
  for (const auto& [name, value] : *members) {
    auto texts = texts_of(value);
    if (!texts) {
      return fail(texts.error());
    }
    if (!places->contains(name)) {
      return value.error(
          fmt::format("the case line has no place {{{}}} for these values", excerpt(name)));
    }
    count *= static_cast<double>(texts->size());
    all.push_back({name, *std::move(texts)});
  }
  for (const std::string& place : *places) {
    if (std::none_of(all.begin(), all.end(),
                     [&](const Values& one) { return one.name == place; })) {
      return view.error(
          fmt::format("the place {{{}}} has no values, expected them in \"vary\"", excerpt(place)));
    }
  }
  if (count > static_cast<double>(most)) {
    return vary->error(fmt::format("found {:.0f} combinations, expected at most {}", count, most));
  }
  std::vector<std::string> lines = {*line};
  for (const Values& one : all) {
    std::vector<std::string> next;
    std::size_t bytes = 0;
    for (const std::string& unfilled : lines) {
      for (const std::string& value : one.texts) {
        next.push_back(filled(unfilled, one.name, value));
        bytes += next.back().size();
        if (bytes > most_bytes) {
          return vary->error(
              fmt::format("the lines have more than {} bytes, expected at most that "
                          "many",
                          most_bytes));
        }
      }
    }
    lines = std::move(next);
  }
  return lines;
}

}  // namespace tplora::core
