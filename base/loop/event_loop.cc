#include "base/loop/event_loop.h"

#include "base/result.h"

namespace rookery {

void Watch::stop() {
  if (loop_ != nullptr) std::exchange(loop_, nullptr)->poller_.remove(fd_);
}

void Watch::want(std::uint32_t events) {
  if (loop_ != nullptr) loop_->poller_.modify(fd_, events);
}

// An EventId is a slot and the slot's generation, so that an old one names nothing. A cancelled event leaves
// its heap entry behind, and its slot is not used again before that entry has come up.
EventId EventLoop::at(Time time, Action action) {
  return at(time, 0, ++sequence_, std::move(action));
}

EventId EventLoop::at(Time time, LaneNumber lane, std::uint64_t sequence, Action action) {
  std::uint32_t slot;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[slot].action = std::move(action);
  slots_[slot].used = true;
  ++queued_;
  heap_.push_back(Entry{std::max(time, now_), lane, slot, sequence});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  return EventId{(std::uint64_t{slots_[slot].generation} << 32) | slot};
}

bool EventLoop::cancel(EventId event) {
  const auto slot = static_cast<std::uint32_t>(event.value);
  const auto generation = static_cast<std::uint32_t>(event.value >> 32);
  if (!event || slot >= slots_.size() || slots_[slot].generation != generation || !slots_[slot].used)
    return false;
  slots_[slot].used = false;
  slots_[slot].action = nullptr;
  ++slots_[slot].generation;
  --queued_;
  return true;  // the slot is free again when its heap entry comes up
}

void EventLoop::release(std::uint32_t slot) {
  free_slots_.push_back(slot);
}

std::optional<Time> EventLoop::next() {
  while (!heap_.empty() && !slots_[heap_.front().slot].used) {
    release(heap_.front().slot);
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }
  if (heap_.empty()) return std::nullopt;
  return heap_.front().time;
}

Watch EventLoop::watch(int fd, std::uint32_t events, FdAction action) {
  poller_.add(fd, events, std::move(action));
  return Watch(*this, fd);
}

// One grant of time and all that is due then. Events that these schedule for the same instant wait for the
// next turn, so that descriptors are served in between and no chain of events can starve them.
bool EventLoop::turn() {
  ++turns_;
  if (!pacer_->advance(*this, poller_)) return stopped_;
  const std::uint64_t newest = sequence_;
  while (!stopped_) {
    const auto due = next();
    if (!due || *due > now_ || (heap_.front().lane == 0 && heap_.front().sequence > newest)) break;
    const std::uint32_t slot = heap_.front().slot;
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    Action action = std::move(slots_[slot].action);
    slots_[slot].used = false;
    slots_[slot].action = nullptr;
    ++slots_[slot].generation;
    --queued_;
    release(slot);
    action();
    if (lockstep()) break;  // a guest may run now: nothing else happens before it has yielded
  }
  return true;
}

Result<EventSignaller*> EventLoop::signaller() {
  if (!signaller_) {
    auto made = EventSignaller::make();
    if (!made) return tl::unexpected<Error>(made.error());
    signaller_.emplace(std::move(*made));
  }
  return &*signaller_;
}

EventLoop::Outcome EventLoop::run() {
  stopped_ = false;
  while (!stopped_) {
    if (!turn()) return Outcome::idle;
  }
  return Outcome::stopped;
}

bool EventLoop::run_until(const std::function<bool()>& done, Duration limit) {
  bool expired = false;
  const EventId alarm = after(limit, [&expired] { expired = true; });
  stopped_ = false;
  bool reached = done();
  while (!reached && !expired && !stopped_) {
    if (!turn()) break;
    reached = done();
  }
  cancel(alarm);
  return reached;
}

}  // namespace rookery
