#include "backends/hardware.h"

#include "base/result.h"

namespace rookery::backends {

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

}  // namespace rookery::backends
