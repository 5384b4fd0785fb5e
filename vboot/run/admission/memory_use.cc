#include "vboot/run/admission/memory_use.h"

#include <charconv>
#include <fstream>
#include <set>
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

Bytes proportional_memory(std::vector<pid_t> processes) {
  constexpr std::size_t kMost = 4'000'000;  // above any pid_max: each is looked at once
  std::set<pid_t> seen;
  std::uint64_t kibibytes = 0;
  for (std::size_t i = 0; i < processes.size() && i < kMost; ++i) {
    if (!seen.insert(processes[i]).second) continue;
    const std::string pid = std::to_string(processes[i]);
    kibibytes += kibibytes_in("/proc/" + pid + "/smaps_rollup", "\nPss:");
    // One that started others has a thread for each of them, or only its first: proc(5), children.
    std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
    for (pid_t child; children >> child;) processes.push_back(child);
  }
  return Bytes{kibibytes << 10};
}

Bytes shared_memory(pid_t process) {
  return Bytes{kibibytes_in("/proc/" + std::to_string(process) + "/status", "\nRssShmem:") << 10};
}

}  // namespace rookery::vboot
