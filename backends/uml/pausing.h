// Freezes, thaws and slows a User-Mode Linux guest: in lockstep by the time that its lane grants, otherwise
// by stopping the host's processes. Owned by its machine. What was set holds for a guest that starts anew.
#pragma once

#include "backends/backend.h"
#include "base/process.h"

namespace rookery::backends {

class UmlPausing final : public Pausing {
 public:
  UmlPausing(EventLoop& loop, Lane* lane) : loop_(loop), lane_(lane) {}
  ~UmlPausing() override { loop_.cancel(turn_); }
  UmlPausing(const UmlPausing&) = delete;
  UmlPausing& operator=(const UmlPausing&) = delete;

  Status freeze() override;
  Status thaw() override;
  Status slow(Duration gap) override;

  void started(ChildProcess& process);
  void ended();

 private:
  void apply();
  void stop(bool stopped);

  EventLoop& loop_;
  Lane* lane_;
  ChildProcess* process_ = nullptr;
  bool frozen_ = false;
  Duration gap_{0};
  EventId turn_;  // in wall time, of a slow guest: to run or to rest
};

}  // namespace rookery::backends
