#include "vboot/control/lab_homes.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/unix_socket.h"
#include "vboot/control/client.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHome = "home";
constexpr std::size_t kEntriesMost = 65'536;  // of a folder that all users write to

std::string prefix() {
  return fmt::format("rookery-{}-", ::geteuid());
}

}  // namespace

fs::path memory_folder_path(std::string_view lab, const fs::path& files) {
  return files / (prefix() + std::string(lab));
}

std::optional<fs::path> home_of(const fs::path& memory_folder) {
  std::error_code error;
  const fs::path home = fs::read_symlink(memory_folder / kHome, error);
  if (error || !home.is_absolute()) return std::nullopt;
  return home;
}

Status write_home(const fs::path& memory_folder, const fs::path& home) {
  std::error_code error;
  fs::create_symlink(home, memory_folder / kHome, error);
  if (error) return fail("cannot write " + (memory_folder / kHome).string() + ": " + error.message());
  return {};
}

std::vector<fs::path> memory_folders(const fs::path& files) {
  std::vector<fs::path> found;
  std::error_code error;
  std::size_t seen = 0;
  for (fs::directory_iterator it(files, error), end; !error && it != end && ++seen < kEntriesMost;
       it.increment(error)) {
    struct stat status {};
    if (it->path().filename().string().starts_with(prefix()) && ::lstat(it->path().c_str(), &status) == 0 &&
        S_ISDIR(status.st_mode) && status.st_uid == ::geteuid())
      found.push_back(it->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<fs::path> homes_elsewhere(const fs::path& runtime, const fs::path& files) {
  std::vector<fs::path> homes;
  if (files.empty()) return homes;
  for (const fs::path& memory : memory_folders(files)) {
    const auto home = home_of(memory);
    if (!home || home->parent_path() == runtime) continue;
    if (connect_unix(control_socket_path(home->parent_path(), home->filename().string())))
      homes.push_back(*home);
  }
  return homes;
}

// A runtime folder's last part is ours: base's runtime_folder().
std::string reached_by(const fs::path& home, std::string_view command) {
  return fmt::format("XDG_RUNTIME_DIR={} rookery {} --lab {}", home.parent_path().parent_path().string(),
                     command, home.filename().string());
}

}  // namespace rookery::vboot
