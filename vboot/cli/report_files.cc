#include "vboot/cli/report_files.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "base/digest.h"
#include "base/file.h"
#include "base/loop/host_clock.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kConsoles = 20, kConsoleLines = 12;  // of machines that failed

std::vector<std::pair<std::string, std::string>> facts(const BootedImage& image) {
  std::vector<std::pair<std::string, std::string>> list;
  list.emplace_back("image",
                    fmt::format("{} {}, {} {}", image.manifest.name, image.manifest.version,
                                image.manifest.distribution.id, image.manifest.distribution.version));
  list.emplace_back("image sha256", to_hex(image.digest));
  for (const auto& kernel : image.manifest.kernels)
    list.emplace_back("kernel " + kernel.component, kernel.version);
  for (const auto& component : image.manifest.components)
    list.emplace_back(component.name + " sha256", to_hex(component.sha256));
  utsname host{};
  ::uname(&host);
  const auto pages = static_cast<std::uint64_t>(std::max(::sysconf(_SC_PHYS_PAGES), 0L));
  const auto page = static_cast<std::uint64_t>(std::max(::sysconf(_SC_PAGESIZE), 0L));
  list.emplace_back(
      "host", fmt::format("{} × {}, {:.1f} GiB, {} {}", std::thread::hardware_concurrency(), processor(),
                          static_cast<double>(pages * page) / (1u << 30), host.sysname, host.release));
  return list;
}

}  // namespace

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.find(':') + 2, line.size()));
  }
  return "unknown";
}

Status check_report_files(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (const auto kind = report_kind_of(file); !kind) return tl::unexpected<Error>(kind.error());
  }
  return {};
}

ReportSnapshot::ReportSnapshot(RunningLab& lab, Recorder& recorder, JsonView report, const BootedImage& image,
                               const ReportTexts& texts)
    : history_((recorder.look(), recorder.history())),
      report_(Json::copy_of(report)),
      texts_(texts),
      facts_(facts(image)) {
  // In virtual time no time of day belongs to the run.
  if (!texts.virtual_time)
    made_at_ = fmt::format(
        "{:%Y-%m-%d %H:%M:%S} UTC",
        fmt::gmtime(std::chrono::duration_cast<std::chrono::seconds>(host_clock::time_of_day()).count()));
  for (const auto& node : lab.nodes()) {
    if (node->boot().stage != Stage::failed || consoles_.size() == kConsoles) continue;
    consoles_.push_back({node->plan().name, node->console().last_lines(kConsoleLines)});
  }
}

Status ReportSnapshot::write(const std::vector<std::string>& files) const {
  const auto program = sha256_of_file("/proc/self/exe");
  std::vector<std::pair<std::string, std::string>> all{
      {"rookery",
       fmt::format("{}, program sha256 {}", ROOKERY_VERSION, program ? to_hex(*program) : "unknown")}};
  all.insert(all.end(), facts_.begin(), facts_.end());
  const PageSource source{history_,       report_,      texts_.command, made_at_,
                          std::move(all), texts_.files, consoles_};
  for (const std::string& file : files) {
    const auto kind = report_kind_of(file);
    if (!kind) return tl::unexpected<Error>(kind.error());
    ROOKERY_TRY(write_file(file, to_text(source, *kind)));
  }
  return {};
}

Status write_reports(const std::vector<std::string>& files, RunningLab& lab, Recorder& recorder,
                     JsonView report, const BootedImage& image, const ReportTexts& texts) {
  if (files.empty()) return {};
  return ReportSnapshot(lab, recorder, report, image, texts).write(files);
}

}  // namespace rookery::vboot
