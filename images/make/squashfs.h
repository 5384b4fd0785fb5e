// Packs a tar as a squashfs, by mksquashfs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace rookery::images {

// What turns the tar into the squashfs.
std::vector<std::string> squashfs_command(bool as_root, const std::filesystem::path& tar,
                                          const std::filesystem::path& destination);

// Runs it in `folder`. Nothing in it is dated later than `date`; `stop` is Command's.
Status make_squashfs(const std::filesystem::path& folder, const std::filesystem::path& tar,
                     const std::filesystem::path& destination, std::int64_t date, int stop = -1);

}  // namespace rookery::images
