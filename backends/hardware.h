// What a machine with firmware is made of, in words that every hypervisor for such machines knows. Plain
// values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rookery::backends {

// microvm (QEMU) and pv and pvh (Xen) have no firmware that boots from a network.
enum class Chipset { pc, q35, microvm, pv, pvh };
enum class Firmware { bios, uefi };
enum class NicModel { virtio, e1000e, e1000, rtl8139, vmxnet3, pcnet, ne2k };
// What a disk hangs on: scsi is virtio's host adapter, lsi and pvscsi are others. A cdrom is an ATAPI drive.
enum class DiskModel { virtio, sata, ide, nvme, scsi, lsi, pvscsi, usb, cdrom };
// How the cable of its NIC reaches our process: by vhost-user if the NIC is virtio, otherwise by a stream;
// unless one is named. Of QEMU's machines.
enum class Wire { automatic, vhost_user, stream, datagram };
enum class Graphics { none, standard, virtio, qxl, cirrus, vmware };

// Machines that are given the distribution's kernel and the virtual boot ROM.
constexpr bool is_given_a_kernel(Chipset chipset) {
  return chipset == Chipset::microvm || chipset == Chipset::pv || chipset == Chipset::pvh;
}

// What QEMU calls the NIC on a PCI bus. Every hypervisor here that emulates PCs does so by QEMU.
std::string_view qemu_device(NicModel model);

struct Hardware {
  Chipset chipset = Chipset::pc;
  Firmware firmware = Firmware::bios;
  NicModel nic = NicModel::virtio;            // of the NIC that it boots from
  std::vector<std::string> more_arguments{};  // for the hypervisor's program: an escape hatch
  DiskModel disk = DiskModel::virtio;         // of the disk that it boots from, if it has one
  Graphics graphics = Graphics::none;
  Wire wire = Wire::automatic;

  friend bool operator==(const Hardware&, const Hardware&) = default;
};

}  // namespace rookery::backends
