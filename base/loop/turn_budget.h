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
  std::int64_t messages = 1024;  // of a driver; one with descriptors counts as 16, for memory is mapped by it
  std::int64_t requests = 256;   // frames, requests of a disk, of a command
  std::int64_t descriptors = 4096;  // of a queue, followed
  std::int64_t bytes = 4ll << 20;   // copied

  // In lockstep a device works while its guest rests, and where it pauses shows in the guest's time: the
  // share is more than the queues of an honest guest hold (User-Mode Linux' have 256 descriptors).
  static constexpr TurnShare in_lockstep() { return {4096, 4096, 32'768, 32ll << 20}; }
};

class TurnBudget {
 public:
  explicit constexpr TurnBudget(const TurnShare& share = {}) : share_(share), left_(share) {}

  bool left() const {
    // All above zero, without a branch for each: asked for every frame.
    return ((left_.messages - 1) | (left_.requests - 1) | (left_.descriptors - 1) | (left_.bytes - 1)) >= 0;
  }
  // For who does what others have asked for, in what the guest offers: only that is its doing.
  bool descriptors_left() const { return left_.descriptors > 0; }
  void spend_descriptors(std::size_t count) { left_.descriptors -= static_cast<std::int64_t>(count); }
  void spend_message(bool brought_files) { left_.messages -= brought_files ? 16 : 1; }
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
