// How much host memory is in use: by processes, each page counted once (their proportional set size), or by all
// guests of the host together.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "base/units.h"

namespace rookery::vboot {

// The sum of the proportional set sizes (/proc/<pid>/smaps_rollup, "Pss") of those processes that are still
// there. Pages that others share with them count in part.
Bytes proportional_memory(const std::vector<pid_t>& processes);

// What lies in tmpfs and in memory shared between processes, on this host and of everybody (/proc/meminfo,
// "Shmem"): all memory of guests does. Cheap enough to be looked at many times a second.
Bytes shared_memory_of_host();

}  // namespace rookery::vboot
