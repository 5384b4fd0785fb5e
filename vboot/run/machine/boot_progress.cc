#include "vboot/run/machine/boot_progress.h"

#include <algorithm>
#include <utility>

namespace rookery::vboot {

BootProgress::BootProgress(EventLoop& loop, const MachinePlan& plan, BootEvents& events)
    : loop_(loop), plan_(plan), events_(events), watch_(*netsim::MacAddress::from_bytes(plan.data_mac)) {
  if (!plan.management_mac) record_.last = Stage::root;
}

void BootProgress::begin() {
  record_.power_on(loop_.now());
  if (unfinished_) record_.restart(*unfinished_, restart_said_, loop_.now());
  unfinished_.reset();
  restart_said_.clear();
  events_.stage_changed();
  watch_deadline();
}

void BootProgress::go_back_to(const BootRecord& record) {
  record_ = record;
  record_.since = record_.first_on = loop_.now();
  events_.stage_changed();
  watch_deadline();
}

void BootProgress::watch_deadline() {
  loop_.cancel(std::exchange(deadline_, {}));
  if (plan_.boot_timeout.count() == 0 || record_.settled()) return;
  // One time for all of its tries.
  const Time end = record_.first_on + plan_.boot_timeout;
  deadline_ = loop_.after(std::max(end - loop_.now(), Duration{}), [this] {
    if (record_.settled()) return;
    const auto limit = static_cast<long long>(seconds(plan_.boot_timeout));
    fail("not ready after " + std::to_string(limit) + " s; it is still in the stage " +
             std::string(to_string(record_.stage)) +
             (record_.detail.empty() ? "" : " (" + record_.detail + ")"),
         FailedBy::deadline);
  });
}

void BootProgress::cut(bool resets) {
  stays_off();
  if (resets || record_.stage != Stage::failed) record_.power_off(loop_.now());
}

void BootProgress::stays_off() {
  unfinished_.reset();
  restart_said_.clear();
}

void BootProgress::went_off() {
  loop_.cancel(deadline_);
  if (record_.stage == Stage::failed) return;
  record_.power_off(loop_.now());
  events_.stage_changed();
}

void BootProgress::restarts_itself() {
  if (restart_said_.empty()) restart_said_ = events_.what_is_missing();
  unfinished_ = record_;
}

void BootProgress::enter(Stage stage, std::string_view detail) {
  const Stage before = record_.stage;
  record_.enter(stage, detail, loop_.now());
  if (record_.stage == before) return;
  if (record_.arrived()) loop_.cancel(deadline_);
  events_.stage_changed();
}

void BootProgress::fail(std::string_view words, FailedBy by) {
  if (record_.stage == Stage::failed || record_.stage == Stage::off) return;
  record_.fail(words, by, loop_.now());
  loop_.cancel(deadline_);
  events_.stage_changed();
}

void BootProgress::explained(const Why& why) {
  record_.cause = why.cause;
  record_.reason = why.sentence;
}

void BootProgress::frame_passes(netsim::Direction direction, const netsim::Frame& frame,
                                std::uint64_t number) {
  if (record_.settled()) return;
  const Stage before = record_.stage;
  watch_.see(record_, direction, frame, loop_.now(), number);
  if (record_.stage == before && !record_.arrived()) return;
  if (record_.arrived()) loop_.cancel(deadline_);
  events_.stage_changed();
}

}  // namespace rookery::vboot
