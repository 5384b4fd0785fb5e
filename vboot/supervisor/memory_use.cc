#include "vboot/supervisor/memory_use.h"

#include <charconv>
#include <string>
#include <string_view>

#include "base/file.h"

namespace rookery::vboot {

namespace {

// The number behind `key` in a file of such lines; 0 if it is not there: a process that has ended.
std::uint64_t kibibytes_in(const std::string& file, std::string_view key) {
  const auto text = read_file(file);
  if (!text) return 0;
  const std::size_t at = text->find(key);
  if (at == std::string::npos) return 0;
  const std::size_t digit = text->find_first_of("0123456789", at);
  if (digit == std::string::npos) return 0;
  std::uint64_t value = 0;
  std::from_chars(text->data() + digit, text->data() + text->size(), value);
  return value;
}

}  // namespace

Bytes proportional_memory(const std::vector<pid_t>& processes) {
  std::uint64_t kibibytes = 0;
  for (const pid_t pid : processes) {
    kibibytes += kibibytes_in("/proc/" + std::to_string(pid) + "/smaps_rollup", "\nPss:");
  }
  return Bytes{kibibytes << 10};
}

Bytes shared_memory(pid_t process) {
  return Bytes{kibibytes_in("/proc/" + std::to_string(process) + "/status", "\nRssShmem:") << 10};
}

}  // namespace rookery::vboot
