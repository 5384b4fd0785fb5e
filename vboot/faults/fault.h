// A fault as data, and its one text, the same on the command line, in a scenario and in JSON: a place and
// words. A plain value: what is in force is the FaultBoard's.
//
//   n5 loss=10% direction=down for=5s
//   n5 loss=100% match="udp and port 69" skip=2 count=1
//   east delay=20ms                       the trunk(s) above switch east; east:core if it has several
//   n1,n2 burst=1% recover=20%            lists; n* and n1? stand for all names that fit
//   partition=server,n1/n2,n3             groups that do not hear each other
//   cut=n5 to=server                      what n5 says does not reach the server; the way back is open
//   core restart=2s
//   server power-cut for=30s              and its power is back after 30 s
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json/json.h"
#include "base/result.h"
#include "base/units.h"
#include "netsim/faults/effects.h"
#include "vboot/lab/name_patterns.h"

namespace rookery::vboot {

// Of cables, beside netsim's effects on frames.
struct Down {  // a cable pulled: what is under way is lost
  friend bool operator==(const Down&, const Down&) = default;
};
struct Flap {  // pulled and plugged in turn, first pulled
  Duration period{0};
  double up = 0.5;  // the share of a period in which it is plugged
  friend bool operator==(const Flap&, const Flap&) = default;
};
struct QueueLimit {  // of the cable's own queue, where it is smaller
  Bytes queue;
  friend bool operator==(const QueueLimit&, const QueueLimit&) = default;
};
// A switch port that does not forward for a time after its link came up, as with IEEE 802.1D's spanning tree
// and no edge port configured.
struct Blocking {
  Duration time{0};
  bool bpdus_visible = false;  // whether the port says so meanwhile
  friend bool operator==(const Blocking&, const Blocking&) = default;
};

// Of the network as a whole; the names are machines'.
struct Partition {
  std::vector<std::vector<std::string>> groups;  // machines in none of them hear, and are heard by, all
  friend bool operator==(const Partition&, const Partition&) = default;
};
struct OneWayCut {
  std::vector<std::string> from, to;
  friend bool operator==(const OneWayCut&, const OneWayCut&) = default;
};

// Of a switch.
struct SwitchRestart {  // its tables are lost, and all its ports down for so long
  Duration ports_down{0};
  friend bool operator==(const SwitchRestart&, const SwitchRestart&) = default;
};

// Of machines.
struct PowerCut {
  friend bool operator==(const PowerCut&, const PowerCut&) = default;
};
struct Reset {
  friend bool operator==(const Reset&, const Reset&) = default;
};
struct Freeze {
  friend bool operator==(const Freeze&, const Freeze&) = default;
};
struct Thaw {
  friend bool operator==(const Thaw&, const Thaw&) = default;
};
struct Slow {
  Duration gap{0};
  friend bool operator==(const Slow&, const Slow&) = default;
};
struct ClockStep {
  Duration by{0};  // may be negative
  friend bool operator==(const ClockStep&, const ClockStep&) = default;
};

using FaultEffect =
    std::variant<netsim::Loss, netsim::BurstLoss, netsim::Delay, netsim::Jitter, netsim::RateLimit,
                 netsim::Duplicate, netsim::Reorder, netsim::Corrupt, Down, Flap, QueueLimit, Blocking,
                 Partition, OneWayCut, SwitchRestart, PowerCut, Reset, Freeze, Thaw, Slow, ClockStep>;

// Seen from the machine: up is what it sends. Of a trunk: up is towards the switch that is its uplink.
enum class FaultDirection : std::uint8_t { both, up, down };

struct FaultSpec {
  std::string name;  // given, or made of what the fault is; unique among those in force
  FaultEffect effect;
  // Names of machines, switches or trunks, or patterns of them; none for Partition and OneWayCut.
  std::vector<std::string> on;
  FaultDirection direction = FaultDirection::both;
  std::string match;             // pcap-filter(7); empty: every frame
  netsim::FrameLimits limits;    // each cable and direction counts by itself
  std::optional<Duration> time;  // "for": how long it is in force

  friend bool operator==(const FaultSpec&, const FaultSpec&) = default;
};

// The word of the effect: "loss", "power-cut".
std::string_view effect_word(const FaultEffect& effect);

// The first word may be the place, or it is given as on=n5; a map of a YAML file becomes words by writing
// key=value, or the key alone where the value is true. Errors are of kind usage, name the word and the fix.
// Whether the places exist, the board knows (board.h).
Result<FaultSpec> parse_fault(std::span<const std::string> words);
// A line as a shell would read it: words between spaces, quotes around what has spaces itself.
Result<FaultSpec> parse_fault(std::string_view line);

// What parse_fault makes this same fault of.
std::vector<std::string> to_words(const FaultSpec& fault);
std::string to_text(const FaultSpec& fault);
// The same words as an object: {"name": "n5.loss", "on": "n5", "loss": "10%", "direction": "down"}.
Json to_json(const FaultSpec& fault);

}  // namespace rookery::vboot
