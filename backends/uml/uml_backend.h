// User-Mode Linux machines: the kernel is an ordinary program of an ordinary user. No hostfs, no host disks:
// NICs and disks are vhost-user sockets in the machine's folder, and Landlock keeps the guest from every
// other file.
#pragma once

#include "backends/backend.h"

namespace rookery::backends {

class UmlBackend final : public Backend {
 public:
  explicit UmlBackend(EventLoop& loop) : loop_(loop) {}
  std::string_view name() const override { return "uml"; }
  Result<Capabilities> probe(const Hardware& hardware) override;
  Result<std::unique_ptr<Machine>> create(MachineSpec spec, MachineEvents& events) override;

 private:
  EventLoop& loop_;
};

// The kernel's arguments for a machine (argv[1] on). Pure; machines of a kind get the same, byte for byte:
// what is theirs alone lies behind the same relative names in each one's folder.
std::vector<std::string> uml_arguments(const MachineSpec& spec, bool time_travel);

}  // namespace rookery::backends
