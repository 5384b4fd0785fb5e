#include "base/loop/pacer.h"

#include <algorithm>

#include "base/loop/host_clock.h"

namespace rookery {

WallPacer::WallPacer() : origin_(host_clock::monotonic()) {}

Time WallPacer::clock() const {
  return Time{host_clock::monotonic() - origin_};
}

bool WallPacer::advance(Agenda& agenda, Poller& poller) {
  const auto next = agenda.next();
  if (!next && poller.empty()) return false;
  std::optional<Duration> timeout;
  if (next) timeout = *next - clock();
  poller.wait(timeout, [&] { agenda.set_now(clock()); });
  return true;
}

bool VirtualPacer::advance(Agenda& agenda, Poller&) {
  const auto next = agenda.next();
  if (next) agenda.set_now(*next);
  return next.has_value();
}

// Not past what somebody who runs could still do: the earliest comes the lookahead after it began to run.
bool LockstepPacer::may_pass(std::optional<Time> next) const {
  if (held_->since.empty()) return true;
  return rules_.side_by_side && next && *next < held_->since.begin()->first + rules_.lookahead;
}

// Only a yield shows that time will pass. What else guests do (they print, they ask) does not, nor does
// whoever asks after them, so it is counted how long no one has yielded, from look to look.
bool LockstepPacer::wait_for_somebody(Poller& poller) {
  // What seems to take longer is that we were stopped, and the guests with us.
  constexpr Duration kLook = std::chrono::seconds(1);
  const Duration before = host_clock::monotonic();
  if (std::exchange(released_, held_->released) != released_) waited_ = Duration{0};
  if (waited_ > Duration{0}) waited_ += std::min(before - looked_, kLook);
  const auto ready = poller.wait(std::clamp(rules_.patience - waited_, Duration{0}, kLook), [] {});
  looked_ = host_clock::monotonic();
  if (!ready) return true;  // a signal came, or we were stopped in there
  waited_ += std::clamp(looked_ - before, Duration{1}, kLook);
  if (held_->released != released_ || held_->since.empty() || waited_ < rules_.patience) return true;
  std::vector<std::string> stuck;
  for (const auto& [since, who] : held_->since) stuck.push_back(who);
  on_stuck_(stuck);
  return false;
}

bool LockstepPacer::drain(Poller& poller) {
  while (!held_->since.empty()) {
    if (!wait_for_somebody(poller)) return false;
  }
  return true;
}

bool LockstepPacer::advance(Agenda& agenda, Poller& poller) {
  while (!may_pass(agenda.next())) {
    if (!wait_for_somebody(poller)) return false;
  }
  // Whoever is not held can only be outside of the run (a signal, the control socket): seen now and then.
  constexpr unsigned kStepsBetweenPolls = 256;
  if (++since_poll_ >= kStepsBetweenPolls || !agenda.next()) {
    since_poll_ = 0;
    poller.wait(Duration{0}, [] {});
    if (!may_pass(agenda.next())) return true;  // one that had rested runs again
  }
  const auto next = agenda.next();
  if (next) agenda.set_now(*next);
  return next.has_value();
}

}  // namespace rookery
