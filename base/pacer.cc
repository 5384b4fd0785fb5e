#include "base/pacer.h"

#include <time.h>

namespace rookery {
namespace {

Duration monotonic() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec);
}

}  // namespace

WallPacer::WallPacer() : origin_(monotonic()) {}

Time WallPacer::clock() const {
  return Time{monotonic() - origin_};
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

bool LockstepPacer::advance(Agenda& agenda, Poller& poller) {
  while (count_->held > 0) {
    if (poller.wait(patience_, [] {}) == 0 && count_->held > 0) on_stuck_();
  }
  // Whoever is not held can only be outside of the run (a signal, the control socket): seen now and then.
  constexpr unsigned kStepsBetweenPolls = 256;
  if (++since_poll_ >= kStepsBetweenPolls || !agenda.next()) {
    since_poll_ = 0;
    poller.wait(Duration{0}, [] {});
  }
  const auto next = agenda.next();
  if (next) agenda.set_now(*next);
  return next.has_value();
}

}  // namespace rookery
