// How a lab's machines are stepped through virtual time.
#pragma once

#include "base/loop/pacer.h"
#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

// A NIC, its driver and a cable take at least this long, whatever the lab file says: the time within which
// guests run side by side (base/loop/lane.h).
constexpr Duration kShortestCable = std::chrono::microseconds(20);
// More makes guests no quicker, and an answer from the supervisor to a machine's agent takes as long.
constexpr Duration kLongestLookahead = std::chrono::milliseconds(1);

// The lookahead is the shortest cable between a machine and its switch.
LockstepRules lockstep_rules(const LabPlan& plan);

}  // namespace rookery::vboot
