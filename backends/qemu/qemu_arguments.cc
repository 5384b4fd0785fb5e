#include "backends/qemu/qemu_arguments.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::backends {
namespace {

using Arguments = std::vector<std::string>;

// 0 is that of a kernel, which a user's own arguments may give.
constexpr unsigned kFirstBootIndex = 1;

std::string_view chipset_name(Chipset chipset) {
  switch (chipset) {
    case Chipset::pc:
      return "pc";
    case Chipset::q35:
      return "q35";
    case Chipset::microvm:
      return "microvm";
    case Chipset::pv:
    case Chipset::pvh:
      break;  // refused by qemu_arguments()
  }
  bug("no such chipset");
}

// graphics=off: SeaBIOS then speaks on the serial port, and so does what it boots.
void add_machine(Arguments& to, const MachineSpec& spec, Accelerator accelerator) {
  const Chipset chipset = spec.hardware.chipset;
  std::string options = chipset == Chipset::microvm ? "rtc=on" : "graphics=off";
  // Who serves a NIC by vhost-user reads and writes the guest's memory, and so is handed a file that is it.
  const bool shares = std::any_of(spec.nics.begin(), spec.nics.end(),
                                  [](const NicPlug& nic) { return nic.wire == NicWire::vhost_user; });
  if (shares) {
    options += ",memory-backend=memory";
    to.insert(to.end(), {"-object", fmt::format("memory-backend-memfd,id=memory,size={}M,share=on",
                                                spec.memory.count >> 20)});
  }
  to.insert(to.end(), {"-machine", fmt::format("{},accel={},{}", chipset_name(chipset),
                                               to_string(accelerator), options)});
  to.insert(to.end(), {"-cpu", std::string(processor_model(accelerator))});
  to.insert(to.end(), {"-smp", "1", "-m", fmt::format("{}M", spec.memory.count >> 20)});
}

// The console is QEMU's standard input and output; QEMU comes to us for QMP, so that nobody has to look for
// its socket. A guest that resets or panics ends QEMU, and QEMU says first why.
void add_channels(Arguments& to, Chipset chipset) {
  to.insert(to.end(), {"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"});
  to.insert(to.end(), {"-chardev", fmt::format("socket,id=qmp,path={}", kQmpSocket), "-mon",
                       "chardev=qmp,mode=control"});
  to.insert(to.end(), {"-action", "reboot=shutdown,shutdown=poweroff,panic=shutdown"});
  if (chipset != Chipset::microvm) to.insert(to.end(), {"-device", "pvpanic"});
}

// OVMF without PXE over IPv6, for which nobody answers; and HTTP boot over the same NIC.
void add_firmware(Arguments& to, const QemuFiles& files) {
  to.insert(to.end(), {"-drive", fmt::format("if=pflash,unit=0,format=raw,readonly=on,file={}",
                                             qemu_value(files.uefi_code))});
  to.insert(to.end(), {"-drive", fmt::format("if=pflash,unit=1,format=raw,file={}", kUefiVariables)});
  to.insert(to.end(), {"-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"});
}

void add_kernel(Arguments& to, const MachineSpec& spec) {
  to.insert(to.end(), {"-kernel", spec.kernel.string(), "-initrd",
                       spec.modules.empty() ? spec.initramfs.string() : kJoinedInitramfs});
  to.insert(to.end(), {"-append", "console=ttyS0 " + spec.command_line});
}

// The management NIC has no ROM: nothing boots from it, and a boot ROM would ask there for an address.
void add_nics(Arguments& to, const MachineSpec& spec, Accelerator accelerator) {
  const Chipset chipset = spec.hardware.chipset;
  unsigned boot_index = kFirstBootIndex;
  for (std::size_t i = 0; i < spec.nics.size(); ++i) {
    const NicPlug& nic = spec.nics[i];
    const NicModel model = nic.management ? NicModel::virtio : spec.hardware.nic;
    // A microvm has no PCI; its NICs are virtio's.
    const std::string_view name = chipset == Chipset::microvm ? "virtio-net-device" : qemu_device(model);
    std::string device = fmt::format("{},netdev=net{},mac={:02x}", name, i, fmt::join(nic.mac, ":"));
    // Without KVM, QEMU 7.2 dies when a guest uses MSI-X with vhost-user: it asks KVM for the interrupt
    // (virtio_pci_vector_unmask in its hw/virtio/virtio-pci.c). So there the NIC has an interrupt line only.
    if (nic.wire == NicWire::vhost_user && accelerator == Accelerator::tcg && chipset != Chipset::microvm)
      device += ",vectors=0";
    const bool firmware_boots = spec.kernel.empty() && spec.disks.empty() && !nic.management;
    if (firmware_boots) device += fmt::format(",bootindex={}", boot_index++);
    if (!firmware_boots && chipset != Chipset::microvm) device += ",romfile=";
    if (nic.wire == NicWire::vhost_user) {
      to.insert(to.end(), {"-chardev", fmt::format("socket,id=wire{},path={}", i, qemu_value(nic.socket)),
                           "-netdev", fmt::format("vhost-user,id=net{},chardev=wire{}", i, i)});
    } else if (nic.wire == NicWire::datagram) {
      const std::string theirs = qemu_value(nic.socket);
      to.insert(to.end(), {"-netdev", fmt::format("dgram,id=net{},local.type=unix,local.path={}.machine,"
                                                  "remote.type=unix,remote.path={}",
                                                  i, theirs, theirs)});
    } else {
      to.insert(to.end(), {"-netdev", fmt::format("stream,id=net{},server=off,addr.type=unix,addr.path={}", i,
                                                  qemu_value(nic.socket))});
    }
    to.insert(to.end(), {"-device", device});
  }
}

}  // namespace

// Some hosts offer KVM's guests the register of IA32_ARCH_CAPABILITIES and then refuse what QEMU writes to
// it.
std::string_view processor_model(Accelerator accelerator) {
  return accelerator == Accelerator::kvm ? "host,arch-capabilities=off" : "max";
}

std::string_view to_string(Accelerator accelerator) {
  return accelerator == Accelerator::kvm ? "kvm" : "tcg";
}

Result<Arguments> qemu_arguments(const MachineSpec& spec, Accelerator accelerator, const QemuFiles& files) {
  const Hardware& hardware = spec.hardware;
  const auto cannot = [&](std::string_view why) {
    return fail(ErrorKind::usage, fmt::format("machine '{}': {}", spec.name, why));
  };
  if (hardware.chipset == Chipset::pv || hardware.chipset == Chipset::pvh)
    return cannot("the chipsets pv and pvh are Xen's");
  if (hardware.chipset == Chipset::microvm) {
    if (spec.kernel.empty()) return cannot("a microvm has no firmware that boots from a network");
    if (hardware.firmware == Firmware::uefi) return cannot("a microvm has no UEFI");
    if (hardware.nic != NicModel::virtio) return cannot("a microvm has only virtio NICs");
    if (!spec.disks.empty()) return cannot("a microvm has no firmware that boots from a disk");
    if (hardware.graphics != Graphics::none) return cannot("a microvm has no graphics");
  }
  if (const auto why = why_no_disks(hardware, spec.disks.size()); !why.empty()) return cannot(why);
  Arguments arguments{files.program.string(), "-name",    spec.name, "-nodefaults",
                      "-no-user-config",      "-display", "none"};
  // The guest's hypervisor starts no programs, gains no privileges and makes no odd system calls.
  arguments.insert(arguments.end(),
                   {"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
  add_machine(arguments, spec, accelerator);
  add_channels(arguments, hardware.chipset);
  if (hardware.firmware == Firmware::uefi) add_firmware(arguments, files);
  if (!spec.kernel.empty()) add_kernel(arguments, spec);
  arguments.insert(arguments.end(), {"-boot", "strict=on"});  // from what has a boot index, and nothing else
  if (hardware.graphics != Graphics::none)
    arguments.insert(arguments.end(), {"-device", std::string(qemu_device(hardware.graphics))});
  for (const DiskPlug& disk : spec.disks) {
    const Arguments words = qemu_disk(hardware, disk.file);
    arguments.insert(arguments.end(), words.begin(), words.end());
  }
  add_nics(arguments, spec, accelerator);
  arguments.insert(arguments.end(), hardware.more_arguments.begin(), hardware.more_arguments.end());
  return arguments;
}

}  // namespace rookery::backends
