// The packages of a machine's roles: further squashfs files, which lie over that of the system.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "guest/protocol/agent_protocol.h"

namespace rookery::guest {

// Where the system itself is mounted, read-only.
inline constexpr const char* kLowerFolder = "/run/rookery/lower";

// Mounts each layer: from the medium, if it is mounted here, or else from its URL, once its digest has been
// found right (the medium is, as its root.squashfs, taken as it was found by whoever plugged it in). Gives
// the folders for an overlay, the uppermost first, the system's last, with ':' between.
Result<std::string> mount_layers(const std::vector<agent::RoleLayer>& layers);
// In the new root: puts the layers' records into the lists that they share (shared_lists.h).
Status put_records_in(const std::vector<agent::RoleLayer>& layers);

}  // namespace rookery::guest
