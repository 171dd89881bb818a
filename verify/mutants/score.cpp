#include "verify/mutants/score.hpp"

#include <numeric>
#include <optional>

#include "sim/base/parallel_for.hpp"

namespace tplora::core {

std::int64_t MutantScore::total() const {
  return std::accumulate(fates.begin(), fates.end(), std::int64_t{0},
                         [](std::int64_t sum, const auto& entry) { return sum + entry.second; });
}

MutantScore score_mutants(const Contract& contract, const MutantOptions& options) {
  std::vector<Mutant> mutants;
  std::int64_t number = 0;
  for_each_mutant(contract, [&](Mutant&& mutant) {
    if (number++ % options.every == 0) {
      mutants.push_back(std::move(mutant));
    }
  });
  const Judge judge(contract, options.max_heads, options.max_tp_size);
  std::vector<Judge::Sentence> sentences(mutants.size());
  std::vector<std::optional<BlamedMutant>> blamed(mutants.size());
  parallel_for(static_cast<std::int64_t>(mutants.size()), options.jobs, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    sentences[at] = judge.judge(mutants[at].contract);
    if (options.blame && sentences[at].fate <= Fate::bad_contract) {
      blamed[at] = blame_mutant(judge, mutants[at]);
    }
  });
  MutantScore score{.engine = contract.name,
                    .points = judge.points(),
                    .fates = {},
                    .named = {},
                    .blames = {},
                    .blamed = {}};
  for (std::size_t i = 0; i < mutants.size(); ++i) {
    ++score.fates[sentences[i].fate];
    if (sentences[i].fate >= Fate::spare) {
      score.named.push_back(
          {sentences[i].fate, mutants[i].place, mutants[i].what, std::move(sentences[i].reason)});
    }
  }
  for (std::size_t i = 0; i < mutants.size(); ++i) {
    if (blamed[i]) {
      for (const auto& [named, count] : blamed[i]->counts) {
        score.blames[named] += count;
      }
      if (blamed[i]->worst != Named::first) {
        score.blamed.push_back({blamed[i]->worst, mutants[i].place, mutants[i].what,
                                std::move(blamed[i]->blamed), std::move(blamed[i]->case_text)});
      }
    }
  }
  return score;
}

}  // namespace tplora::core
