// How much host memory processes take.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "base/units.h"

namespace rookery::vboot {

// The sum of the proportional set sizes (/proc/<pid>/smaps_rollup, "Pss") of those processes that are still
// there, and of all that they have started. Pages that others share with them count in part. Takes a
// millisecond for a process of some size: not for the event loop.
Bytes proportional_memory(std::vector<pid_t> processes);

// The shared memory that one process has touched (/proc/<pid>/status, "RssShmem"): of the first process of a
// machine that is all memory of its guest. Cheap, unlike the above; 0 once it has ended.
Bytes shared_memory(pid_t process);

}  // namespace rookery::vboot
