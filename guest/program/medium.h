// The medium: a disk that holds an ISO 9660 file system with an image on it (/rookery/manifest.json).
#pragma once

#include <string>

#include "base/result.h"
#include "guest/program/devices.h"

namespace rookery::guest {

inline constexpr const char* kMediumFolder = "/run/rookery/medium";

// Mounts the first medium among the machine's disks there, and gives a loop device with its root.squashfs. If
// `wanted` is not empty, it is the one with that digest of its manifest. Waits for disks that come late.
Result<std::string> attach_medium(Devices& devices, std::string_view wanted);

// Reads the whole system of the mounted medium, which takes a while: an Error if it is not what its digest
// says. For machines that start from a medium that nobody else has looked at.
Status check_medium();

// A read-only loop device of that file.
Result<std::string> loop_device(const std::string& path);

}  // namespace rookery::guest
