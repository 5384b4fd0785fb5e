// Time and size with their units in the type. Every instant in Rookery is a Time on the clock of its run:
// nanoseconds since the run began, whoever grants them (wall clock, virtual clock, time travel).
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace rookery {

using Duration = std::chrono::nanoseconds;

// An instant on the clock of one run. Owned by nobody, compared freely; it means nothing outside its run.
struct Time {
  Duration since_start{0};

  friend constexpr auto operator<=>(const Time&, const Time&) = default;
  friend constexpr Time operator+(Time t, Duration d) { return Time{t.since_start + d}; }
  friend constexpr Duration operator-(Time a, Time b) { return a.since_start - b.since_start; }
};

constexpr double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}
constexpr double seconds(Time t) {
  return seconds(t.since_start);
}

// A number of bytes, as a size that a person configured or reads.
struct Bytes {
  std::uint64_t count = 0;
  friend constexpr auto operator<=>(const Bytes&, const Bytes&) = default;
};
constexpr Bytes mebibytes(std::uint64_t n) {
  return Bytes{n << 20};
}

}  // namespace rookery
