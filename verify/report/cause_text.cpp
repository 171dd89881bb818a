// Causes in words.
#include <fmt/format.h>

#include "verify/report/finding_text.hpp"

namespace tplora::core {
namespace {

/// Says what is wrong, for one finding.
class CauseWords {
 public:
  explicit CauseWords(const Finding& finding) : finding_(finding) {}

  [[nodiscard]] std::string all() const {
    const Cause& cause = finding_.cause;
    std::string text = std::visit([&](const auto& what) { return words(what); }, cause.what);
    if (cause.cut_again) {
      text += fmt::format(
          "; the host's copy of adapter {} was cut for this rank before, and is cut again [{}]",
          name(cause.cut_again->adapter), cause.cut_again->place.text());
    }
    if (const auto& earlier = cause.earlier_slot) {
      text += fmt::format("; adapter {} is in slot {} now, and its tokens still read slot {} [{}]",
                          name(earlier->adapter), earlier->slot, earlier->slot_read,
                          earlier->place.text());
    }
    return text;
  }

 private:
  [[nodiscard]] const std::string& name(int adapter) const {
    return finding_.context->adapters[static_cast<std::size_t>(adapter)];
  }

  [[nodiscard]] static std::string words(const NotAsked&) { return "its cause was not looked for"; }
  [[nodiscard]] static std::string words(const NoSinglePlace& none) {
    return none.right_alone.empty()
               ? "no single formula or word explains this: more than one place is wrong"
               : fmt::format(
                     "no single formula or word of this file: what it changes is wrong "
                     "together, {}, which it extends, is right here",
                     none.right_alone);
  }
  [[nodiscard]] static std::string words(const NothingAsserted&) {
    return "nothing that the engine asserts stops it";
  }
  [[nodiscard]] static std::string words(const WrongPlace& place) {
    return std::visit([](const auto& wrong) { return words(wrong); }, place);
  }
  [[nodiscard]] static std::string words(const WrongFormula& wrong) {
    const std::string cut = wrong.cut_off ? fmt::format("; {} of the {} rows wanted are there",
                                                        wrong.cut_off->there, wrong.cut_off->wanted)
                                          : "";
    return (wrong.let.empty() ? "" : wrong.let + " = ") + text_of(wrong.formula) + cut;
  }
  [[nodiscard]] static std::string words(const WrongWord& wrong) {
    return fmt::format("\"{}\" stands here, where \"{}\" would be right", wrong.stands,
                       wrong.right);
  }
  [[nodiscard]] static std::string words(const WrongEntry& wrong) {
    switch (wrong.fault) {
      case WrongEntry::Fault::exchanged:
        return "this entry and the next stand in each other's place";
      case WrongEntry::Fault::surplus: return "this entry is one too many";
      case WrongEntry::Fault::missing: break;
    }
    return "an entry is missing here";
  }
  [[nodiscard]] static std::string words(const Failed& failed) {
    return failed.sentence +
           (failed.to_blame
                ? "; to blame: " +
                      std::visit([](const auto& what) { return words(what); }, *failed.to_blame)
                : std::string());
  }
  [[nodiscard]] static std::string words(const More& more) {
    return fmt::format("laws are broken at {} places and more, which are not looked at",
                       more.places);
  }
  [[nodiscard]] static std::string words(const UnexplainedOutputs& outputs) {
    return fmt::format("every law holds, and {} of {} outputs differ from the reference",
                       outputs.wrong, outputs.compared);
  }

  [[nodiscard]] std::string words(const WrongFactor& wrong) const {
    std::string factors;
    for (const WrongFactor::Factor& factor : wrong.factors) {
      factors += fmt::format(
          "{}({}{}) / ({}){}", factors.empty() ? "" : " times ", text_of(factor.numerator),
          factor.alpha_unit == 1 ? "" : fmt::format(" in units of 1/{}", factor.alpha_unit),
          text_of(factor.denominator),
          factor.root ? fmt::format(" / sqrt({})", text_of(*factor.root)) : "");
    }
    const auto told = static_cast<std::int64_t>(wrong.factors.size());
    factors += wrong.uses > told ? " times ..." : "";
    const std::string again =
        wrong.uses > 1 ? fmt::format(", once for each of its {} uses since it was read [{}]",
                                     wrong.uses, wrong.scale_place.text())
                       : "";
    return fmt::format(
        "adapter {}{} is scaled by {}{}, expected {} = {} / {}", name(wrong.adapter),
        wrong.part ? fmt::format("'s {}", part_name(*wrong.part)) : "", factors, again,
        wrong.rslora ? "alpha / sqrt(lora_rank)" : "alpha / lora_rank",
        alpha_text(wrong.lora_alpha, wrong.alpha_unit),
        wrong.rslora ? fmt::format("sqrt({})", wrong.lora_rank) : std::to_string(wrong.lora_rank));
  }

  const Finding& finding_;
};

}  // namespace

std::string cause_text(const Finding& finding) {
  return CauseWords(finding).all();
}

}  // namespace tplora::core
