#include "verify/report/adapter_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sim/base/printable.hpp"
#include "verify/report/finding_record.hpp"
#include "verify/report/text.hpp"

namespace tplora::core {
namespace {

constexpr std::size_t kMostProblems = 10;

std::string lines_of(const std::vector<std::string>& lines, const char* before) {
  std::string text;
  for (std::size_t i = 0; i < std::min(lines.size(), kMostProblems); ++i) {
    text += before + lines[i] + "\n";
  }
  return lines.size() > kMostProblems
             ? text + fmt::format("{}... and {} more\n", before, lines.size() - kMostProblems)
             : text;
}

std::string spec_text(const AdapterSpec& spec) {
  std::string text = spec.shared_a ? "one fused module" : "";
  for (const Part part : kParts) {
    if (!spec.shared_a && spec.has(part)) {
      text += fmt::format("{}{} of lora_rank {}", text.empty() ? "" : ", ", part_name(part),
                          spec.rank_of(part));
    }
  }
  return text;
}

/// " 0-3, 7"; nothing where paths have no numbers.
std::string layers_text(const std::vector<std::int64_t>& layers) {
  std::string text;
  for (std::size_t i = 0; i < layers.size() && layers[i] >= 0;) {
    std::size_t last = i;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1) {
      ++last;
    }
    text += fmt::format("{} {}", i == 0 ? "" : ",", layers[i]);
    text += last > i ? fmt::format("-{}", layers[last]) : "";
    i = last + 1;
  }
  return text;
}

/// Verdicts, equal neighbours together: "tp 1-2, 4: consistent".
std::string verdict_lines(const std::vector<LayerReport>& sizes) {
  std::string text;
  for (const Verdict verdict : {Verdict::consistent, Verdict::refused, Verdict::crash,
                                Verdict::silent, Verdict::not_applicable}) {
    std::vector<std::int64_t> same;
    const LayerReport* first = nullptr;
    for (const LayerReport& one : sizes) {
      if (one.analysis.verdict == verdict) {
        same.push_back(one.item.spec.tp_size);
        first = first == nullptr ? &one : first;
      }
    }
    if (first == nullptr) {
      continue;
    }
    text += fmt::format("    tp {}: {}\n", fmt::join(same, ", "), verdict_name(verdict));
    if (verdict == Verdict::consistent) {
      text += unclaimed_text(first->item);
      continue;
    }
    text += unclaimed_text(first->item) + findings_text(record_findings(first->findings), 4) +
            same_as_text(first->same_as);
    if (verdict != Verdict::refused) {
      text += fmt::format("      tplora replay \"{}\"\n", print_case(first->item.spec));
    }
  }
  return text;
}

}  // namespace

std::string adapter_text(const AdapterReport& report) {
  const PeftAdapter& adapter = report.adapter;
  std::string text =
      fmt::format("adapter {}: lora_rank {}, lora_alpha {}{}\n  on {} under {}\n",
                  excerpt(adapter.folder.string()), adapter.lora_rank,
                  alpha_text(adapter.lora_alpha.units, adapter.lora_alpha.unit),
                  adapter.rslora ? ", rsLoRA" : "", excerpt(report.model), excerpt(report.engine));
  text += lines_of(report.problems, "  does not fit: ");
  for (const PeftOption& option : report.refused) {
    text += fmt::format("  refused at every tp_size: {}\n", option.say);
  }
  text += lines_of(report.unjudged, "  not judged: ");
  for (const AdapterKindReport& kind : report.kinds) {
    text +=
        fmt::format("  {} layers{}: {}\n", kind.kind, layers_text(kind.on_layers.layers),
                    kind.on_layers.spec ? spec_text(*kind.on_layers.spec) : "nothing of q, k or v");
    text += lines_of(kind.on_layers.problems, "    does not fit: ");
    text += lines_of(kind.on_layers.remarks, "    note: ");
    text += verdict_lines(kind.sizes);
  }
  if (!report.other_modules.empty()) {
    text += fmt::format("  not looked at: {}\n", fmt::join(report.other_modules, ", "));
  }
  return text;
}

int adapter_exit_code(const AdapterReport& report) {
  bool served = false;
  if (!report.problems.empty()) {
    return 1;
  }
  for (const AdapterKindReport& kind : report.kinds) {
    for (const LayerReport& one : kind.sizes) {
      if (one.analysis.verdict == Verdict::silent || one.analysis.verdict == Verdict::crash) {
        return 1;
      }
      served = served || one.analysis.verdict == Verdict::consistent;
    }
    if (!kind.on_layers.problems.empty()) {
      return 1;
    }
  }
  return served && report.unjudged.empty() ? 0 : 3;
}

}  // namespace tplora::core
