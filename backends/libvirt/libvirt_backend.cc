#include "backends/libvirt/libvirt_backend.h"

#include <fmt/format.h>

#include "backends/libvirt/libvirt_machine.h"

namespace rookery::backends {

LibvirtBackend::LibvirtBackend(EventLoop& loop, LibvirtSetup setup, std::function<Result<bool>()> kvm,
                               LibvirtFiles files)
    : loop_(loop),
      host_(std::make_shared<LibvirtHost>(loop, std::move(setup))),
      ask_kvm_(std::move(kvm)),
      files_(std::move(files)) {}

Result<Capabilities> LibvirtBackend::probe(const Hardware&) {
  const LibvirtUri& uri = host_->uri();
  if (!uri.runs_as_us() && uri.driver != LibvirtDriver::test) {
    return fail(
        fmt::format("machines of {} run as somebody else or somewhere else, where this lab's network does "
                    "not reach them; use qemu:///embed or qemu:///session",
                    uri.text()));
  }
  ROOKERY_TRY(host_->open());
  Capabilities capabilities;
  capabilities.pause = true;
  capabilities.snapshot = uri.driver == LibvirtDriver::qemu;
  capabilities.firmware = true;
  capabilities.press = true;
  capabilities.nics_max = 8;
  capabilities.lacks = {{"virtual_time", "libvirt's machines go by the host's clock; use backend: uml"},
                        {"snapshot", "only libvirt's QEMU driver has such; use qemu:///embed"}};
  capabilities.wire = capabilities.management_wire = NicWire::stream;
  capabilities.disk_wire = DiskWire::file;
  return capabilities;
}

Result<std::unique_ptr<Machine>> LibvirtBackend::create(MachineSpec spec, MachineEvents& events) {
  if (spec.lane != nullptr)
    return fail(ErrorKind::usage, "machine '" + spec.name + "': libvirt's machines have no virtual time");
  if (!kvm_) {
    const auto quicker = ask_kvm_();
    if (!quicker) return tl::unexpected<Error>(quicker.error());
    kvm_ = *quicker;
  }
  auto xml = domain_xml(host_->uri(), host_->owner(), spec, *kvm_, files_);
  if (!xml) return tl::unexpected<Error>(xml.error());
  ROOKERY_TRY(host_->open());
  return make_libvirt_machine(loop_, host_, std::move(spec), std::move(*xml), events);
}

}  // namespace rookery::backends
