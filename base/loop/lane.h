// A machine's own stretch of time, in lockstep. While a guest runs it is alone with its devices; whatever it
// does leaves its lane a fixed while later (the loop's lookahead: the time that a NIC takes), and whatever
// the world has for it enters when it rests. So the loop need not wait for one guest before it grants time to
// the next: until the lookahead has passed, nothing that one does can reach another. Guests run side by side
// on all processors, and the run is the same as if they had run one after another:
//
//   into a lane   enter(): kept with its time; runs while the guest rests, before the guest's next grant,
//                 strictly later than it was sent. All that comes before a grant's instant is known by then.
//   out of it     leave(): an event of the loop at the lane's present plus the lookahead, ordered by (time,
//                 lane, order within the lane), never by who was quicker.
//
// Owned by whoever wires the machine, before its devices and backend are made and after they are gone; its
// actions end with it. There are none under other pacers: devices without a lane act at once.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop/event_loop.h"

namespace rookery {

// A device of the machine, told when the guest rests.
class LaneDevice {
 public:
  virtual ~LaneDevice() = default;
  // The guest has yielded (or is gone): take what it left.
  virtual void settle() = 0;
  // The guest is about to be granted time: tell it of what has arrived. True if there was something to tell.
  virtual bool announce() = 0;
};

// Whoever grants the guest its time (backends/uml/time_travel).
class LaneRunner {
 public:
  virtual ~LaneRunner() = default;
  virtual void set_clock(Time now) = 0;  // of the guest, which rests
  virtual void run(Time now) = 0;        // it yields by Lane::yielded() or Lane::ended()
};

class Lane {
 public:
  static std::unique_ptr<Lane> make(EventLoop& loop, std::string name) {
    return std::unique_ptr<Lane>(new Lane(loop, std::move(name)));
  }
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  const std::string& name() const { return name_; }
  Time now() const { return now_; }  // the guest's present; it may be ahead of the loop's

  void attach(LaneDevice& device) { devices_.push_back(&device); }
  void detach(LaneDevice& device) { std::erase(devices_, &device); }
  void set_runner(LaneRunner* runner) { runner_ = runner; }

  void enter(Action action);      // from the loop
  void leave(Action action);      // from the lane, into the loop
  void poke() { poked_ = true; }  // a device has something to announce

  // The runner's: the guest begins to run by itself (a process that was just started, or is dying; from the
  // loop or from what has entered), yields with the time at which it wants to go on, or has ended.
  void begin();
  void yielded(Time guest_now, std::optional<Time> wants);
  void ended();
  bool running() const { return static_cast<bool>(hold_); }

  // Faults, from the loop. A frozen guest is granted nothing and rests; what comes for it waits in its
  // devices. A slow one is granted time only so often.
  void freeze() {
    enter([this] { frozen_ = true; });
  }
  void thaw() {
    enter([this] { frozen_ = false; });
  }
  void set_gap(Duration between_grants) {
    enter([this, between_grants] { gap_ = between_grants; });
  }

 private:
  Lane(EventLoop& loop, std::string name);
  struct Item {
    Time time;
    Action action;
  };

  void rest();
  void plan();
  void act();

  EventLoop& loop_;
  std::string name_;
  LaneNumber number_;
  std::uint64_t sequence_ = 0;
  std::vector<LaneDevice*> devices_;
  LaneRunner* runner_ = nullptr;

  Time now_{};
  std::optional<Time> wants_;
  std::deque<Item> items_;  // by time, as the loop's goes
  Hold hold_;               // while the guest runs
  EventId wake_;
  Time wake_at_{};
  Duration gap_{0};
  Time not_before_{};
  bool frozen_ = false, poked_ = false;
  bool acting_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rookery
