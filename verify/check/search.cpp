#include "verify/check/search.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "sim/base/ensure.hpp"
#include "sim/base/parallel_for.hpp"
#include "sim/numerics/program.hpp"
#include "sim/ranks/tp_group.hpp"
#include "verify/check/variations.hpp"
#include "verify/run/laws.hpp"
#include "verify/run/unsharded.hpp"
#include "verify/run/work.hpp"

namespace tplora::core {
namespace {

/// Rows of a part on which a computation is tried, and then one that agrees there.
constexpr std::array<std::int64_t, 2> kSampleRows = {2, 16};
/// Multiplications that a search through published bugs may take: some seconds.
constexpr double kMostBugWork = 3e10;

/// A value of one output tensor of the reference.
float value_of(const Reference& reference, const std::string& tensor, Part part, std::size_t at) {
  if (tensor == "delta") {
    return reference.steps(part).delta[at];
  }
  return tensor == "y" ? reference.output(part)[at] : reference.base_output(part)[at];
}

/// Columns of a rank that are looked at.
struct Window {
  const GivenOutput* output = nullptr;
  Part part = Part::q;
  std::int64_t column = 0;  ///< first of the rank
  std::int64_t row = 0;     ///< of the part, there
  std::int64_t rows = 0;
};

bool agrees(const PreparedCase& item, const Reference& reference, const Window& window) {
  const GivenOutput& output = *window.output;
  const auto tokens = static_cast<std::int64_t>(item.spec.tokens.size());
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (std::int64_t i = 0; i < window.rows; ++i) {
      const float found =
          output.found[static_cast<std::size_t>(token * output.own.width + window.column + i)];
      const auto at =
          static_cast<std::size_t>(token * item.geometry->rows(window.part) + window.row + i);
      if (!same_bits(found, value_of(reference, output.tensor, window.part, at))) {
        return false;
      }
    }
  }
  return true;
}

/// Whether the computation gives the candidate's bits in all windows.
bool gives(const PreparedCase& item, const ExpandDepths& depths,
           const std::vector<Window>& windows) {
  std::array<RowRange, 3> ranges;
  for (const Window& window : windows) {
    RowRange& range = ranges[static_cast<std::size_t>(window.part)];
    const std::int64_t end = std::max(range.first + range.rows, window.row + window.rows);
    range.first = range.rows == 0 ? window.row : std::min(range.first, window.row);
    range.rows = end - range.first;
  }
  Unsharded unsharded(item, depths, true);
  unsharded.run_rows(ranges, 1);
  return std::all_of(windows.begin(), windows.end(), [&](const Window& window) {
    return agrees(item, unsharded.reference(), window);
  });
}

/// A few rows of each part in which something is wrong, of the first output.
std::vector<Window> sample(const std::vector<GivenOutput>& outputs, std::int64_t tokens,
                           std::int64_t rows) {
  std::vector<Window> windows;
  for (const GivenOutput& output : outputs) {
    for (const ColumnsOfPart& part : output.own.columns) {
      for (std::int64_t row = 0; row < part.rows; ++row) {
        bool wrong = false;
        for (std::int64_t token = 0; token < tokens && !wrong; ++token) {
          const auto at = static_cast<std::size_t>(token * output.own.width + part.at + row);
          wrong = !same_bits(output.found[at], output.expected[at]);
        }
        if (wrong) {
          const std::int64_t some = std::min(rows, part.rows);
          const std::int64_t first = std::min(row, part.rows - some);
          windows.push_back({&output, part.part, part.at + first, part.first_row + first, some});
          break;
        }
      }
    }
    if (!windows.empty()) {
      break;
    }
  }
  return windows;
}

std::vector<Window> everything(const std::vector<GivenOutput>& outputs) {
  std::vector<Window> windows;
  for (const GivenOutput& output : outputs) {
    for (const ColumnsOfPart& part : output.own.columns) {
      windows.push_back({&output, part.part, part.at, part.first_row, part.rows});
    }
  }
  return windows;
}

}  // namespace

std::vector<SameBits> find_computation(const PreparedCase& item,
                                       const std::vector<GivenOutput>& outputs, int threads) {
  std::vector<SameBits> found;
  const auto laws = check_laws(item);
  const ExpandDepths depths =
      laws ? expand_depths(laws->analysis, item.spec.adapters.size()) : ExpandDepths{};
  const std::vector<Variation> variations = variations_of(item);
  std::vector<char> agree(variations.size(), outputs.empty() ? 0 : 1);
  for (const std::int64_t rows : kSampleRows) {
    const auto windows = sample(outputs, static_cast<std::int64_t>(item.spec.tokens.size()), rows);
    parallel_for(static_cast<std::int64_t>(agree.size()), threads, [&](std::int64_t i) {
      char& one = agree[static_cast<std::size_t>(i)];
      one =
          one != 0 && gives(variations[static_cast<std::size_t>(i)].item, depths, windows) ? 1 : 0;
    });
  }
  const auto all = everything(outputs);
  for (std::size_t i = 0; i < agree.size(); ++i) {
    if (agree[i] != 0 && gives(variations[i].item, depths, all)) {
      found.push_back({variations[i].what, false});
    }
  }
  return found;
}

namespace {

/// Whether a bug's run gives the buffer: each resident's elements, row by row.
bool same_buffer(const PreparedCase& item, const FlatPool<float>& pool, const GivenBuffer& buffer) {
  if (item.contract->lora_b.buffers.size() != 1 || pool.b(0).rows != buffer.rows) {
    return false;
  }
  for (const LiveAdapter& live : live_adapters(shapes_of(item.spec.adapters), item.spec.steps)) {
    const std::int64_t cols = std::min(live.shape.largest_rank(), buffer.cols);
    for (std::int64_t row = 0; row < buffer.rows; ++row) {
      for (std::int64_t col = 0; col < cols; ++col) {
        const float due = pool.b(0, live.slot, row * buffer.cols + col);
        const float found = buffer.found[static_cast<std::size_t>(
            (live.slot * buffer.rows + row) * buffer.cols + col)];
        if (due == due && !same_bits(due, found)) {  // NaN: never written, may be anything
          return false;
        }
      }
    }
  }
  return true;
}

bool bug_gives(const PreparedCase& item, const std::vector<GivenOutput>& outputs,
               const std::vector<GivenBuffer>& buffers) {
  const auto laws = check_laws(item);
  if (!laws || !laws->analysis.failures.empty()) {
    return false;
  }
  Unsharded unsharded(item);
  TpGroup group(*item.contract, layout_case(item.spec, *item.geometry).deployment, laws->analysis,
                unsharded.arithmetic(), unsharded.batch());
  group.load_adapters(unsharded.adapters());
  for (const GivenBuffer& buffer : buffers) {
    if (!same_buffer(item, group.pool(buffer.tp_rank), buffer)) {
      return false;
    }
  }
  if (outputs.empty()) {
    return true;
  }
  unsharded.run(
      [&](Part part, std::int64_t first_row, const Panel& panel, std::span<const float> bias) {
        group.accept_panel(part, first_row, panel, bias);
      });
  group.finish();
  std::int64_t shown = 0;  // wrong elements that the bug gives too
  const bool agree = std::all_of(outputs.begin(), outputs.end(), [&](const GivenOutput& output) {
    const auto due = output.tensor == "y" ? group.output(output.own.tp_rank)
                                          : group.base_output(output.own.tp_rank);
    if (output.tensor == "delta" || due.size() != output.found.size()) {
      return false;
    }
    for (std::size_t i = 0; i < due.size(); ++i) {
      // NaN: read where nothing was written or outside the pool, which may be anything.
      if (due[i] == due[i] && !same_bits(due[i], output.found[i])) {
        return false;
      }
      shown += due[i] == due[i] && !same_bits(due[i], output.expected[i]) ? 1 : 0;
    }
    return true;
  });
  return agree && shown > 0;
}

}  // namespace

std::vector<SameBits> find_bug(const PreparedCase& item, const BugCatalogue& bugs,
                               const std::vector<GivenOutput>& outputs,
                               const std::vector<GivenBuffer>& buffers, int threads,
                               bool& too_much) {
  std::vector<SameBits> found;
  if (outputs.empty() && buffers.empty()) {
    return found;
  }
  std::vector<PreparedCase> tried = bugs.under_bugs(item);
  const double work = reference_work(item).multiplications * 2;
  too_much = !outputs.empty() && work * static_cast<double>(tried.size()) > kMostBugWork;
  if (too_much) {
    return found;
  }
  std::vector<char> agree(tried.size(), 0);
  parallel_for(static_cast<std::int64_t>(tried.size()), threads, [&](std::int64_t i) {
    PreparedCase& one = tried[static_cast<std::size_t>(i)];
    const std::string name = one.contract->name;
    one = with_program(std::move(one), item.contract->program);
    agree[static_cast<std::size_t>(i)] = bug_gives(one, outputs, buffers) ? 1 : 0;
  });
  for (std::size_t i = 0; i < tried.size(); ++i) {
    if (agree[i] != 0) {
      found.push_back({tried[i].contract->name, true});
    }
  }
  return found;
}

namespace {

/// Of one output: for each wrong token, the token whose expected outputs stand there.
std::vector<std::string> exchanged_tokens(const GivenOutput& output, std::int64_t tokens) {
  const auto row = [&](const std::vector<float>& values, std::int64_t token) {
    return std::span(values).subspan(static_cast<std::size_t>(token * output.own.width),
                                     static_cast<std::size_t>(output.own.width));
  };
  const auto equal = [&](std::int64_t found, std::int64_t due) {
    const auto a = row(output.found, found);
    const auto b = row(output.expected, due);
    return std::equal(a.begin(), a.end(), b.begin(), same_bits);
  };
  std::vector<std::string> sentences;
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (std::int64_t other = 0; other < tokens && !equal(token, token); ++other) {
      if (equal(token, other)) {
        sentences.push_back(fmt::format("{} of tp_rank {}: token {} has the outputs of token {}",
                                        output.tensor, output.own.tp_rank, token, other));
        break;
      }
    }
  }
  return sentences;
}

}  // namespace

std::vector<std::string> look_alike(const PreparedCase& item,
                                    const std::vector<GivenOutput>& outputs) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> sentences;
  if (item.spec.data == DataKind::labels) {
    return sentences;  // tokens look alike there
  }
  for (const GivenOutput& output : outputs) {
    for (std::string& sentence :
         exchanged_tokens(output, static_cast<std::int64_t>(item.spec.tokens.size()))) {
      if (sentences.size() < kMost) {
        sentences.push_back(std::move(sentence));
      }
    }
  }
  return sentences;
}

}  // namespace tplora::core
