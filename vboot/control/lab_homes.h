// Where labs live on this host: a folder in the runtime folder, for sockets, and one on tmpfs, for guests'
// memory. A user may have several runtime folders, and one may be removed (at logout); the memory's place is
// one and the same for all, so there is written where a lab's home is.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rookery::vboot {

inline constexpr const char* kMemoryFiles = "/dev/shm";

// <files>/rookery-<uid>-<lab>
std::filesystem::path memory_folder_path(std::string_view lab,
                                         const std::filesystem::path& files = kMemoryFiles);

// The folder of the lab whose memory this is: what the link in it says.
std::optional<std::filesystem::path> home_of(const std::filesystem::path& memory_folder);
Status write_home(const std::filesystem::path& memory_folder, const std::filesystem::path& home);

// All folders of this user's labs' memory.
std::vector<std::filesystem::path> memory_folders(const std::filesystem::path& files = kMemoryFiles);

// The homes, outside this runtime folder, of labs that somebody listens for.
std::vector<std::filesystem::path> homes_elsewhere(const std::filesystem::path& runtime,
                                                   const std::filesystem::path& files = kMemoryFiles);

// "XDG_RUNTIME_DIR=/run/user/7 rookery …": how such a lab is spoken to.
std::string reached_by(const std::filesystem::path& home, std::string_view command);

}  // namespace rookery::vboot
