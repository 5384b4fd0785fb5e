// Who grants time. An EventLoop orders what has to happen; its Pacer says when time may pass, and serves file
// descriptors meanwhile. Users of the loop cannot tell pacers apart, except by asking lockstep().
//
//   WallPacer      the monotonic clock and epoll: live labs
//   VirtualPacer   nobody waits, the next event's time is now: unit tests, fakes, sweeps
//   LockstepPacer  the next event's time is now, but not before everyone outside who runs at an earlier
//                  one has yielded, or cannot reach so far: guests under time travel (base/loop/lane.h takes
//                  the holds)
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/loop/poller.h"
#include "base/units.h"

namespace rookery {

// Who holds time, by since when; and how often one let go. Shared by the pacer and the holds, so that a hold
// may outlive the loop.
struct Holds {
  std::multimap<Time, std::string> since;
  std::uint64_t released = 0;
};

// While one exists, time does not pass in lockstep further than the lookahead from when it was taken:
// somebody outside (a guest, by name) runs from that instant on, and what it does arrives on file
// descriptors. Move-only; without effect under other pacers.
class Hold {
 public:
  Hold() = default;
  Hold(std::shared_ptr<Holds> held, Time since, const std::string& who)
      : held_(std::move(held)), at_(held_->since.emplace(since, who)) {}
  Hold(Hold&& other) noexcept : held_(std::exchange(other.held_, nullptr)), at_(other.at_) {}
  Hold& operator=(Hold&& other) noexcept {
    release();
    held_ = std::exchange(other.held_, nullptr);
    at_ = other.at_;
    return *this;
  }
  ~Hold() { release(); }
  explicit operator bool() const { return held_ != nullptr; }
  void release() {
    if (held_) {
      held_->since.erase(at_);
      ++held_->released;
    }
    held_ = nullptr;
  }

 private:
  std::shared_ptr<Holds> held_;
  std::multimap<Time, std::string>::iterator at_;
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
  virtual Hold hold(Time, const std::string&) { return {}; }
  // Waits until nobody outside runs at or before the present; false if somebody never yields.
  virtual bool drain(Poller&) { return true; }
  // How long what happens within a lane (base/loop/lane.h) takes at least to leave it.
  virtual Duration lookahead() const { return Duration{0}; }
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

struct LockstepRules {
  Duration lookahead{0};
  // Let guests run at the same time, as far as the lookahead allows. What happens is the same without.
  bool side_by_side = true;
  // Of host time that may go by while everybody waits for guests that run, and none of them yields: what else
  // they do (print, ask) is no progress. Host time decides nothing else.
  Duration patience = std::chrono::seconds(60);
};

class LockstepPacer final : public Pacer {
 public:
  // `on_stuck` is told who never yields; the run is over then.
  LockstepPacer(const LockstepRules& rules, std::function<void(const std::vector<std::string>&)> on_stuck)
      : rules_(rules), on_stuck_(std::move(on_stuck)), held_(std::make_shared<Holds>()) {}

  bool advance(Agenda& agenda, Poller& poller) override;
  bool drain(Poller& poller) override;
  bool lockstep() const override { return true; }
  Hold hold(Time since, const std::string& who) override { return Hold(held_, since, who); }
  Duration lookahead() const override { return rules_.lookahead; }

 private:
  bool may_pass(std::optional<Time> next) const;
  bool wait_for_somebody(Poller& poller);

  LockstepRules rules_;
  std::function<void(const std::vector<std::string>&)> on_stuck_;
  std::shared_ptr<Holds> held_;
  unsigned since_poll_ = 0;
  // How long nobody has yielded, counted up to when it was looked last, and how many had by then.
  Duration waited_{0};
  Duration looked_{0};
  std::uint64_t released_ = 0;
};

}  // namespace rookery
