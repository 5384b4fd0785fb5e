#include "backends/stop_and_go.h"

namespace rookery::backends {
namespace {

// A slow guest computes for so long, once in each gap.
constexpr Duration kTurn = std::chrono::milliseconds(1);

}  // namespace

Status StopAndGo::freeze(Action frozen) {
  frozen_ = true;
  on_frozen_.push_back(std::move(frozen));
  apply();
  return {};
}

Status StopAndGo::thaw() {
  frozen_ = false;
  apply();
  tell_those_who_wait();
  return {};
}

Status StopAndGo::slow(Duration gap) {
  if (gap.count() < 0) return fail(ErrorKind::usage, "a gap between two turns cannot be negative");
  gap_ = gap;
  apply();
  return {};
}

void StopAndGo::started() {
  running_ = true;
  stopped_ = false;
  apply();
}

void StopAndGo::ended() {
  running_ = telling_ = false;
  loop_.cancel(std::exchange(turn_, {}));
  tell_those_who_wait();
}

void StopAndGo::tell_those_who_wait() {
  for (const Action& frozen : std::exchange(on_frozen_, {})) frozen();
}

// One at a time; what is wanted by then is looked at when that is done.
void StopAndGo::apply() {
  if (!running_ || telling_) return;
  loop_.cancel(std::exchange(turn_, {}));
  if (frozen_ || gap_.count() == 0) {
    if (stopped_ != frozen_) return tell(frozen_);
    if (frozen_) tell_those_who_wait();
    return;
  }
  turn_ = loop_.after(stopped_ ? gap_ : kTurn, [this] {
    turn_ = {};
    tell(!stopped_);
  });
}

void StopAndGo::tell(bool stop) {
  telling_ = true;
  stopped_ = stop;
  tell_(stop, [this] {
    telling_ = false;
    apply();
  });
}

}  // namespace rookery::backends
