#include "backends/xen/xen_backend.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>

#include "backends/xen/unpacked_kernel.h"
#include "backends/xen/xen_config.h"
#include "backends/xen/xen_domain.h"
#include "backends/xen/xen_machine.h"
#include "base/file.h"

namespace rookery::backends {

Status look_for_xen() {
  // Xen's documentation, docs/misc: what a domain may do; "control_d" is the one that makes others.
  const auto able = read_file("/proc/xen/capabilities");
  if (!able || able->find("control_d") == std::string::npos) {
    return fail(
        "this is no Xen host (no control_d in /proc/xen/capabilities); on Debian: apt-get install "
        "xen-system-amd64, restart with Xen, and run this program there as root");
  }
  if (::access("/dev/xen/privcmd", R_OK | W_OK) != 0)
    return fail_errno("this is a Xen host, but making domains takes root: /dev/xen/privcmd");
  const auto libxl = Libxl::load();
  if (!libxl) return tl::unexpected<Error>(libxl.error());
  return {};
}

Result<Capabilities> XenBackend::probe(const Hardware& hardware) {
  ROOKERY_TRY(look_for_xen());
  Capabilities capabilities;
  capabilities.pause = true;
  capabilities.snapshot = true;
  capabilities.press = true;
  capabilities.nics_max = 8;
  capabilities.firmware = !is_paravirtual(hardware);
  capabilities.lacks = {
      {"virtual_time", "Xen's machines go by the host's clock; use backend: uml"},
      {"firmware", "a paravirtual machine is given the virtual boot ROM; without chipset: it has SeaBIOS"}};
  if (hardware.chipset == Chipset::pvh) {
    capabilities.lacks.push_back({"disk", kNoPvhDisk});
  } else {
    capabilities.disk_wire = DiskWire::file;
  }
  capabilities.wire = capabilities.management_wire =
      is_paravirtual(hardware) ? NicWire::interface : NicWire::stream;
  return capabilities;
}

// libxl reads it in this process, and so by a descriptor of ours.
Status XenBackend::unpack_kernel(std::filesystem::path& kernel) {
  if (kernel.empty()) return {};
  auto found = kernels_.find(kernel);
  if (found == kernels_.end()) {
    std::string head(kBzimageHead, '\0');
    std::ifstream(kernel, std::ios::binary).read(head.data(), static_cast<std::streamsize>(head.size()));
    if (!is_bzimage(as_bytes(head))) return {};  // unpacked already, or libxl says what it is not
    const auto packed = read_file(kernel);
    if (!packed) return tl::unexpected<Error>(packed.error());
    const auto unpacked = unpacked_kernel(as_bytes(*packed));
    if (!unpacked) return tl::unexpected<Error>(unpacked.error());
    UniqueFd memory(::memfd_create("rookery-kernel", MFD_CLOEXEC));
    if (!memory ||
        ::write(memory.get(), unpacked->data(), unpacked->size()) != static_cast<ssize_t>(unpacked->size()))
      return fail_errno("no memory for it unpacked");
    found = kernels_.emplace(kernel, std::move(memory)).first;
  }
  kernel = fmt::format("/proc/self/fd/{}", found->second.get());
  return {};
}

Result<std::unique_ptr<Machine>> XenBackend::create(MachineSpec spec, MachineEvents& events) {
  ROOKERY_TRY(look_for_xen());
  if (spec.lane != nullptr)
    return fail(ErrorKind::usage, "machine '" + spec.name + "': Xen machines have no virtual time");
  if (!thread_) {
    thread_ = std::make_shared<XenThread>(loop_, **Libxl::load());
    thread_->run([](XenContext* context, const std::string&) {
      if (context != nullptr) (void)destroy_orphans(*context);
    });
  }
  if (const auto unpacked = unpack_kernel(spec.kernel); !unpacked)
    return fail(fmt::format("machine '{}': kernel {}: {}", spec.name, spec.kernel.string(),
                            unpacked.error().message));
  return make_xen_machine(loop_, std::move(spec), events, thread_, patience_);
}

}  // namespace rookery::backends
