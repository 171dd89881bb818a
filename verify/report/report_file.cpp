#include "verify/report/report_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include "verify/safetensors/output_file.hpp"

namespace tplora::core {
namespace {

/// Opens a report for one writer.
Result<int> open_alone(const std::filesystem::path& file, int flags) {
  std::error_code unreadable;
  const auto kind = std::filesystem::status(file, unreadable).type();
  if (kind == std::filesystem::file_type::not_found && (flags & O_CREAT) == 0) {
    return fail("there is no such report to go on with (--report makes one)", file.string());
  }
  if (kind != std::filesystem::file_type::not_found &&
      kind != std::filesystem::file_type::regular && (flags & O_CREAT) == 0) {
    return fail("found a folder, a device or a pipe, expected a report", file.string());
  }
  const int descriptor =
      ::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | flags, 0666);
  if (descriptor < 0) {
    return errno == EEXIST
               ? fail("the file exists already, expected a new one, or --resume", file.string())
               : Result<int>(output_error(file, "cannot be written", errno));
  }
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor);
    return fail("another run writes this report, expected one at a time", file.string());
  }
  return descriptor;
}

std::string place_of(const std::filesystem::path& file, std::size_t line) {
  return fmt::format("{}:{}", file.string(), line + 1);
}

/// "models/a.json": the first file that one has and the other has not, or has otherwise.
std::string differing_file(const std::map<std::string, std::string>& a,
                           const std::map<std::string, std::string>& b) {
  for (const auto& [file, digest] : a) {
    const auto other = b.find(file);
    if (other == b.end() || other->second != digest) {
      return file;
    }
  }
  for (const auto& [file, digest] : b) {
    if (!a.contains(file)) {
      return file;
    }
  }
  return "";
}

std::vector<CaseRecord> in_order(std::vector<CaseRecord> cases) {
  std::sort(cases.begin(), cases.end(),
            [](const CaseRecord& a, const CaseRecord& b) { return a.number < b.number; });
  return cases;
}

bool has_whole_line(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string line;
  return std::getline(stream, line) && !stream.eof();
}

}  // namespace

// --- reading ---------------------------------------------------------------------------------

Result<StoredReport> read_report(const std::filesystem::path& file) {
  std::error_code unreadable;
  if (!std::filesystem::is_regular_file(file, unreadable)) {
    return fail("no such file, expected a report", file.string());
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return fail("the file cannot be opened for reading", file.string());
  }
  StoredReport report;
  std::string line;
  for (std::size_t i = 0; std::getline(stream, line) && !stream.eof(); ++i, line.clear()) {
    const std::string place = place_of(file, i);
    if (report.blind_spots) {
      return fail("a line behind the footer, expected none", place);
    }
    if (i == 0) {
      auto header = read_header(line, place);
      if (!header) {
        return fail(header.error());
      }
      report.header = *std::move(header);
      report.header_bytes = static_cast<std::int64_t>(line.size()) + 1;
    } else {
      const auto type = type_of_line(line, place);
      if (!type) {
        return fail(type.error());
      }
      if (*type == "footer") {
        auto spots = read_footer(line, place);
        if (!spots) {
          return fail(spots.error());
        }
        if (line != line_of(footer_of(in_order(report.cases), *spots))) {
          return fail("the footer does not say what the lines before it say", place);
        }
        report.blind_spots = *std::move(spots);
      } else {
        auto one = read_case_record(line, place);
        if (!one) {
          return fail(one.error());
        }
        report.cases.push_back(*std::move(one));
        report.lines.push_back(line);
      }
    }
  }
  if (report.blind_spots && !line.empty()) {
    return fail("a torn line behind the footer, expected none", file.string());
  }
  if (report.header_bytes == 0) {
    return fail("there is no whole line in it, expected a report with its header", file.string());
  }
  return report;
}

std::string difference_of(const ReportHeader& found, const ReportHeader& expected) {
  const auto differs = [](const char* what, const auto& a, const auto& b) {
    return fmt::format("{} \"{}\", expected \"{}\"", what, a, b);
  };
  if (found.version != expected.version || found.commit != expected.commit) {
    return differs("of version", found.version + " " + found.commit,
                   expected.version + " " + expected.commit);
  }
  if (found.suite != expected.suite) {
    return differs("of suite", found.suite, expected.suite);
  }
  if (found.expects != expected.expects) {
    return differs("of mode", found.expects ? "check" : "report",
                   expected.expects ? "check" : "report");
  }
  if (found.filter != expected.filter) {
    return differs("with filter", found.filter, expected.filter);
  }
  if (const std::string file = differing_file(found.files, expected.files); !file.empty()) {
    return fmt::format("in which {} is another file, or was not read", file);
  }
  if (found.cases != expected.cases || found.passes != expected.passes) {
    return fmt::format("of {} cases in {} passes, expected {} in {}", found.cases, found.passes,
                       expected.cases, expected.passes);
  }
  if (found.pinned != expected.pinned) {
    return differs("of a suite with pinned digest", found.pinned, expected.pinned);
  }
  return "";
}

// --- writing ---------------------------------------------------------------------------------

Result<ReportFile> ReportFile::create(const std::filesystem::path& file,
                                      const ReportHeader& header) {
  return open_alone(file, O_CREAT | O_EXCL).and_then([&](int descriptor) -> Result<ReportFile> {
    ReportFile report(file, descriptor);
    if (auto written = report.write(line_of(header) + "\n"); !written) {
      return fail(written.error());
    }
    return report;
  });
}

Result<ReportFile> ReportFile::resume(const std::filesystem::path& file, const ReportHeader& header,
                                      const std::vector<Pass>& plan) {
  auto descriptor = open_alone(file, 0);
  if (!descriptor) {
    return fail(descriptor.error());
  }
  ReportFile resumed(file, *descriptor);
  if (!has_whole_line(file)) {  // killed before its header was written
    if (::ftruncate(*descriptor, 0) != 0) {
      return output_error(file, "cannot be emptied", errno);
    }
    if (auto written = resumed.write(line_of(header) + "\n"); !written) {
      return fail(written.error());
    }
    return resumed;
  }
  auto read = read_report(file);
  if (!read) {
    return fail(read.error());
  }
  if (const std::string why = difference_of(read->header, header); !why.empty()) {
    return fail(fmt::format("a report {}: another run's", why), file.string());
  }
  if (read->header.shard != header.shard) {
    return fail("a report of another shard, expected that of this run", file.string());
  }
  // Whole passes, in the order of the plan; the last may be torn.
  std::int64_t bytes = read->header_bytes;
  std::size_t at = 0;
  for (std::size_t pass = 0; pass < plan.size() && at < read->cases.size(); ++pass) {
    if (header.shard && !header.shard->has(static_cast<std::int64_t>(pass))) {
      continue;
    }
    const std::size_t end = at + plan[pass].cases.size();
    std::int64_t length = 0;
    for (std::size_t i = at; i < std::min(end, read->cases.size()); ++i) {
      const CaseRecord& one = read->cases[i];
      if (one.pass != static_cast<std::int64_t>(pass) ||
          one.number != static_cast<std::int64_t>(plan[pass].cases[i - at])) {
        return fail(fmt::format("case {} of pass {}, expected case {} of pass {}", one.number,
                                one.pass, plan[pass].cases[i - at], pass),
                    place_of(file, i + 1));
      }
      length += static_cast<std::int64_t>(read->lines[i].size()) + 1;
    }
    if (end > read->cases.size()) {
      read->cases.resize(at);
      break;
    }
    bytes += length;
    at = end;
    resumed.passes_.push_back(pass);
  }
  if (at < read->cases.size()) {
    return fail("more cases than the run has", file.string());
  }
  std::int64_t wanted = 0;
  for (std::size_t pass = 0; pass < plan.size(); ++pass) {
    const bool own = !header.shard || header.shard->has(static_cast<std::int64_t>(pass));
    wanted += own ? static_cast<std::int64_t>(plan[pass].cases.size()) : 0;
  }
  if (read->blind_spots && static_cast<std::int64_t>(read->cases.size()) != wanted) {
    return fail(fmt::format("{} cases before the footer, expected {}", read->cases.size(), wanted),
                file.string());
  }
  resumed.complete_ = read->blind_spots.has_value();
  resumed.blind_spots_ = read->blind_spots.value_or(std::vector<BugCatalogue::BlindSpot>{});
  resumed.cases_ = std::move(read->cases);
  if (!resumed.complete_ && ::ftruncate(*descriptor, bytes) != 0) {
    return output_error(file, "cannot be cut off behind its last whole pass", errno);
  }
  return resumed;
}

ReportFile::ReportFile(ReportFile&& other) noexcept
    : file_(std::move(other.file_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      cases_(std::move(other.cases_)),
      passes_(std::move(other.passes_)),
      blind_spots_(std::move(other.blind_spots_)),
      complete_(other.complete_) {}

ReportFile::~ReportFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

Result<void> ReportFile::write(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t some = ::write(descriptor_, text.data() + done, text.size() - done);
    if (some < 0 && errno != EINTR) {
      return output_error(file_, "cannot be written", errno);
    }
    done += some < 0 ? 0 : static_cast<std::size_t>(some);
  }
  return {};
}

Result<void> ReportFile::append(const std::vector<CaseRecord>& pass) {
  std::string text;
  for (const CaseRecord& one : pass) {
    text += line_of(one) + "\n";
  }
  return write(text);
}

Result<void> ReportFile::finish(const ReportFooter& footer) {
  if (auto written = write(line_of(footer) + "\n"); !written) {
    return written;
  }
  return ::fsync(descriptor_) == 0 ? Result<void>()
                                   : output_error(file_, "cannot be brought to the disk", errno);
}

// --- putting together ------------------------------------------------------------------------

Result<StoredReport> merge_reports(const std::vector<std::filesystem::path>& files) {
  StoredReport all;
  std::map<std::int64_t, std::string> shards;
  std::map<std::pair<std::int64_t, std::int64_t>, std::pair<CaseRecord, std::string>> cases;
  std::int64_t count = 0;
  for (const std::filesystem::path& file : files) {
    auto part = read_report(file);
    if (!part) {
      return fail(part.error());
    }
    if (!part->blind_spots) {
      return fail("the run did not come to its end (there is no footer), expected a complete one",
                  file.string());
    }
    const Shard shard = part->header.shard.value_or(Shard{});
    if (shards.empty()) {
      all.header = part->header;
      all.blind_spots = part->blind_spots;
      count = shard.count;
    }
    if (*part->blind_spots != *all.blind_spots) {
      return fail(fmt::format("other blind spots than in {}", files.front().string()),
                  file.string());
    }
    if (const std::string why = difference_of(part->header, all.header); !why.empty()) {
      return fail(
          fmt::format("a report {}: not of the same run as {}", why, files.front().string()),
          file.string());
    }
    if (shard.count != count || shard.number > count) {
      return fail(
          fmt::format("shard {} of {}, expected one of {}", shard.number, shard.count, count),
          file.string());
    }
    if (const auto [entry, is_new] = shards.emplace(shard.number, file.string()); !is_new) {
      return fail(fmt::format("shard {} again, which {} is too", shard.number, entry->second),
                  file.string());
    }
    for (std::size_t i = 0; i < part->cases.size(); ++i) {
      CaseRecord& one = part->cases[i];
      if (!shard.has(one.pass)) {
        return fail(fmt::format("pass {} is not of shard {}", one.pass, shard.number),
                    place_of(file, i + 1));
      }
      const std::pair key(one.pass, one.number);
      if (!cases.emplace(key, std::pair(std::move(one), std::move(part->lines[i]))).second) {
        return fail("this case stands twice in the report", place_of(file, i + 1));
      }
    }
  }
  for (std::int64_t number = 1; number <= count; ++number) {
    if (!shards.contains(number)) {
      return fail(fmt::format("shard {} of {} is missing", number, count));
    }
  }
  if (static_cast<std::int64_t>(cases.size()) != all.header.cases) {
    return fail(fmt::format("{} cases in all shards, expected {}", cases.size(), all.header.cases));
  }
  all.header.shard.reset();
  for (auto& [key, one] : cases) {
    all.cases.push_back(std::move(one.first));
    all.lines.push_back(std::move(one.second));
  }
  return all;
}

std::string report_text(const StoredReport& report) {
  std::string text = line_of(report.header) + "\n";
  for (const std::string& line : report.lines) {
    text += line + "\n";
  }
  return text + line_of(footer_of(in_order(report.cases), *report.blind_spots)) + "\n";
}

}  // namespace tplora::core
