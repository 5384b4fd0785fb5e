#include "vboot/cli/up_words.h"

#include <fmt/format.h>

namespace rookery::vboot {

std::string summary_of(const Json& report, const UpOptions& options) {
  if (options.json) return report.dump() + "\n";
  const auto failed = *report.find("failed");
  std::string text = fmt::format(
      "{}: {} of {} clients ready in {:.2f} s, {} failed; {} MiB of host memory, {} MiB sent by the boot "
      "server\n",
      text_of(report, "lab"), count_of(report, "ready"), count_of(report, "clients"),
      number_of(report, "seconds"), failed.size(), count_of(report, "memory_peak_bytes") >> 20,
      count_of(report, "boot_server_bytes") >> 20);
  for (std::size_t i = 0; i < failed.size(); ++i) {
    const JsonView machine = failed.at(i);
    text += fmt::format("  {} failed in the stage {}: {}\n", text_of(machine, "name"),
                        text_of(machine, "stage"), text_of(machine, "reason"));
  }
  return text;
}

std::string replay_command(const UpOptions& options) {
  std::string command = fmt::format("rookery up {} --seed {}", options.lab_file, options.seed);
  if (options.nodes) command += fmt::format(" --nodes {}", *options.nodes);
  if (options.booting_at_once > 0) command += fmt::format(" --booting-at-once {}", options.booting_at_once);
  const UplinkRequest& uplink = options.uplink;
  if (!uplink.interface.empty()) {
    command += fmt::format(" --uplink {} --uplink-mode {}", uplink.interface, uplink.mode);
    if (!uplink.address.empty()) command += " --uplink-address " + uplink.address;
    if (!uplink.vlan.empty()) command += " --uplink-vlan " + uplink.vlan;
  }
  return command;
}

}  // namespace rookery::vboot
