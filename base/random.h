// Seeded randomness. Every run has one seed; everything that draws has a stream of its own, named after what
// it is for, so that a new user of randomness does not shift anybody else's numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace rookery {

// One stream (xoshiro256++, Blackman and Vigna, https://prng.di.unimi.it; public domain), its state derived
// from the run's seed and the stream's name by BLAKE2b. A value: copying it copies the position.
class Random {
 public:
  Random(std::uint64_t seed, std::string_view stream);

  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound); bound > 0
  double unit();                             // uniform in [0, 1), 53 bits
  bool chance(double probability) { return unit() < probability; }

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace rookery
