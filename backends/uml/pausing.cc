#include "backends/uml/pausing.h"

#include <csignal>

namespace rookery::backends {
namespace {

// In wall time a slow guest computes for so long, once in each gap.
constexpr Duration kTurn = std::chrono::milliseconds(1);

}  // namespace

Status UmlPausing::freeze() {
  if (lane_ != nullptr) lane_->freeze();
  frozen_ = true;
  apply();
  return {};
}

Status UmlPausing::thaw() {
  if (lane_ != nullptr) lane_->thaw();
  frozen_ = false;
  apply();
  return {};
}

Status UmlPausing::slow(Duration gap) {
  if (gap.count() < 0) return fail(ErrorKind::usage, "a gap between two turns cannot be negative");
  if (lane_ != nullptr) lane_->set_gap(gap);
  gap_ = gap;
  apply();
  return {};
}

void UmlPausing::started(ChildProcess& process) {
  process_ = &process;
  if (frozen_ || gap_.count() > 0) apply();
}

void UmlPausing::ended() {
  process_ = nullptr;
  loop_.cancel(std::exchange(turn_, {}));
}

void UmlPausing::apply() {
  if (lane_ != nullptr || process_ == nullptr) return;
  loop_.cancel(std::exchange(turn_, {}));
  stop(frozen_ || gap_.count() > 0);
}

void UmlPausing::stop(bool stopped) {
  turn_ = {};
  process_->signal_all(stopped ? SIGSTOP : SIGCONT);
  if (frozen_ || gap_.count() == 0) return;
  turn_ = loop_.after(stopped ? gap_ : kTurn, [this, stopped] { stop(!stopped); });
}

}  // namespace rookery::backends
