// The one queue of things that happen in Rookery's process, ordered by (time, order of scheduling).
// Single-threaded; whoever makes the loop owns it, and it outlives all that schedule on it. now() does not
// change within an action.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "base/loop/event_signaller.h"
#include "base/loop/pacer.h"
#include "base/loop/poller.h"
#include "base/units.h"

namespace rookery {

using Action = std::function<void()>;

// Names a scheduled event; stays valid (and useless) after the event ran. Zero names none.
struct EventId {
  std::uint64_t value = 0;
  explicit operator bool() const { return value != 0; }
};

// Names a lane (base/loop/lane.h). Zero is the loop itself.
using LaneNumber = std::uint32_t;

class EventLoop;

// Watches a descriptor for as long as it lives. Move-only; must go before the descriptor is closed.
class Watch {
 public:
  Watch() = default;
  Watch(EventLoop& loop, int fd) : loop_(&loop), fd_(fd) {}
  Watch(Watch&& other) noexcept : loop_(std::exchange(other.loop_, nullptr)), fd_(other.fd_) {}
  Watch& operator=(Watch&& other) noexcept {
    stop();
    loop_ = std::exchange(other.loop_, nullptr);
    fd_ = other.fd_;
    return *this;
  }
  ~Watch() { stop(); }
  void stop();
  void want(std::uint32_t events);  // EPOLLIN, EPOLLOUT, or 0 to pause

 private:
  EventLoop* loop_ = nullptr;
  int fd_ = -1;
};

class EventLoop final : private Agenda {
 public:
  enum class Outcome { stopped, idle };

  explicit EventLoop(std::unique_ptr<Pacer> pacer) : pacer_(std::move(pacer)) {}
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  Time now() const { return now_; }
  // Counts grants of time; within one each descriptor is served once, and then what is due.
  std::uint64_t turns() const { return turns_; }

  EventId at(Time time, Action action);  // a time that has passed means now
  EventId after(Duration delay, Action action) { return at(now_ + delay, std::move(action)); }
  EventId soon(Action action) { return at(now_, std::move(action)); }
  // The same, from a lane: among events of one instant the loop's own come first, then those of each lane in
  // the order that it gives them, whoever was quicker.
  EventId at(Time time, LaneNumber lane, std::uint64_t sequence, Action action);
  LaneNumber new_lane() { return ++lanes_; }
  bool cancel(EventId event);  // false if it ran or was cancelled before

  Watch watch(int fd, std::uint32_t events, FdAction action);

  // See Pacer: whether guests are stepped through time, and a hold on time for as long as one runs.
  bool lockstep() const { return pacer_->lockstep(); }
  Hold hold(Time since, const std::string& who) { return pacer_->hold(since, who); }
  Duration lookahead() const { return pacer_->lookahead(); }

  // Runs until stop(), or until nothing can ever happen again.
  Outcome run();
  void stop() { stopped_ = true; }
  // Runs until `done` holds (looked at after each turn). False if that cannot come true any more, or `limit`
  // passed.
  bool run_until(const std::function<bool()>& done, Duration limit);

  // In lockstep, after a run: lets the guests do what belongs before the present and nothing of what comes
  // after, so that their disks and the like are what they are at this instant. False if one never yields.
  bool drain() { return pacer_->drain(poller_); }

  std::size_t events_queued() const { return queued_; }

  // For event descriptors that are shared with a peer; made when it is first asked for.
  Result<EventSignaller*> signaller();

 private:
  friend class Watch;
  struct Entry {
    Time time;
    LaneNumber lane;
    std::uint32_t slot;
    std::uint64_t sequence;
    bool operator>(const Entry& other) const {
      return std::tie(time, lane, sequence) > std::tie(other.time, other.lane, other.sequence);
    }
  };
  struct Slot {
    Action action;
    std::uint32_t generation = 1;
    bool used = false;
  };

  bool turn();
  std::optional<Time> next() override;
  void set_now(Time now) override { now_ = std::max(now_, now); }
  void release(std::uint32_t slot);

  std::unique_ptr<Pacer> pacer_;
  std::optional<EventSignaller> signaller_;
  Poller poller_;
  std::vector<Entry> heap_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::size_t queued_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t turns_ = 0;
  LaneNumber lanes_ = 0;
  Time now_{};
  bool stopped_ = false;
};

}  // namespace rookery
