#include "verify/cli/suite_options.hpp"

namespace tplora::core {
namespace {

void add_ci_files(CLI::App* app, CiFiles& files) {
  app->add_option("--junit", files.junit, "Write JUnit XML (docs/ci.md)");
  app->add_option("--sarif", files.sarif, "Write SARIF 2.1.0: a result for each root cause");
  app->add_option("--markdown", files.markdown, "Write a summary in Markdown");
  app->add_option("--html", files.html,
                  "Write a page to look at: grid, findings, row maps, in one file");
  app->add_flag("--github", files.github, "Also print root causes as GitHub annotations");
}

/// Of a run, whatever it is made of.
void add_run_settings(CLI::App* app, RunSettings& settings) {
  app->add_option("--filter", settings.filter,
                  "Only cases whose line contains each of these words, for example "
                  "\"model=Qwen/Qwen3.5-35B-A3B tp=4\"");
  add_number(app, "--jobs", settings.jobs, "Threads (0: one for each core that it may use)")
      ->check(CLI::Range(0, 1024));
  app->add_flag("--dry-run", settings.dry_run,
                "Only print the line of each case that would be run, and how many");
  add_number(app, "--timeout", settings.timeout,
             "Seconds after which nothing new is begun: no result, exit code 5 (0: none)")
      ->check(CLI::Range(0, 1000000));
  add_number(app, "--case-timeout", settings.case_timeout,
             "Seconds after which a case is given up: its outcome is an error (0: none)")
      ->check(CLI::Range(0, 1000000));
  app->add_option("--memory", settings.memory,
                  "For numbers that are run at the same time, for example 8G; a case that takes "
                  "more alone is an error (default: four fifths of what it may use)");
  app->add_flag("--fail-fast", settings.fail_fast,
                "Begin nothing new behind the first case that is not as expected");
  app->add_option("--report", settings.report,
                  "Also write a new file with a JSON line for each case, as soon as it is done "
                  "(docs/formats/report.md)");
  app->add_option("--resume", settings.resume,
                  "Go on with the report of a run like this that was stopped or killed");
  app->add_option("--shard", settings.shard,
                  "Only part I of N (2/4), dealt out so that no weights are made twice; tplora "
                  "merge puts the reports together");
  add_ci_files(app, settings.ci);
  app->add_option("--instruction-set", settings.instruction_set,
                  "Compute with this one alone (SSE4, AVX2, AVX3, ...): no bit may change");
}

constexpr const char* kRunExitCodes =
    "Exit codes: 0 as expected; 1 a mismatch; 2 bad input, or a case that could not be judged; 3 "
    "nothing was run, or it could not have come out otherwise; 4 output could not be written; 5 "
    "stopped (SIGINT, SIGTERM, --timeout).\n";

}  // namespace

void add_verify(CLI::App& app, VerifyOptions& options) {
  CLI::App* verify = app.add_subcommand("verify", "Run suites: laws and numbers of every case");
  verify->add_option("suites", options.suites, "Suite files, or names from list suites")
      ->required();
  add_run_settings(verify, options.run);
  verify->add_flag("--strict", options.run.strict,
                   "Fail (exit code 1) where the suite could not have seen a published bug of one "
                   "of its engines");
  verify->footer(std::string(kRunExitCodes) +
                 "Example: tplora verify configs/suites/default.json --filter tp=4");
}

void add_sweep(CLI::App& app, SweepOptions& options) {
  CLI::App* sweep = app.add_subcommand(
      "sweep", "Models x engines x tp_sizes x lora_ranks, without a suite: a table of verdicts");
  sweep
      ->add_option("--models", options.models,
                   "Names, patterns of names ('Qwen/*'), config.json files, patterns of files "
                   "('dir/*.json'), folders, or H=16,KV=2,D=256,hidden=2048")
      ->required();
  sweep
      ->add_option("--engine,--engines", options.engines,
                   "Names, patterns of names ('*': all engines), or contract files, "
                   "comma-separated")
      ->delimiter(',')
      ->required();
  sweep->add_option("--tp", options.tp_sizes, "tp_sizes: 1-8 or 1,2,4")->capture_default_str();
  auto* lora_ranks =
      sweep->add_option("--lora-rank", options.lora_ranks, "lora_ranks of the adapters: 8,64")
          ->capture_default_str();
  auto* max_lora_ranks =
      sweep->add_option("--max-lora-rank", options.max_lora_ranks,
                        "lora_ranks the buffers are sized for (default: each as --lora-rank)");
  auto* targets = sweep
                      ->add_option("--targets", options.targets,
                                   "Projections that the adapters target: qkv, qv, ...")
                      ->delimiter(',')
                      ->capture_default_str();
  auto* dtypes = sweep->add_option("--dtype", options.dtypes, "bf16, fp16 or fp32")
                     ->delimiter(',')
                     ->capture_default_str();
  sweep
      ->add_option("--case", options.case_line,
                   "The rest of a case line (docs/formats/case.md), in place of --lora-rank, "
                   "--max-lora-rank, --targets and --dtype")
      ->excludes(lora_ranks)
      ->excludes(max_lora_ranks)
      ->excludes(targets)
      ->excludes(dtypes);
  sweep->add_option("--numbers", options.numbers,
                    "Run the numbers too: all, or n for each n-th case (default: the laws only)");
  sweep->add_flag(
      "--explain", options.explain,
      "Look for the causes of what is wrong, too: up to seconds a case (default: replay "
      "of a case tells its own)");
  sweep->add_flag("--print-suite", options.print_suite,
                  "Only print the suite (docs/formats/suite.md) that these options mean");
  add_run_settings(sweep, options.run);
  sweep->footer(
      std::string(kRunExitCodes) +
      "Nothing is expected of a case, so that none is a mismatch.\n"
      "Example: tplora sweep --models 'Qwen/*' --engine '*' --tp 1-32 --lora-rank 8,64\n"
      "Example: tplora sweep --models 'my/configs/*.json' --engine sglang,vllm --tp 1-16");
}

void add_merge(CLI::App& app, MergeOptions& options) {
  CLI::App* merge =
      app.add_subcommand("merge", "Put the reports of a run's shards together into one");
  merge->add_option("shards", options.shards, "Reports of verify --shard, all of one run")
      ->required();
  merge->add_option("--out", options.out,
                    "The report to make; it must not exist (default: only print what it says)");
  add_ci_files(merge, options.ci);
  merge->add_flag("--strict", options.strict, "As for verify");
  merge->footer(
      "Prints what the run would have printed in one piece, with its exit code. Shards of another "
      "run, missing, doubled or incomplete ones are refused by name.\n"
      "Example: tplora merge part1.jsonl part2.jsonl --out all.jsonl");
}

void add_minimise(CLI::App& app, MinimiseOptions& options) {
  CLI::App* minimise = app.add_subcommand(
      "minimise",
      "The smallest geometry, tp_size, adapters, steps and tokens that fail the same way");
  minimise->add_option("case", options.case_line, "The line a finding prints")->required();
  add_number(minimise, "--timeout", options.timeout,
             "Seconds after which the smallest so far is told, with exit code 5 (0: none)")
      ->check(CLI::Range(0, 1000000));
  minimise->footer(
      "The same way: the same verdict, by the law or check that is told first, by the fault of the "
      "same place, nothing wrong that was not wrong before, and inside the contract's claims or "
      "outside as before. Its numbers are run at the end. Exit codes: 0 told; 2 bad input, or a "
      "case that does not fail; 5 "
      "stopped.\n"
      "Example: tplora minimise \"model=Qwen/Qwen3.5-35B-A3B layer=full_attention "
      "engine=sglang-24420 tp=4 R=16 adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv\"");
}

}  // namespace tplora::core
