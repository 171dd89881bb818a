// The commands behind the options. Each prints its result to stdout, everything else to stderr,
// and returns the exit code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/case/prepared_case.hpp"
#include "verify/cli/ci_files.hpp"

namespace tplora::core {

/// How suites are run, whatever is in them.
struct RunSettings {
  std::string filter;  ///< words that must all stand in a case's line
  int jobs = 0;
  std::int64_t timeout = 0;       ///< seconds of the whole run; 0: none
  std::int64_t case_timeout = 0;  ///< seconds of a case; 0: none
  std::string memory;             ///< "8G", for numbers at the same time; empty: what there is
  bool fail_fast = false;         ///< begin nothing new behind a case that is not as expected
  bool dry_run = false;           ///< only tell what would be run
  bool strict = false;            ///< a blind spot is a failure
  std::string report;             ///< the file to make; empty: none
  std::string resume;             ///< the report to go on with; empty: none
  std::string shard;              ///< "2/4"; empty: all
  std::string version;            ///< of the program
  CiFiles ci;
  std::string instruction_set;  ///< use it alone; empty: the machine's best
};

struct VerifyOptions {
  std::vector<std::string> suites;
  RunSettings run;
};

/// A suite of one entry, in the words of the command line.
struct SweepOptions {
  std::vector<std::string> models;
  std::vector<std::string> engines;
  std::string tp_sizes = "1-8";
  std::string lora_ranks = "16";
  std::string max_lora_ranks;  ///< empty: each as the lora_rank
  std::vector<std::string> targets = {"qkv"};
  std::vector<std::string> dtypes = {"bf16"};
  std::string case_line;     ///< in place of adapters, steps and tokens; empty: the usual ones
  std::string numbers;       ///< "all", or a number n: of each n-th case; empty: laws only
  bool explain = false;      ///< causes of what is wrong
  bool print_suite = false;  ///< only that
  RunSettings run;
};

struct MergeOptions {
  std::vector<std::string> shards;  ///< reports
  std::string out;                  ///< the file to make; empty: none
  bool strict = false;
  CiFiles ci;
};

struct MinimiseOptions {
  std::string case_line;
  std::int64_t timeout = 0;  ///< seconds; 0: none
};

struct LayoutOptions {
  static constexpr std::int64_t kNotGiven = -1;
  std::string model;
  std::string engine;
  std::string case_line;  ///< a whole case instead of the other options but vs, layer and json
  std::string vs;         ///< a second engine to compare with; empty: none
  std::string layer;
  std::int64_t tp_size = kNotGiven;
  std::int64_t dp_size = 1;
  std::int64_t lora_rank = 16;
  std::int64_t max_lora_rank = 0;  ///< 0: as lora_rank
  std::int64_t slots = 2;
  bool json = false;
  std::string html;     ///< the page to write; empty: none
  std::string version;  ///< of the program
};

struct ProveOptions {
  std::vector<std::string> engines;  ///< empty: every engine of configs/engines
  std::string vs;                    ///< the engine to compare with; empty: none
  std::string fail_on = "silent";    ///< "silent", or "crash": silent and crash
  std::int64_t max_heads = 64;
  std::int64_t max_tp_size = 64;
  std::int64_t dp_size = 1;
  int jobs = 0;
  bool json = false;
};

struct MutantsOptions {
  std::vector<std::string> engines;  ///< empty: every engine of configs/engines
  std::int64_t max_heads = 8;        ///< of the points, and their largest tp_size
  std::int64_t every = 1;            ///< only each n-th mutant
  bool blame = false;                ///< also look whether findings name the changed place
  int jobs = 0;
  bool json = false;
};

struct GoldenCommandOptions {
  std::string case_line;
  std::string out;                    ///< the folder to make
  std::string data;                   ///< in place of the line's own; empty: the line's
  std::string ranks;                  ///< "0,2-3"; empty: all
  std::vector<std::string> only;      ///< names of pieces; empty: all
  std::string base;                   ///< a checkpoint's folder; empty: data are made
  std::vector<std::string> adapters;  ///< PEFT folders, or NAME=FOLDER
  std::int64_t layer_index = -1;      ///< of the base; -1: the first of the layer kind
  std::string tensor_prefix;
  bool as_engine = false;
  int jobs = 0;
};

struct CheckCommandOptions {
  std::string golden;
  std::string candidate;
  std::string judge = "bits";
  std::int64_t ulps = -1;  ///< of judge exact; -1: as far as the golden is
  bool partial = false;
  bool json = false;
  int jobs = 0;
};

struct AdapterCommandOptions {
  std::string folder;
  std::string model;
  std::string engine;
  std::string tp_sizes = "1-8";
  std::int64_t max_lora_rank = 0;  ///< 0: the adapter's own
};

int verify_command(const VerifyOptions& options, const ConfigFolders& configs);
/// Runs a suite that is made of the options; nothing is expected of its cases.
int sweep_command(const SweepOptions& options, const ConfigFolders& configs);
/// Puts the reports of all shards of a run together. Exit codes as of that run.
int merge_command(const MergeOptions& options, const ConfigFolders& configs);
int layout_command(const LayoutOptions& options, const ConfigFolders& configs);
/// The laws over every geometry and tp_size in a range. 0: every contract holds inside its claims;
/// 1: one is silently wrong there; 3: one is consistent nowhere.
int prove_command(const ProveOptions& options, const ConfigFolders& configs);
/// Contracts with one thing wrong, and whether the laws notice. 0: none survived; 1: some did.
int mutants_command(const MutantsOptions& options, const ConfigFolders& configs);
/// The smallest case that fails the same way. 0: told; 2: bad input, or a case that does not fail;
/// 5: stopped before it was the smallest.
int minimise_command(const MinimiseOptions& options, const ConfigFolders& configs);
int replay_command(const std::string& line, const ConfigFolders& configs);
/// Writes a golden folder. 0: written; 2: bad input; 4: it could not be written.
int golden_command(const GoldenCommandOptions& options, const ConfigFolders& configs,
                   const std::string& version);
/// Judges a candidate. 0: right; 1: wrong; 2: bad input; 3: right, and nothing could have shown a
/// mistake.
int check_command(const CheckCommandOptions& options, const ConfigFolders& configs);
/// What becomes of a PEFT adapter under an engine. Exit codes as adapter_exit_code.
int adapter_command(const AdapterCommandOptions& options, const ConfigFolders& configs);
int list_command(const std::string& kind, const ConfigFolders& configs);

}  // namespace tplora::core
