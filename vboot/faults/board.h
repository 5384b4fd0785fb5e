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

#include "base/loop/event_loop.h"
#include "vboot/faults/cable.h"
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

// All that faults can reach.
struct FaultReach {
  std::vector<Cable> cables;          // of the machines, in the plan's order, then the trunks
  std::vector<std::string> machines;  // names; a machine's station is its place here, from 1
  std::vector<std::string> switches;
  std::function<void(std::size_t)> restart_switch;  // makes it forget everything
  netsim::FrameFilter::AddressOf address_of;        // for match expressions
  MachineFaults* deeds = nullptr;
};

// A fault in force, for those who ask.
struct FaultState {
  const FaultSpec* spec;
  Time began;
  netsim::FaultCounters frames;  // seen and struck, on all its cables
};

class FaultGround;   // ground.h: what the families of faults act on
class FaultInForce;  // in_force.h: one fault, as its family does it
using FaultsInForce = std::map<std::string, std::unique_ptr<FaultInForce>>;  // by name

class FaultBoard {
 public:
  static constexpr std::size_t kFaultsMost = 1024;  // in force at once

  FaultBoard(EventLoop& loop, std::uint64_t seed, FaultReach reach);
  ~FaultBoard();
  FaultBoard(const FaultBoard&) = delete;
  FaultBoard& operator=(const FaultBoard&) = delete;

  // Puts a fault in force, in place of the one of the same name if there is one: then its counters and its
  // stream begin anew, and nobody else's do. An error (usage: no such place, not possible there) changes
  // nothing: the one of that name stays in force. `settled` comes once, from within or from the loop, unless
  // there is an error or the board goes first: what is frozen stands still.
  Status set(
      FaultSpec spec, Action settled = [] {});
  // Ends those of that name (a pattern may stand for many), those that were set on that place, as it was
  // said, or "all". How many; an error of kind usage if there are none, except of "all".
  Result<std::size_t> clear(std::string_view what);
  std::vector<FaultState> in_force() const;  // in the order of their names
  // What each machine has against it now, in words ("frozen", "cable out", "loss"), in the order of the
  // reach; empty if no fault is in force.
  std::vector<std::vector<std::string>> in_the_way() const;
  // Whether one of these words says that the machine can do nothing, or that nothing of it gets through.
  static bool stops(std::string_view word);

  // A machine's NIC came up: its power was switched on, or it was reset.
  void machine_came_up(std::size_t index);

  void listen(FaultEvents& listener) { listeners_.push_back(&listener); }
  void unlisten(FaultEvents& listener) { std::erase(listeners_, &listener); }

 private:
  void end(const std::string& name, std::string_view why);
  void over(FaultInForce& fault, std::string_view why);
  void end_soon(const FaultInForce& fault, std::string_view why);

  EventLoop& loop_;
  FaultsInForce in_force_;
  std::unique_ptr<FaultGround> ground_;
  std::map<std::string, unsigned> begun_;  // how often each name was, so that no stream is drawn from twice
  std::vector<FaultEvents*> listeners_;
};

}  // namespace rookery::vboot
