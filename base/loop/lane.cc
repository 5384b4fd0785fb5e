#include "base/loop/lane.h"

#include <algorithm>

namespace rookery {
namespace {

// Between what enters a lane and its effect: so that all that happens at one instant is known before anything
// of it is acted upon, whichever order it came in.
constexpr Duration kNext{1};

}  // namespace

Lane::Lane(EventLoop& loop, std::string name)
    : loop_(loop), name_(std::move(name)), number_(loop.new_lane()), now_(loop.now()) {}

Lane::~Lane() {
  loop_.cancel(wake_);
  *alive_ = false;
}

void Lane::enter(Action action) {
  items_.push_back(Item{loop_.now(), std::move(action)});
  plan();
}

void Lane::leave(Action action) {
  loop_.at(now_ + loop_.lookahead(), number_, ++sequence_, [alive = alive_, act = std::move(action)] {
    if (*alive) act();
  });
}

void Lane::begin() {
  if (!acting_) now_ = std::max(now_, loop_.now());
  loop_.cancel(std::exchange(wake_, {}));
  wants_.reset();
  hold_ = loop_.hold(now_, name_);
}

void Lane::yielded(Time guest_now, std::optional<Time> wants) {
  now_ = std::max(now_, guest_now);
  wants_ = wants;
  rest();
}

void Lane::ended() {
  wants_.reset();
  rest();
}

void Lane::rest() {
  acting_ = true;  // what the devices enter is planned for once, below
  for (LaneDevice* device : devices_) device->settle();
  acting_ = false;
  hold_.release();
  plan();
}

// When the guest is granted time next: when it wants to go on, or something has come for it.
void Lane::plan() {
  while (!running() && !acting_) {
    std::optional<Time> next;
    if (!frozen_) next = wants_;
    const auto sooner = [&next](Time time) { next = std::min(next.value_or(time), time); };
    if (!items_.empty()) sooner(items_.front().time + kNext);
    if (poked_ && !frozen_) sooner(now_ + kNext);
    if (!next) return;
    const Time at = std::max({*next, now_, not_before_});
    if (at > loop_.now()) {
      if (wake_ && wake_at_ <= at) return;  // looked at again then
      loop_.cancel(wake_);
      wake_at_ = at;
      wake_ = loop_.at(at, number_, ++sequence_, [this] {
        wake_ = {};
        plan();
      });
      return;
    }
    now_ = at;
    act();
  }
}

void Lane::act() {
  acting_ = true;
  while (!items_.empty() && items_.front().time < now_) {
    const Action action = std::move(items_.front().action);
    items_.pop_front();
    action();
    if (running()) {  // it was started or is being ended
      acting_ = false;
      return;
    }
  }
  bool told = false;
  if (!frozen_) poked_ = false;
  if (runner_ != nullptr && !frozen_) {
    runner_->set_clock(now_);
    for (LaneDevice* device : devices_) told |= device->announce();
  }
  acting_ = false;
  if (frozen_ || runner_ == nullptr || (!told && (!wants_ || *wants_ > now_))) return;
  wants_.reset();
  not_before_ = now_ + std::max(gap_, kNext);
  hold_ = loop_.hold(now_, name_);
  runner_->run(now_);
}

}  // namespace rookery
