#include "verify/cli/ci_files.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>

#include "verify/report/ci_forms.hpp"
#include "verify/safetensors/output_file.hpp"

namespace tplora::core {

Result<void> write_ci_files(const CiFiles& files, const ReportHeader& header,
                            const std::vector<CaseRecord>& cases,
                            const std::vector<BugCatalogue::BlindSpot>& spots,
                            const LawsAgain& again) {
  const auto write = [](const std::string& file, const auto& text) -> Result<void> {
    return file.empty() ? Result<void>() : write_text_file(file, text()).map([](const auto&) {});
  };
  const std::string now =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(std::chrono::system_clock::now()));
  const auto written =
      write(files.junit, [&] { return junit_xml(header, cases, now.substr(0, 19)); })
          .and_then([&] { return write(files.sarif, [&] { return sarif_json(header, cases); }); })
          .and_then([&] {
            return write(files.markdown, [&] { return markdown_text(header, cases, spots); });
          })
          .and_then([&] {
            return write(files.html, [&] { return html_page(header, cases, spots, again); });
          });
  if (files.github) {
    fmt::print("{}", github_annotations(cases));
  }
  return written;
}

LawsAgain laws_again(const ConfigFolders& configs) {
  return [configs](const std::string& line, bool causes) -> std::optional<LayerReport> {
    auto report = parse_case(line)
                      .and_then([&](Case one) { return prepare(std::move(one), configs); })
                      .and_then([&](PreparedCase item) {
                        item.explain = causes;
                        return check_laws(std::move(item));
                      });
    return report ? std::optional(*std::move(report)) : std::nullopt;
  };
}

}  // namespace tplora::core
