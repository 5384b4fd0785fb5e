// What a kernel does with the initramfs that it is given, for one that came later: stage one unpacks the
// second stage's with it.
#pragma once

#include <string>

#include "base/result.h"

namespace rookery::guest {

// Unpacks a cpio archive, packed by zstd or not, below `folder`, and removes it.
Status unpack_initramfs(const std::string& file, const std::string& folder);

}  // namespace rookery::guest
