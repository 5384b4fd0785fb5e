// Who grants time. An EventLoop orders what has to happen; its Pacer says when time may pass, and serves file
// descriptors meanwhile. Users of the loop cannot tell pacers apart, except by asking lockstep().
//
//   WallPacer      the monotonic clock and epoll: live labs
//   VirtualPacer   nobody waits, the next event's time is now: unit tests, fakes, sweeps
//   LockstepPacer  the next event's time is now, but not before everyone outside who holds time has let go of
//                  it: guests under time travel (the controller in backends/uml/time_travel takes the holds)
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/poller.h"
#include "base/units.h"

namespace rookery {

// Counts who holds time (see Hold). Shared by the pacer and the holds, so that a hold may outlive the loop.
struct HoldCount {
  int held = 0;
};

// While one exists, time does not pass in lockstep: somebody outside (a guest) is running at the present
// instant, and what it does arrives on file descriptors. Move-only; without effect under other pacers.
class Hold {
 public:
  Hold() = default;
  explicit Hold(std::shared_ptr<HoldCount> count) : count_(std::move(count)) {
    if (count_) ++count_->held;
  }
  Hold(Hold&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Hold& operator=(Hold&& other) noexcept {
    release();
    count_ = std::exchange(other.count_, nullptr);
    return *this;
  }
  ~Hold() { release(); }
  explicit operator bool() const { return count_ != nullptr; }
  void release() {
    if (count_) --count_->held;
    count_ = nullptr;
  }

 private:
  std::shared_ptr<HoldCount> count_;
};

// The queue as its pacer sees it. What arrives from outside may change the agenda: ask again afterwards.
class Agenda {
 public:
  virtual ~Agenda() = default;
  virtual std::optional<Time> next() = 0;  // the time of the earliest queued event
  virtual void set_now(Time now) = 0;
};

class Pacer {
 public:
  virtual ~Pacer() = default;

  // Lets time pass until the earliest queued event, or until something arrived from outside, and tells the
  // queue what time it is. Returns false when nothing can ever happen again.
  virtual bool advance(Agenda& agenda, Poller& poller) = 0;

  virtual bool lockstep() const { return false; }
  virtual Hold hold() { return {}; }
};

class WallPacer final : public Pacer {
 public:
  WallPacer();
  bool advance(Agenda& agenda, Poller& poller) override;

 private:
  Time clock() const;
  Duration origin_;
};

class VirtualPacer final : public Pacer {
 public:
  bool advance(Agenda& agenda, Poller& poller) override;
};

class LockstepPacer final : public Pacer {
 public:
  // `on_stuck` is called when time was held for `patience` of host time with nothing arriving: a guest that
  // never yields. It has to end the hold (by killing the guest); host time decides nothing else.
  LockstepPacer(Duration patience, std::function<void()> on_stuck)
      : patience_(patience), on_stuck_(std::move(on_stuck)), count_(std::make_shared<HoldCount>()) {}

  bool advance(Agenda& agenda, Poller& poller) override;
  bool lockstep() const override { return true; }
  Hold hold() override { return Hold(count_); }

 private:
  Duration patience_;
  std::function<void()> on_stuck_;
  std::shared_ptr<HoldCount> count_;
  unsigned since_poll_ = 0;
};

}  // namespace rookery
