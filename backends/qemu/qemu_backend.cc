#include "backends/qemu/qemu_backend.h"

#include <fmt/format.h>

#include "backends/qemu/accelerator.h"
#include "backends/qemu/qemu_machine.h"
#include "base/command.h"

namespace rookery::backends {

Status QemuBackend::look() {
  if (looked_) return {};
  if (!std::filesystem::exists(files_.program))
    return fail(fmt::format("there is no {}; install: qemu-system-x86", files_.program.string()));
  const auto said = run_checked({{files_.program.string(), "--version"}, {}});
  if (!said) return tl::unexpected<Error>(said.error());
  const auto version = parse_qemu_version(said->output);
  if (!version) return tl::unexpected<Error>(version.error());
  constexpr std::pair kOldest{7, 2};  // -netdev stream
  if (*version < kOldest) {
    return fail(fmt::format("QEMU {}.{} is too old: '-netdev stream' came with {}.{}", version->first,
                            version->second, kOldest.first, kOldest.second));
  }
  if (!accelerator_) {
    const auto choice = choose_accelerator(files_);
    if (!choice) return tl::unexpected<Error>(choice.error());
    accelerator_ = choice->accelerator;
    if (accelerator_ == Accelerator::tcg) slowness_ = "QEMU emulates its processor, for " + choice->why;
  }
  looked_ = true;
  return {};
}

Result<Capabilities> QemuBackend::probe(const Hardware& hardware) {
  ROOKERY_TRY(look());
  Capabilities capabilities;
  capabilities.pause = true;
  capabilities.firmware = true;
  capabilities.press = true;
  capabilities.snapshot = true;
  capabilities.nics_max = 8;
  const bool is_virtio = hardware.nic == NicModel::virtio;
  switch (hardware.wire) {
    case Wire::automatic:
      capabilities.wire = is_virtio ? NicWire::vhost_user : NicWire::stream;
      break;
    case Wire::vhost_user:
      capabilities.wire = NicWire::vhost_user;
      break;
    case Wire::stream:
      capabilities.wire = NicWire::stream;
      break;
    case Wire::datagram:
      capabilities.wire = NicWire::datagram;
      break;
  }
  capabilities.management_wire = NicWire::stream;
  capabilities.disk_wire = DiskWire::file;
  capabilities.slowness = slowness_;
  capabilities.lacks = {{"virtual_time", "QEMU's machines go by the host's clock; use backend: uml"}};
  return capabilities;
}

Result<std::unique_ptr<Machine>> QemuBackend::create(MachineSpec spec, MachineEvents& events) {
  ROOKERY_TRY(look());
  if (spec.lane != nullptr)
    return fail(ErrorKind::usage, "machine '" + spec.name + "': QEMU machines have no virtual time");
  return make_qemu_machine(loop_, std::move(spec), events, *accelerator_, files_);
}

}  // namespace rookery::backends
