// A port that shows each frame to whoever watches (the boot watch, a trace) and passes it on unchanged. One
// owner, as for every wrapper; the watcher outlives it or is taken off.
#pragma once

#include "netsim/port.h"

namespace rookery::netsim {

// Which way a frame goes, seen from the machine (not from the switch) whose cable it is on.
enum class Direction : std::uint8_t { inbound, outbound };

class FrameWatcher {
 public:
  virtual ~FrameWatcher() = default;
  // `tag` is the number that the tap was made with. Must not change what the tap is connected to.
  virtual void seen(std::uint32_t tag, Direction direction, const Frame& frame) = 0;
};

class WatchTap final : public WrappingPort {
 public:
  WatchTap(std::uint32_t tag, Direction direction) : tag_(tag), direction_(direction) {}

  void watch(FrameWatcher& watcher) { watcher_ = &watcher; }
  void unwatch() { watcher_ = nullptr; }

  void send(Frame frame) override {
    if (watcher_ != nullptr) watcher_->seen(tag_, direction_, frame);
    next().send(std::move(frame));
  }

 private:
  std::uint32_t tag_;
  Direction direction_;
  FrameWatcher* watcher_ = nullptr;
};

}  // namespace rookery::netsim
