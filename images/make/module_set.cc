#include "images/make/module_set.h"

#include <algorithm>
#include <map>
#include <set>

namespace rookery::images {
namespace {

// Calls `use` with each line that is not empty.
template <typename Use>
void for_each_line(std::string_view text, const Use& use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

const std::vector<std::string>& early_module_names() {
  static const std::vector<std::string> names = {
      // networks
      "af_packet", "virtio_net", "xen_netfront", "e1000", "e1000e", "igb", "r8169", "8139cp", "8139too",
      "tg3", "vmxnet3", "pcnet32", "ne2k_pci",
      // buses, controllers and disks
      "virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "xen_blkfront", "ata_piix", "ata_generic",
      "ahci", "nvme", "sym53c8xx", "vmw_pvscsi", "sd_mod", "sr_mod", "usb_storage", "uas", "xhci_pci",
      "ehci_pci", "uhci_hcd", "nbd", "aoe", "loop", "pvpanic_mmio",
      // file systems
      "squashfs", "overlay", "isofs", "ext4", "crc32c_generic"};
  return names;
}

const std::vector<std::string>& san_module_names() {
  static const std::vector<std::string> names = {"iscsi_tcp", "nfsv3"};
  return names;
}

std::string_view module_file(std::string_view dep_line) {
  return dep_line.substr(0, dep_line.find(':'));
}

std::string module_name(std::string_view file) {
  file = file.substr(file.rfind('/') + 1);
  std::string name(file.substr(0, file.find(".ko")));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

Result<std::vector<std::string>> module_closure(std::string_view modules_dep,
                                                std::string_view modules_builtin,
                                                const std::vector<std::string>& names) {
  std::map<std::string, std::string_view, std::less<>> by_file;
  std::map<std::string, std::string_view, std::less<>> file_of_name;
  for_each_line(modules_dep, [&](std::string_view line) {
    by_file.emplace(module_file(line), line);
    file_of_name.emplace(module_name(module_file(line)), module_file(line));
  });
  std::set<std::string> builtin;
  for_each_line(modules_builtin, [&](std::string_view line) { builtin.insert(module_name(line)); });

  std::set<std::string, std::less<>> wanted;
  std::vector<std::string_view> open;
  for (const std::string& name : names) {
    if (const auto found = file_of_name.find(name); found != file_of_name.end()) {
      open.push_back(found->second);
    } else if (!builtin.contains(name)) {
      return fail("the kernel has no module " + name);
    }
  }
  while (!open.empty()) {
    const std::string_view file = open.back();
    open.pop_back();
    if (!wanted.emplace(file).second) continue;
    const auto line = by_file.find(file);
    if (line == by_file.end()) return fail("modules.dep has no line for " + std::string(file));
    std::string_view needs = line->second.substr(std::min(file.size() + 1, line->second.size()));
    while (!needs.empty()) {
      const std::size_t end = std::min(needs.find(' '), needs.size());
      if (end > 0) open.push_back(needs.substr(0, end));
      needs.remove_prefix(std::min(end + 1, needs.size()));
    }
  }
  std::vector<std::string> lines;
  for_each_line(modules_dep, [&](std::string_view line) {
    if (wanted.contains(module_file(line))) lines.emplace_back(line);
  });
  return lines;
}

std::string aliases_of(std::string_view modules_alias, const std::vector<std::string>& dep_lines) {
  std::set<std::string, std::less<>> names;
  for (const std::string& line : dep_lines) names.insert(module_name(module_file(line)));
  std::string aliases;
  for_each_line(modules_alias, [&](std::string_view line) {
    if (names.contains(line.substr(line.rfind(' ') + 1))) aliases.append(line) += '\n';
  });
  return aliases;
}

}  // namespace rookery::images
