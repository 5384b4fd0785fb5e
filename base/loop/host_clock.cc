#include "base/loop/host_clock.h"

#include <x86intrin.h>

namespace rookery::host_clock {
namespace {

struct Reading {
  Duration time{};
  std::uint64_t count = 0;
};

// Both at one instant: of several, the one that was interrupted least.
Reading read_both() {
  Reading best;
  Duration shortest = Duration::max();
  for (int i = 0; i < 16; ++i) {
    const Duration before = monotonic();
    const std::uint64_t count = __rdtsc();
    const Duration took = monotonic() - before;
    if (took >= shortest) continue;
    shortest = took;
    best = {before + took / 2, count};
  }
  return best;
}

std::uint64_t measure() {
  const Reading first = read_both();
  Reading last;
  do {
    last = read_both();
  } while (last.time - first.time < std::chrono::milliseconds(20));
  return (last.count - first.count) * 1'000'000 /
         static_cast<std::uint64_t>((last.time - first.time).count());
}

}  // namespace

std::uint64_t counts_per_millisecond() {
  static const std::uint64_t counts = measure();
  return counts;
}

}  // namespace rookery::host_clock
