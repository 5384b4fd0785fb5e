// Machines by libvirt: QEMU with firmware, within our own process (qemu:///embed), by a user's daemon or by
// one that serves a whole host. Which one, its URI says.
#pragma once

#include "backends/libvirt/host.h"

namespace rookery::backends {

class LibvirtBackend final : public Backend {
 public:
  // `kvm`: whether KVM is quicker than TCG on this host; asked once, when a machine is to be made.
  LibvirtBackend(EventLoop& loop, LibvirtSetup setup, std::function<Result<bool>()> kvm,
                 LibvirtFiles files = {});
  std::string_view name() const override { return "libvirt"; }
  Result<Capabilities> probe(const Hardware& hardware) override;
  Result<std::unique_ptr<Machine>> create(MachineSpec spec, MachineEvents& events) override;

 private:
  EventLoop& loop_;
  std::shared_ptr<LibvirtHost> host_;
  std::function<Result<bool>()> ask_kvm_;
  std::optional<bool> kvm_;
  LibvirtFiles files_;
};

}  // namespace rookery::backends
