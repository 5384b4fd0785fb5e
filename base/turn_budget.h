// What one machine's device may have of a turn of the loop before the others have theirs: the one bound for
// all that a guest can make us do. Whoever has used up a turn's share goes on in the next, behind the others.
//
// Counts and never time, so that a run in lockstep repeats itself. What has begun is finished: a turn takes
// at most its share and one request more. Owned by the device.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rookery {

struct TurnShare {
  std::int64_t requests = 256;      // messages, frames, requests of a disk
  std::int64_t descriptors = 4096;  // of a queue, followed
  std::int64_t bytes = 4ll << 20;   // copied

  // In lockstep a device works while its guest rests, and where it pauses shows in the guest's time: the
  // share is more than the queues of an honest guest hold (User-Mode Linux' have 256 descriptors).
  static constexpr TurnShare in_lockstep() { return {4096, 32'768, 32ll << 20}; }
};

class TurnBudget {
 public:
  explicit constexpr TurnBudget(const TurnShare& share = {}) : share_(share), left_(share) {}

  bool left() const { return left_.requests > 0 && left_.descriptors > 0 && left_.bytes > 0; }
  void spend(std::size_t requests, std::size_t descriptors, std::size_t bytes) {
    left_.requests -= static_cast<std::int64_t>(requests);
    left_.descriptors -= static_cast<std::int64_t>(descriptors);
    left_.bytes -= static_cast<std::int64_t>(bytes);
  }
  // A new turn, by its number (EventLoop::turns()): the share is whole again, once in each.
  void renew(std::uint64_t turn) {
    if (turn == turn_) return;
    turn_ = turn;
    left_ = share_;
  }
  // Likewise where there are no turns: each time that the guest rests.
  void renew() { left_ = share_; }

 private:
  TurnShare share_, left_;
  std::uint64_t turn_ = 0;
};

}  // namespace rookery
