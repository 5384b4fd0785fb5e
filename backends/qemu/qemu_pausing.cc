#include "backends/qemu/qemu_pausing.h"

namespace rookery::backends {
namespace {

// A slow guest computes for so long, once in each gap.
constexpr Duration kTurn = std::chrono::milliseconds(1);

}  // namespace

Status QemuPausing::freeze() {
  frozen_ = true;
  apply();
  return {};
}

Status QemuPausing::thaw() {
  frozen_ = false;
  apply();
  return {};
}

Status QemuPausing::slow(Duration gap) {
  if (gap.count() < 0) return fail(ErrorKind::usage, "a gap between two turns cannot be negative");
  gap_ = gap;
  apply();
  return {};
}

void QemuPausing::started() {
  running_ = true;
  stopped_ = false;
  apply();
}

void QemuPausing::ended() {
  running_ = telling_ = false;
  loop_.cancel(std::exchange(turn_, {}));
}

// One command at a time; what is wanted by then is looked at when its answer is there.
void QemuPausing::apply() {
  if (!running_ || telling_) return;
  loop_.cancel(std::exchange(turn_, {}));
  if (frozen_ || gap_.count() == 0) {
    if (stopped_ != frozen_) tell(frozen_);
    return;
  }
  turn_ = loop_.after(stopped_ ? gap_ : kTurn, [this] {
    turn_ = {};
    tell(!stopped_);
  });
}

void QemuPausing::tell(bool stop) {
  telling_ = true;
  stopped_ = stop;
  link_.execute({.name = stop ? "stop" : "cont", .arguments = {}}, [this](const qmp::Reply& reply) {
    telling_ = false;
    // What ended the conversation ends the machine too, or is told by it.
    if (std::holds_alternative<qmp::Value>(reply)) apply();
  });
}

}  // namespace rookery::backends
