// QEMU machines: firmware, chipset and devices of ordinary PCs, as processes of an ordinary user. Their NICs
// are unix streams in the machine's folder: no bridge, no tap, no privilege. Accelerated by KVM where that
// was measured to be worth it.
#pragma once

#include "backends/qemu/qemu_arguments.h"

namespace rookery::backends {

class QemuBackend final : public Backend {
 public:
  // Without an accelerator the one that is quicker on this host.
  explicit QemuBackend(EventLoop& loop, std::optional<Accelerator> accelerator = std::nullopt,
                       QemuFiles files = {})
      : loop_(loop), accelerator_(accelerator), files_(std::move(files)) {}
  std::string_view name() const override { return "qemu"; }
  Result<Capabilities> probe(const Hardware& hardware) override;
  Result<std::unique_ptr<Machine>> create(MachineSpec spec, MachineEvents& events) override;

 private:
  Status look();  // once: whether QEMU is there and new enough, and the accelerator

  EventLoop& loop_;
  std::optional<Accelerator> accelerator_;
  QemuFiles files_;
  bool looked_ = false;
  std::string slowness_;
};

}  // namespace rookery::backends
