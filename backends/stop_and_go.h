// Freezes, thaws and slows a machine in wall time by stopping it and letting it go on: a slow one gets a turn
// only once in each gap. Owned by its machine; what was set holds for a guest that starts anew.
#pragma once

#include <functional>
#include <vector>

#include "backends/backend.h"

namespace rookery::backends {

class StopAndGo final : public Pausing {
 public:
  // Stops the guest, or lets it go on; calls `done` when that is so (at once, or from the loop), or never if
  // the guest ended instead.
  using Tell = std::function<void(bool stop, Action done)>;

  StopAndGo(EventLoop& loop, Tell tell) : loop_(loop), tell_(std::move(tell)) {}
  ~StopAndGo() override { loop_.cancel(turn_); }
  StopAndGo(const StopAndGo&) = delete;
  StopAndGo& operator=(const StopAndGo&) = delete;

  Status freeze(Action frozen) override;
  Status thaw() override;
  Status slow(Duration gap) override;

  bool stopped() const { return stopped_; }
  void started();
  void ended();

 private:
  void apply();
  void tell(bool stop);
  void tell_those_who_wait();

  EventLoop& loop_;
  Tell tell_;
  bool running_ = false, frozen_ = false;
  bool stopped_ = false;  // as it was told last
  bool telling_ = false;  // and that is not so yet
  Duration gap_{0};
  EventId turn_;
  std::vector<Action> on_frozen_;
};

}  // namespace rookery::backends
