#include "backends/hardware.h"

#include <fmt/format.h>

#include "base/result.h"

namespace rookery::backends {
namespace {

// A controller to be added, if the disk needs one, and the disk itself, to which the drive is given. Both
// chipsets call their own IDE or SATA bus ide.0.
struct DiskDevices {
  std::string_view controller, disk;
};
DiskDevices disk_devices(DiskModel model) {
  switch (model) {
    case DiskModel::virtio:
      return {"", "virtio-blk-pci"};
    case DiskModel::sata:
      return {"ich9-ahci,id=disks", "ide-hd,bus=disks.0"};
    case DiskModel::ide:
      return {"", "ide-hd,bus=ide.0"};
    case DiskModel::nvme:
      return {"", "nvme,serial=rookery-medium"};
    case DiskModel::scsi:
      return {"virtio-scsi-pci,id=disks", "scsi-hd,bus=disks.0"};
    case DiskModel::lsi:
      return {"lsi53c895a,id=disks", "scsi-hd,bus=disks.0"};
    case DiskModel::pvscsi:
      return {"pvscsi,id=disks", "scsi-hd,bus=disks.0"};
    case DiskModel::usb:
      return {"qemu-xhci,id=disks", "usb-storage,bus=disks.0"};
    case DiskModel::cdrom:
      return {"", "ide-cd,bus=ide.0"};
  }
  bug("no such disk model");
}

}  // namespace

std::string_view qemu_device(NicModel model) {
  switch (model) {
    case NicModel::virtio:
      return "virtio-net-pci";
    case NicModel::e1000e:
      return "e1000e";
    case NicModel::e1000:
      return "e1000";
    case NicModel::rtl8139:
      return "rtl8139";
    case NicModel::vmxnet3:
      return "vmxnet3";
    case NicModel::pcnet:
      return "pcnet";
    case NicModel::ne2k:
      return "ne2k_pci";
  }
  bug("no such NIC model");
}

std::string_view qemu_device(Graphics graphics) {
  switch (graphics) {
    case Graphics::none:
      return "";
    case Graphics::standard:
      return "VGA";
    case Graphics::virtio:
      return "virtio-vga";
    case Graphics::qxl:
      return "qxl-vga";
    case Graphics::cirrus:
      return "cirrus-vga";
    case Graphics::vmware:
      return "vmware-svga";
  }
  bug("no such graphics");
}

std::string qemu_value(const std::filesystem::path& path) {
  std::string text;
  for (const char c : path.string()) text.append(c == ',' ? 2 : 1, c);
  return text;
}

std::string_view why_no_disks(const Hardware& hardware, std::size_t count) {
  if (count > 1) return "it has more disks than one";
  if (count > 0 && hardware.disk == DiskModel::ide && hardware.chipset == Chipset::q35)
    return "a q35 has no IDE disks; its disks are sata";
  return "";
}

// QEMU's IDE disks must be writable: what is written goes to a file without a name (in TMPDIR), and is gone
// with the machine.
std::vector<std::string> qemu_disk(const Hardware& hardware, const std::filesystem::path& file) {
  const bool writable = hardware.disk == DiskModel::sata || hardware.disk == DiskModel::ide;
  const auto [controller, disk] = disk_devices(hardware.disk);
  std::vector<std::string> words;
  if (!controller.empty()) words = {"-device", std::string(controller)};
  words.insert(words.end(), {"-drive",
                             fmt::format("if=none,id=disk0,format=raw,{},file={}",
                                         writable ? "snapshot=on" : "readonly=on", qemu_value(file)),
                             "-device", fmt::format("{},drive=disk0,bootindex=1", disk)});
  return words;
}

}  // namespace rookery::backends
