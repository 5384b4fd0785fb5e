// How much host memory processes take, each page counted once: by their proportional set size.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "base/units.h"

namespace rookery::vboot {

// The sum of the proportional set sizes (/proc/<pid>/smaps_rollup, "Pss") of those processes that are still
// there. Pages that others share with them count in part.
Bytes proportional_memory(const std::vector<pid_t>& processes);

}  // namespace rookery::vboot
