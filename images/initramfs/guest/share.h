// Attaches the shared compressed image as a block device. The seam for other ways than NBD (the replicated
// share comes later): one function per scheme, chosen by the URL alone.
#pragma once

#include <string>

#include "base/result.h"
#include "images/initramfs/boot_url.h"

namespace rookery::guest {

// The device that holds the squashfs, read-only. A process stays that connects anew when the server was away.
Result<std::string> attach_share(const std::string& url);

Result<std::string> attach_nbd(const ipxe::BootUrl& url);

}  // namespace rookery::guest
