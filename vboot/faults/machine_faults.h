// What a fault does to machines, as the FaultBoard asks for it. Implemented over the running lab, which owns
// the machines; a machine that cannot do a thing says so as an error of kind usage.
#pragma once

#include <string_view>

#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/units.h"

namespace rookery::vboot {

class MachineFaults {
 public:
  virtual ~MachineFaults() = default;
  virtual Status power_cut(std::string_view machine) = 0;
  virtual Status power_on(std::string_view machine) = 0;  // after a cut that was for a time
  virtual Status reset(std::string_view machine) = 0;
  // `frozen` comes once: it stands still, or will not any more (backends::Pausing).
  virtual Status freeze(std::string_view machine, Action frozen) = 0;
  virtual Status thaw(std::string_view machine) = 0;
  virtual Status slow(std::string_view machine, Duration gap) = 0;  // zero: as fast as ever
  virtual Status step_clock(std::string_view machine, Duration by) = 0;
};

}  // namespace rookery::vboot
