// Stops and continues a QEMU guest by QMP. A slow one gets a turn only once in each gap. Owned by its
// machine; what was set holds for a guest that starts anew.
#pragma once

#include "backends/backend.h"
#include "backends/qemu/qmp_link.h"

namespace rookery::backends {

class QemuPausing final : public Pausing {
 public:
  QemuPausing(EventLoop& loop, QmpLink& link) : loop_(loop), link_(link) {}
  ~QemuPausing() override { loop_.cancel(turn_); }
  QemuPausing(const QemuPausing&) = delete;
  QemuPausing& operator=(const QemuPausing&) = delete;

  Status freeze() override;
  Status thaw() override;
  Status slow(Duration gap) override;

  void started();
  void ended();

 private:
  void apply();
  void tell(bool stop);

  EventLoop& loop_;
  QmpLink& link_;
  bool running_ = false, frozen_ = false;
  bool stopped_ = false;  // as QEMU was told last
  bool telling_ = false;  // and has not answered yet
  Duration gap_{0};
  EventId turn_;
};

}  // namespace rookery::backends
