// What faults act on: the cables, switches and machines of a lab, and what several faults do to one cable.
// The board owns it; it is outlived by all that is in the reach.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "netsim/faults/separation.h"
#include "vboot/faults/board.h"

namespace rookery::vboot {

class FaultGround {
 public:
  using Way = FaultDirection;
  struct CableState {
    int pulled = 0, up_pulled = 0, down_pulled = 0, blocked = 0;  // by how many faults
    netsim::LinkRules up_rules, down_rules;                       // the cable's own
  };
  // What a fault in force asks of the board.
  struct Asks {
    // From the loop, if it is still in force then.
    std::function<void(const FaultInForce& fault, std::string_view why)> end_soon;
    std::function<void(const FaultInForce& fault, std::string_view cable, std::string_view direction,
                       const netsim::Frame& frame)>
        tell_hit;
  };

  FaultGround(EventLoop& loop, std::uint64_t seed, FaultReach reach, const FaultsInForce& in_force,
              Asks asks);

  EventLoop& loop() const { return loop_; }
  std::uint64_t seed() const { return seed_; }
  const FaultReach& reach() const { return reach_; }
  const Cable& cable(std::size_t index) const { return reach_.cables[index]; }
  CableState& state(std::size_t cable) { return cables_[cable]; }
  const CableState& state(std::size_t cable) const { return cables_[cable]; }
  netsim::Separation& separation() { return separation_; }
  const FaultsInForce& in_force() const { return in_force_; }  // by name
  const Asks& board() const { return asks_; }

  // The places of those that the names and patterns stand for, each once, into `found`. One that fits nothing
  // is an error of kind usage, which calls it a `what`.
  Status find_named(const std::vector<std::string>& patterns, const std::vector<std::string>& names,
                    std::string_view what, std::vector<std::size_t>& found) const;
  // By the names of machines, of trunks, or of switches, which stand for all their trunks upwards.
  Status find_cables(const std::vector<std::string>& on, std::vector<std::size_t>& found) const;

  // A cable is out as long as any fault has it pulled: `by` is 1 or -1. Both ways, the switches see it; one
  // way, they do not.
  void pull(std::size_t cable, Way way, int by);
  // A machine's NIC came up, or its cable was plugged in.
  void came_up(std::size_t cable);

 private:
  EventLoop& loop_;
  std::uint64_t seed_;
  FaultReach reach_;
  const FaultsInForce& in_force_;
  Asks asks_;
  std::vector<CableState> cables_;  // as in the reach
  netsim::Separation separation_;
};

}  // namespace rookery::vboot
