// A fault in force, or about to be: what it strikes, and how its kind begins and undoes it. One for each
// set(); the board owns it, and the ground that it acts on outlives it.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "vboot/faults/ground.h"

namespace rookery::vboot {

class FaultInForce {
 public:
  // Machines that do not stand still yet, and set() itself.
  struct Settling {
    Action then;
    std::size_t left = 1;
  };

  FaultInForce() = default;
  virtual ~FaultInForce() = default;
  FaultInForce(const FaultInForce&) = delete;
  FaultInForce& operator=(const FaultInForce&) = delete;

  // Finds what it strikes. Whatever can be known to be wrong is an error here (usage), before anything is
  // changed.
  virtual Status find(const FaultGround& ground) = 0;
  // Whether begin() may turn out to be impossible: what it did before it failed is then undone by undo().
  // Such a one begins before the one that it replaces is undone; all others begin after that.
  virtual bool may_fail() const { return false; }
  virtual Status begin(FaultGround& ground) = 0;
  // It is no longer among those in force.
  virtual void undo(FaultGround& ground) = 0;
  // The board goes: nothing of it may come from the loop or from a cable any more.
  virtual void leave(FaultGround&) {}

  // Whether it is over as soon as it has begun, and there is nothing to undo.
  virtual bool is_done() const { return false; }
  // How long it is in force, if not until it is cleared.
  virtual std::optional<Duration> time() const { return spec.time; }
  // Whether it strikes that cable of its own just now.
  virtual bool strikes(std::size_t /*cable*/) const { return true; }
  virtual netsim::FaultCounters frames(const FaultGround&) const { return {}; }
  // A NIC at that cable came up.
  virtual void came_up(FaultGround&, std::size_t /*cable*/) {}

  static void one_settled(Settling& of) {
    if (--of.left == 0 && of.then) std::exchange(of.then, nullptr)();
  }

  FaultSpec spec;
  unsigned turn = 1;  // counts the faults of this name
  Time began{};
  EventId ends;
  std::vector<std::size_t> cables, machines;  // that it strikes, by their places in the reach
  std::shared_ptr<Settling> settling;
};

template <typename Fault>
std::unique_ptr<FaultInForce> make_fault() {
  return std::make_unique<Fault>();
}

}  // namespace rookery::vboot
