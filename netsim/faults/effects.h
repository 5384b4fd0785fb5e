// What can be done to the frames of one direction of a cable, as plain data. Who is harmed, for how long, and
// the words for it are above (vboot/faults/fault.h); doing it is fault_point.h's.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/units.h"
#include "netsim/link.h"

namespace rookery::netsim {

// How likely each of these strikes a frame is the rule's chance, not the effect's (see FrameRule).
struct Loss {
  friend bool operator==(const Loss&, const Loss&) = default;
};
struct Duplicate {  // the copy directly behind
  friend bool operator==(const Duplicate&, const Duplicate&) = default;
};
struct Reorder {  // held back for `by`, while those behind it pass
  Duration by = std::chrono::milliseconds(1);
  friend bool operator==(const Reorder&, const Reorder&) = default;
};
struct Corrupt {  // one bit of what lies behind the Ethernet header is turned over
  // IPv4, TCP and UDP checksums are made right again, so that nobody notices; otherwise they stay as they
  // were.
  bool checksum_valid = false;
  friend bool operator==(const Corrupt&, const Corrupt&) = default;
};

// Loss in bursts: two states, good and bad, with a chance of leaving each at every frame (Gilbert 1960,
// Elliott 1963). Begins in the good one.
struct BurstLoss {
  double begin = 0;         // p: of entering the bad state
  double end = 0;           // r: of leaving it
  double loss_outside = 0;  // in the good state
  double loss_inside = 1;   // in the bad state
  friend bool operator==(const BurstLoss&, const BurstLoss&) = default;
};

// Delays are added to the cable's own, and keep the order of the frames that one rule delays.
struct Delay {
  Duration by{0};
  friend bool operator==(const Delay&, const Delay&) = default;
};
enum class Distribution : std::uint8_t {
  uniform,  // in [0, 2 × mean)
  normal,   // standard deviation of a third of the mean (the sum of twelve uniform numbers), not below 0
  pareto,   // shape 2, from half the mean on; cut off at a hundred times the mean
};
struct Jitter {
  Duration mean{0};
  Distribution distribution = Distribution::uniform;
  friend bool operator==(const Jitter&, const Jitter&) = default;
};

// A slower stretch in front of the cable, with a queue of its own.
struct RateLimit {
  BitRate rate;
  Bytes queue{std::uint64_t{64} << 10};
  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

using FrameEffect = std::variant<Loss, BurstLoss, Delay, Jitter, RateLimit, Duplicate, Reorder, Corrupt>;

// Which of the frames of one direction an effect strikes. A frame is looked at by each rule as it comes in,
// before any effect is applied, so that no rule's decisions depend on another's.
struct FrameLimits {
  std::uint64_t skip = 0;                // of the frames that match, those let go first
  std::optional<std::uint64_t> count{};  // of the frames that match, how many after those are candidates
  double chance = 1;                     // that a candidate is struck
  friend bool operator==(const FrameLimits&, const FrameLimits&) = default;
};

}  // namespace rookery::netsim
