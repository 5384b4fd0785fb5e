// The medium: a disk that holds an ISO 9660 file system with an image on it (/rookery/manifest.json).
#pragma once

#include <string>

#include "base/result.h"

namespace rookery::guest {

inline constexpr const char* kMediumFolder = "/run/rookery/medium";

// Mounts the first medium among the machine's disks there, and gives a loop device with its root.squashfs.
Result<std::string> attach_medium();

}  // namespace rookery::guest
