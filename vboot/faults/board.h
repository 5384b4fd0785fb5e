// The faults in force in a running lab: sets, ends, shows and clears them, and never touches one that was not
// named. Owned by the running lab; outlived by the loop and by the cables, switches and machines that it
// harms.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "netsim/frame.h"
#include "vboot/faults/fault.h"
#include "vboot/faults/machine_faults.h"

namespace rookery::vboot {

// Hears of each fault: for the trace, and for scenarios that wait for an end. Must not set or clear faults
// from within a call.
class FaultEvents {
 public:
  virtual ~FaultEvents() = default;
  virtual void fault_began(const FaultSpec&) {}
  // Why: "time", "count", "cleared", "replaced", or "done" of a fault that is over at once (a reset).
  virtual void fault_ended(const FaultSpec&, std::string_view /*why*/) {}
  // A frame was struck on this cable ("n5", "east:core") in this direction ("up", "down").
  virtual void fault_hit(const FaultSpec&, std::string_view /*cable*/, std::string_view /*direction*/,
                         const netsim::Frame&) {}
};

}  // namespace rookery::vboot
