#include "vboot/supervisor/memory_use.h"

#include <charconv>
#include <string>

#include "base/file.h"

namespace rookery::vboot {

Bytes proportional_memory(const std::vector<pid_t>& processes) {
  std::uint64_t kibibytes = 0;
  for (const pid_t pid : processes) {
    const auto rollup = read_file("/proc/" + std::to_string(pid) + "/smaps_rollup");
    if (!rollup) continue;  // it has ended
    const std::size_t at = rollup->find("\nPss:");
    if (at == std::string::npos) continue;
    const std::size_t digit = rollup->find_first_of("0123456789", at);
    if (digit == std::string::npos) continue;
    std::uint64_t value = 0;
    std::from_chars(rollup->data() + digit, rollup->data() + rollup->size(), value);
    kibibytes += value;
  }
  return Bytes{kibibytes << 10};
}

}  // namespace rookery::vboot
