// What builds leave in their folder: temporary folders of those that were killed, and systems that were made
// by other recipes. Whoever calls this holds the folder's lock.
#pragma once

#include <filesystem>
#include <string_view>

namespace rookery::images {

inline constexpr std::string_view kWorkPrefix = "work-", kSystemPrefix = "system-";

// Removes all temporary folders of builds.
void remove_work_folders(const std::filesystem::path& folder);
// Removes the systems (NAME.tar.zst with NAME.sha256) but `name` and the one that was used last before it:
// the sources' last state and the one before are often built by turns. A use is noted by the date of its
// NAME.sha256.
void prune_systems(const std::filesystem::path& folder, std::string_view name);

}  // namespace rookery::images
