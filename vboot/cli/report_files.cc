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
#include "base/host_clock.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kConsoles = 20, kConsoleLines = 12;  // of machines that failed

std::vector<std::pair<std::string, std::string>> facts(const BootedImage& image) {
  std::vector<std::pair<std::string, std::string>> list;
  const auto program = sha256_of_file("/proc/self/exe");
  list.emplace_back("rookery", fmt::format("{}, program sha256 {}", ROOKERY_VERSION,
                                           program ? to_hex(*program) : "unknown"));
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

Status write_reports(const std::vector<std::string>& files, RunningLab& lab, Recorder& recorder,
                     JsonView report, const BootedImage& image, const ReportTexts& texts) {
  if (files.empty()) return {};
  recorder.look();
  PageSource source{recorder.history(), report, texts.command, "", facts(image), texts.files, {}};
  // In virtual time no time of day belongs to the run.
  if (!texts.virtual_time)
    source.made_at = fmt::format(
        "{:%Y-%m-%d %H:%M:%S} UTC",
        fmt::gmtime(std::chrono::duration_cast<std::chrono::seconds>(host_clock::time_of_day()).count()));
  for (const auto& node : lab.nodes()) {
    if (node->boot().stage != Stage::failed || source.consoles.size() == kConsoles) continue;
    source.consoles.push_back({node->plan().name, node->console().last_lines(kConsoleLines)});
  }
  for (const std::string& file : files) {
    const auto kind = report_kind_of(file);
    if (!kind) return tl::unexpected<Error>(kind.error());
    ROOKERY_TRY(write_file(file, to_text(source, *kind)));
  }
  return {};
}

}  // namespace rookery::vboot
