// How far one machine is on its way to ready: its boot record, moved on by the frames on its cable and by the
// agent's word, its deadline, and its restarts by itself. Owned by the machine's Node for as long as that is
// there; it tells that of each step.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/loop/event_loop.h"
#include "netsim/frame.h"
#include "netsim/tap.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/watch/boot_record.h"
#include "vboot/watch/boot_watch.h"
#include "vboot/watch/why.h"

namespace rookery::vboot {

class BootEvents {
 public:
  virtual ~BootEvents() = default;
  // The record has another stage, or is that of another boot; or the machine is as far as can be seen.
  virtual void stage_changed() = 0;
  // Why a machine that restarts itself was not ready yet, as far as anybody can tell; or empty.
  virtual std::string what_is_missing() const = 0;
};

class BootProgress {
 public:
  // `plan` and `events` outlive it.
  BootProgress(EventLoop& loop, const MachinePlan& plan, BootEvents& events);
  ~BootProgress() { loop_.cancel(deadline_); }
  BootProgress(const BootProgress&) = delete;
  BootProgress& operator=(const BootProgress&) = delete;

  const BootRecord& record() const { return record_; }

  // The machine is on, and boots.
  void begin();
  // It goes on in a boot of an earlier moment.
  void go_back_to(const BootRecord& record);
  // Somebody has cut its power, or reset it. Its end is still to come.
  void cut(bool resets);
  // Somebody has cut the power of a machine that was off: what it was about to do by itself is forgotten.
  void stays_off();
  // It is off. One that has failed stays so: everybody has been told.
  void went_off();

  // On its cable; `number`: in the capture that runs there, or 0.
  void frame_passes(netsim::Direction direction, const netsim::Frame& frame, std::uint64_t number);
  void agent_spoke() { record_.agent_spoke = true; }
  void enter(Stage stage, std::string_view detail);
  void fail(std::string_view words, FailedBy by);  // once; of a machine that is on
  // Of a failure, by who sees more than its own cable.
  void explained(const Why& why);
  void guessed(std::string what) { record_.guess(std::move(what)); }
  // Says the boot script, of what is to come.
  void will_restart(std::string why) { restart_said_ = std::move(why); }
  bool restart_was_said() const { return !restart_said_.empty(); }
  // It does, before it was ready: the next boot counts on from this one.
  void restarts_itself();

 private:
  void watch_deadline();

  EventLoop& loop_;
  const MachinePlan& plan_;
  BootEvents& events_;
  BootRecord record_;
  std::optional<BootRecord> unfinished_;  // the boot before this one, if that ended by a restart of its own
  std::string restart_said_;              // by the agent: the boot script restarts it
  BootWatch watch_;
  EventId deadline_;
};

}  // namespace rookery::vboot
