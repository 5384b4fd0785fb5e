// What a machine with firmware is made of, in words that every hypervisor for such machines knows. Plain
// values.
#pragma once

#include <filesystem>
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

// Every hypervisor here that emulates PCs does so by QEMU: what QEMU calls the device on a PCI bus.
std::string_view qemu_device(NicModel model);
std::string_view qemu_device(Graphics graphics);  // empty: none
// As a value among others on its command line, where commas separate: doubled.
std::string qemu_value(const std::filesystem::path& path);

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

// Why a PC of such hardware cannot have so many disks; empty if it can.
std::string_view why_no_disks(const Hardware& hardware, std::size_t count);
// The words by which QEMU gives a machine its disk: the file, which it only reads, before which firmware
// boots nothing else.
std::vector<std::string> qemu_disk(const Hardware& hardware, const std::filesystem::path& file);

}  // namespace rookery::backends
