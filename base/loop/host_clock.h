// The host's clocks, for the wall pacer and for what a person or a capture file is told of a run. Nothing
// else in a run is decided by them: events have the run's Time (units.h).
#pragma once

#include <chrono>
#include <cstdint>

#include "base/units.h"

namespace rookery::host_clock {

// Since some beginning that does not change while the host is up.
inline Duration monotonic() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

// Since 1970-01-01 00:00 UTC.
inline Duration time_of_day() {
  return std::chrono::system_clock::now().time_since_epoch();
}

// What the processor's time stamp counter counts in a millisecond: measured when it is first asked for, which
// takes some 20 ms. For guests that see this counter and have nothing to compare it with.
std::uint64_t counts_per_millisecond();

}  // namespace rookery::host_clock
