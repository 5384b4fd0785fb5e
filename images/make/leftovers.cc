#include "images/make/leftovers.h"

#include <string>
#include <system_error>
#include <vector>

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSystemTar = ".tar.zst", kSystemDigest = ".sha256";

// The names in a folder that begin so; none if it cannot be read.
std::vector<std::string> names_in(const fs::path& folder, std::string_view prefix) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (name.starts_with(prefix)) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

void remove_work_folders(const fs::path& folder) {
  for (const std::string_view prefix : {kWorkPrefix, kSystemPrefix}) {
    for (const std::string& name : names_in(folder, prefix)) {
      std::error_code ignored;
      if (fs::is_directory(fs::symlink_status(folder / name, ignored)))
        fs::remove_all(folder / name, ignored);
    }
  }
}

void prune_systems(const fs::path& folder, std::string_view name) {
  std::string kept;  // beside `name`
  fs::file_time_type latest = fs::file_time_type::min();
  const std::vector<std::string> names = names_in(folder, kSystemPrefix);
  for (const std::string& file : names) {
    if (!file.ends_with(kSystemDigest)) continue;
    const std::string system = file.substr(0, file.size() - kSystemDigest.size());
    std::error_code error;
    const auto used = fs::last_write_time(folder / file, error);
    if (error || system == name || used <= latest) continue;
    kept = system;
    latest = used;
  }
  for (const std::string& file : names) {
    const std::string system = file.substr(0, file.find('.'));
    const bool is_part = file.ends_with(kSystemTar) || file.ends_with(kSystemDigest);
    std::error_code ignored;
    if (is_part && system != name && system != kept) fs::remove(folder / file, ignored);
  }
}

}  // namespace rookery::images
