// The packages of a machine's roles: further squashfs files, which lie over that of the system.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "images/initramfs/agent_protocol.h"

namespace rookery::guest {

// Where the system itself is mounted, read-only.
inline constexpr const char* kLowerFolder = "/run/rookery/lower";

// Mounts each layer, from the medium if it is mounted here and otherwise from its URL, once its digest has
// been found right. Gives the folders for an overlay, the uppermost first, the system's last, with ':'
// between.
Result<std::string> mount_layers(const std::vector<agent::RoleLayer>& layers);

}  // namespace rookery::guest
