#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <new>
#include <system_error>

#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/suite_options.hpp"

// The command line: options in, one command called, its exit code out.

namespace {

using tplora::core::AdapterCommandOptions;
using tplora::core::add_number;
using tplora::core::CheckCommandOptions;
using tplora::core::GoldenCommandOptions;
using tplora::core::LayoutOptions;
using tplora::core::MutantsOptions;
using tplora::core::ProveOptions;

constexpr const char* kDescription =
    "tplora checks tensor-parallel QKV + LoRA layouts: it simulates every tp_rank on the CPU, "
    "compares bit for bit with an unsharded reference, and says where and why a layout is wrong.";

constexpr const char* kExitCodes =
    "Exit codes: 0 all as expected; 1 a mismatch (layout: crash or silent; prove: silent inside "
    "the claims, --vs: anything worse); 2 bad input, or a case that could not be judged; 3 nothing "
    "was run or all of it vacuous (layout: refused or not applicable; prove: consistent nowhere); "
    "4 "
    "output could not be written; 5 stopped (verify, sweep, minimise).\n"
    "Example: tplora verify configs/suites/default.json\n"
    "Example: tplora layout --model Qwen/Qwen3.5-35B-A3B --engine sglang --tp 4";

void add_layout(CLI::App& app, LayoutOptions& options) {
  CLI::App* layout = app.add_subcommand("layout", "The plan of each rank and the verdict on it");
  layout->add_option("--model", options.model,
                     "A name from configs/models, a config.json, or H=16,KV=2,D=256,hidden=2048");
  layout->add_option("--engine", options.engine,
                     "A name from configs/engines or configs/bugs, or a contract file");
  layout->add_option("--vs", options.vs,
                     "A second engine: print only where the two plans differ; two verdicts are "
                     "exit code 1");
  add_number(layout, "--tp", options.tp_size, "tp_size");
  layout->add_option("--case", options.case_line,
                     "A case line, as findings print it, instead of --model, --engine and --tp");
  add_number(layout, "--dp", options.dp_size, "Attention data-parallel size");
  layout->add_option("--layer", options.layer, "The layer kind to show (default: the worst)");
  add_number(layout, "--lora-rank", options.lora_rank, "lora_rank of the adapters");
  add_number(layout, "--max-lora-rank", options.max_lora_rank,
             "lora_rank the buffers are sized for (default: --lora-rank)");
  add_number(layout, "--slots", options.slots, "Adapter slots");
  layout->add_option("--html", options.html, "Also write a page with the row maps as pictures");
  layout->add_flag("--json", options.json, "Print JSON (docs/formats/layout.md)");
  layout->footer(
      "Example: tplora layout --model Qwen/Qwen3.5-35B-A3B --engine sglang-24420 --tp 4");
}

/// The configs installed beside the program, else those of the source tree. Named from the current
/// folder when they lie below it: places in reports are then short, and the same on every machine.
std::string default_configs() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto installed = program.parent_path().parent_path() / "share" / "tplora" / "configs";
  const bool is_installed = std::filesystem::is_directory(installed, ignored);
  const std::filesystem::path configs =
      is_installed ? installed : std::filesystem::path(TPLORA_SOURCE_DIR "/configs");
  const auto near =
      is_installed ? std::filesystem::path() : std::filesystem::relative(configs, ignored);
  return near.empty() || near.string().starts_with("..") ? configs.string() : near.string();
}

void add_prove(CLI::App& app, ProveOptions& options) {
  CLI::App* prove = app.add_subcommand(
      "prove",
      "The laws over every geometry and tp_size in a range, or the smallest counterexample");
  prove->add_option("engines", options.engines,
                    "Names from configs/engines or configs/bugs, or contract files (default: every "
                    "engine)");
  prove->add_option("--vs", options.vs,
                    "Compare each engine with this one: where it claims to work, which cases got "
                    "worse (exit code 1) or better");
  prove
      ->add_option("--fail-on", options.fail_on,
                   "silent: exit code 1 for silent cases inside the claims; crash: for those that "
                   "crash too")
      ->check(CLI::IsMember({"silent", "crash"}))
      ->default_str("silent");
  add_number(prove, "--max-heads", options.max_heads, "Largest number of query heads")
      ->default_str(std::to_string(options.max_heads));
  add_number(prove, "--max-tp", options.max_tp_size, "Largest tp_size")
      ->default_str(std::to_string(options.max_tp_size));
  add_number(prove, "--dp", options.dp_size, "Attention data-parallel size")
      ->default_str(std::to_string(options.dp_size));
  add_number(prove, "--jobs", options.jobs, "Threads (0: one for each core)")
      ->check(CLI::Range(0, 1024));
  prove->add_flag("--json", options.json, "Print JSON");
  prove->footer(
      "With --vs, rules for a class of models (variants) that the two have not in common are "
      "compared too.\n"
      "Example: tplora prove sglang sglang-24420\n"
      "Example: tplora prove my/changed-sglang.json --vs sglang");
}

void add_golden(CLI::App& app, GoldenCommandOptions& options) {
  CLI::App* golden = app.add_subcommand(
      "golden", "A folder with inputs and the bits that must come out of each rank");
  golden->add_option("case", options.case_line, "A case line (docs/formats/case.md)")->required();
  golden->add_option("--out", options.out, "The folder to make; it must not exist")->required();
  golden->add_option("--data", options.data,
                     "In place of the line's data=: labels (wrong rows name themselves), integers "
                     "(right for every order of summation), wide (exercises rounding)");
  golden->add_option("--ranks", options.ranks, "Only these tp_ranks: 0 or 0,2-3 (default: all)");
  golden
      ->add_option("--only", options.only,
                   "Only these pieces: checkpoint, adapters, inputs, ranks (default: all)")
      ->delimiter(',')
      ->check(CLI::IsMember({"checkpoint", "adapters", "inputs", "ranks"}));
  golden->add_option("--base", options.base,
                     "A checkpoint's folder (config.json's neighbours: model.safetensors or its "
                     "index): q, k and v of one layer are taken from it, and data=file");
  golden
      ->add_option("--adapter", options.adapters,
                   "With --base: a PEFT adapter's folder, or NAME=FOLDER; once for each adapter, "
                   "called a, b, c .. in the line's tokens= and steps= unless named")
      ->type_name("FOLDER")
      ->allow_extra_args(false);
  golden
      ->add_option("--layer-index", options.layer_index,
                   "With --base: which layer, from 0 (default: the first of the layer kind)")
      ->check(CLI::Range(0, 1000000));
  golden->add_option("--tensor-prefix", options.tensor_prefix,
                     "What stands before the layer's number in tensor names (default: as the "
                     "model's family has it, for example model.layers.)");
  golden->add_flag("--as-engine", options.as_engine,
                   "Also write what the contract itself would give, right or wrong, to as_engine/");
  add_number(golden, "--jobs", options.jobs, "Threads (0: one for each core)")
      ->check(CLI::Range(0, 1024));
  golden->footer(
      "Expected values come from the model and the rounding program, never from the contract's "
      "layout. docs/formats/golden.md describes the files.\n"
      "Example: tplora golden \"model=Qwen/Qwen3.5-35B-A3B layer=full_attention engine=sglang tp=4 "
      "R=16 adapters=a:r16:alpha32:qkv tokens=a,-\" --out golden\n"
      "Example: tplora golden --base Llama-3.1-8B --adapter my-lora "
      "\"model=meta-llama/Meta-Llama-3.1-8B engine=sglang tp=4 R=16 tokens=a,-\" --out golden");
}

void add_check(CLI::App& app, CheckCommandOptions& options) {
  CLI::App* check = app.add_subcommand(
      "check", "Judge what a kernel or an engine wrote, against a golden folder");
  check->add_option("golden", options.golden, "A folder that tplora golden wrote")->required();
  check
      ->add_option("candidate", options.candidate,
                   "A folder with rankN.safetensors or rankN.NAME.npy, or one such file; tensors "
                   "are called as in the golden's rank files, any of them may be given")
      ->required();
  check
      ->add_option("--judge", options.judge,
                   "bits: every bit; bound: as far from the exact result as some order of "
                   "summation may be; exact: within --ulps of the exact result, rounded once")
      ->check(CLI::IsMember({"bits", "bound", "exact"}))
      ->default_str("bits");
  add_number(check, "--ulps", options.ulps,
             "Of --judge exact (default: as far as the golden itself, at least 1)")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 24));
  check->add_flag("--partial", options.partial,
                  "Tensors may be missing of some tp_ranks; else that is a mismatch");
  check->add_flag("--json", options.json, "Print JSON (docs/formats/check.md)");
  add_number(check, "--jobs", options.jobs, "Threads (0: one for each core)")
      ->check(CLI::Range(0, 1024));
  check->footer(
      "Exit codes: 0 right; 1 wrong; 2 bad input; 3 right, and the golden could not have shown a "
      "mistake.\n"
      "Example: tplora check golden mine");
}

void add_adapter(CLI::App& app, AdapterCommandOptions& options) {
  CLI::App* adapter =
      app.add_subcommand("adapter", "Will this PEFT adapter survive this engine, at which tp_size");
  adapter
      ->add_option("folder", options.folder,
                   "With adapter_config.json and adapter_model.safetensors")
      ->required();
  adapter->add_option("--model", options.model, "As for layout")->required();
  adapter->add_option("--engine", options.engine, "As for layout")->required();
  adapter->add_option("--tp", options.tp_sizes, "tp_sizes: 1-8 or 1,2,4")->default_str("1-8");
  add_number(adapter, "--max-lora-rank", options.max_lora_rank,
             "lora_rank the buffers are sized for (default: the adapter's)")
      ->check(CLI::Range(1, 4096));
  adapter->footer(
      "Exit codes: 0 served as PEFT means it; 1 it does not fit the model, crashes, or is served "
      "wrongly somewhere; 2 bad input; 3 nothing of q, k or v, refused everywhere, or something "
      "of it is not judged.\n"
      "Example: tplora adapter my/adapter --model Qwen/Qwen3-4B --engine sglang --tp 1-16");
}

void add_mutants(CLI::App& app, MutantsOptions& options) {
  CLI::App* mutants = app.add_subcommand(
      "mutants", "Contracts with one thing wrong: which of them the laws notice");
  mutants->add_option("engines", options.engines, "Contracts (default: every engine)");
  add_number(mutants, "--max-heads", options.max_heads, "Largest number of query heads and tp_size")
      ->default_str(std::to_string(options.max_heads));
  add_number(mutants, "--every", options.every, "Judge only each n-th mutant")
      ->default_str(std::to_string(options.every));
  add_number(mutants, "--jobs", options.jobs, "Threads (0: one for each core)")
      ->check(CLI::Range(0, 1024));
  mutants->add_flag("--blame", options.blame,
                    "Also look whether findings on a mutant name the place it changes");
  mutants->add_flag("--json", options.json, "Print JSON");
  mutants->footer("Example: tplora mutants vllm_single_slice");
}

int run(int argc, char** argv) {
  CLI::App app(kDescription, "tplora");
  app.set_version_flag("--version", "tplora " TPLORA_VERSION);
  app.footer(kExitCodes);
  app.require_subcommand(1);
  std::string root = default_configs();
  app.add_option("--configs", root, "Folder with models, engines, bugs and suites")
      ->capture_default_str();
  tplora::core::VerifyOptions verify;
  tplora::core::add_verify(app, verify);
  verify.run.version = TPLORA_VERSION;
  tplora::core::SweepOptions sweep;
  tplora::core::add_sweep(app, sweep);
  sweep.run.version = TPLORA_VERSION;
  tplora::core::MinimiseOptions minimise;
  tplora::core::add_minimise(app, minimise);
  tplora::core::MergeOptions merge;
  tplora::core::add_merge(app, merge);
  LayoutOptions layout;
  add_layout(app, layout);
  layout.version = TPLORA_VERSION;
  ProveOptions prove;
  add_prove(app, prove);
  MutantsOptions mutants;
  add_mutants(app, mutants);
  GoldenCommandOptions golden;
  add_golden(app, golden);
  CheckCommandOptions check;
  add_check(app, check);
  AdapterCommandOptions adapter;
  add_adapter(app, adapter);
  std::string line;
  CLI::App* replay = app.add_subcommand("replay", "One case again, from its line");
  replay->add_option("case", line, "The line a finding prints")->required();
  replay->footer(
      "Example: tplora replay \"model=H=8,KV=2,D=64,hidden=512 engine=sglang-24420 tp=4 R=16 "
      "adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv\"");
  std::string kind;
  CLI::App* list = app.add_subcommand("list", "What is there to name");
  list->add_option("kind", kind, "models, engines, bugs, programs or suites")->required();
  list->footer("Example: tplora list models");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    return tplora::core::bad_input({std::string(error.what()) + "; see tplora --help", ""});
  }
  if (std::error_code unreadable; !std::filesystem::is_directory(root, unreadable)) {
    return tplora::core::bad_input(
        {"--configs " + tplora::core::excerpt(root) +
             ": not a folder, expected the one with models, engines, bugs and suites",
         ""});
  }
  const tplora::core::ConfigFolders configs{root};
  const std::map<std::string, std::function<int()>> commands = {
      {"verify", [&] { return tplora::core::verify_command(verify, configs); }},
      {"sweep", [&] { return tplora::core::sweep_command(sweep, configs); }},
      {"minimise", [&] { return tplora::core::minimise_command(minimise, configs); }},
      {"merge", [&] { return tplora::core::merge_command(merge, configs); }},
      {"layout", [&] { return tplora::core::layout_command(layout, configs); }},
      {"prove", [&] { return tplora::core::prove_command(prove, configs); }},
      {"mutants", [&] { return tplora::core::mutants_command(mutants, configs); }},
      {"golden", [&] { return tplora::core::golden_command(golden, configs, TPLORA_VERSION); }},
      {"check", [&] { return tplora::core::check_command(check, configs); }},
      {"adapter", [&] { return tplora::core::adapter_command(adapter, configs); }},
      {"replay", [&] { return tplora::core::replay_command(line, configs); }},
      {"list", [&] { return tplora::core::list_command(kind, configs); }}};
  return commands.at(app.get_subcommands().front()->get_name())();
}

/// Of stdin, stdout and stderr what is closed: no file that is opened later may be taken for it.
void keep_streams_taken() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) == -1 && errno == EBADF) {
      const int nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);  // every write to it fails
      if (nowhere != stream && nowhere >= 0) {
        dup2(nowhere, stream);
        close(nowhere);
      }
    }
  }
}

/// Whether all that was printed is written. What a program says and nobody gets is no result.
bool all_written() {
  std::cout.flush();
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
}

int unwritten() {
  return tplora::core::bad_input(
      {fmt::format("stdout: the output could not be written{}",
                   errno == 0 ? "" : fmt::format(": {}", std::strerror(errno))),
       "", true});
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of output, not an end
  keep_streams_taken();
  try {
    const int code = run(argc, argv);
    return all_written() ? code : unwritten();
  } catch (const std::bad_alloc&) {
    return tplora::core::bad_input({"there is not enough memory for this input", ""});
  } catch (const std::exception& error) {
    if (!all_written()) {
      return unwritten();
    }
    return tplora::core::bad_input({error.what(), ""});
  }
}
