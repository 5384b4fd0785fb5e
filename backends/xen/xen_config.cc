#include "backends/xen/xen_config.h"

#include <fmt/format.h>
#include <json-c/json.h>

#include <memory>

#include "base/digest.h"

namespace rookery::backends {

// What Xen runs when an interface of a domain appears in dom0 (docs/misc/vbd-interface and xen-netback: the
// backend waits for hotplug-status). It belongs to the network's switch alone: dom0 itself says nothing
// there.
const std::string_view kVifScript = R"(#!/bin/sh
# Brings up one of Rookery's virtual interfaces; called by Xen with "online" or "offline".
[ "$1" = online ] || exit 0
PATH=$PATH:/usr/sbin:/sbin:/usr/lib/xen-4.17/bin
if echo 1 >"/proc/sys/net/ipv6/conf/$vif/disable_ipv6" 2>/dev/null; then :; fi
ip link set dev "$vif" arp off multicast off up && xenstore-write "$XENBUS_PATH/hotplug-status" connected
)";

namespace {

// A sun_path with its final zero (unix(7)).
constexpr std::size_t kLongestSocketPath = 107;

struct Release {
  void operator()(json_object* object) const { json_object_put(object); }
};

// JSON by hand of json-c; what is put into another belongs to it.
json_object* text(std::string_view value) {
  return json_object_new_string_len(value.data(), static_cast<int>(value.size()));
}
json_object* number(std::uint64_t value) {
  return json_object_new_int64(static_cast<std::int64_t>(value));
}
void put(json_object* to, const char* key, json_object* value) {
  json_object_object_add(to, key, value);
}
// libxl's three-valued truth is a string in its JSON (libxl_defbool).
json_object* truth(bool value) {
  return text(value ? "True" : "False");
}

Digest256 digest_of(const MachineSpec& spec) {
  return sha256(as_bytes(spec.folder.string()));
}

// Always the same for one machine in its folder, in the form of RFC 4122 §4.4.
std::string uuid_of(const MachineSpec& spec) {
  Digest256 digest = digest_of(spec);
  digest[6] = static_cast<std::uint8_t>((digest[6] & 0x0f) | 0x40);
  digest[8] = static_cast<std::uint8_t>((digest[8] & 0x3f) | 0x80);
  std::string hex = to_hex(ByteView(digest.data(), 16));
  for (const std::size_t at : {20u, 16u, 12u, 8u}) hex.insert(at, "-");
  return hex;
}

std::string_view type_name(const Hardware& hardware) {
  switch (hardware.chipset) {
    case Chipset::pv:
      return "pv";
    case Chipset::pvh:
      return "pvh";
    default:
      return "hvm";
  }
}

// The device model's network is ours: straight to the switch's socket, no interface in dom0.
json_object* device_model_arguments(const MachineSpec& spec) {
  json_object* list = json_object_new_array();
  unsigned boot_index = 0;
  for (std::size_t i = 0; i < spec.nics.size(); ++i) {
    const NicPlug& nic = spec.nics[i];
    std::string device = fmt::format("{},netdev=net{},mac={:02x}",
                                     qemu_device(nic.management ? NicModel::virtio : spec.hardware.nic), i,
                                     fmt::join(nic.mac, ":"));
    const bool boots = spec.disks.empty() && !nic.management;
    device += boots ? fmt::format(",bootindex={}", boot_index++) : ",romfile=";
    for (const std::string& word : {std::string("-netdev"),
                                    fmt::format("stream,id=net{},server=off,addr.type=unix,addr.path={}", i,
                                                qemu_value(spec.folder / nic.socket)),
                                    std::string("-device"), device})
      json_object_array_add(list, text(word));
  }
  for (const DiskPlug& disk : spec.disks) {
    for (const std::string& word : qemu_disk(spec.hardware, disk.file))
      json_object_array_add(list, text(word));
  }
  for (const std::string& word : spec.hardware.more_arguments) json_object_array_add(list, text(word));
  return list;
}

void put_firmware(json_object* build, const MachineSpec& spec) {
  put(build, "extra_hvm", device_model_arguments(spec));
  json_object* hvm = json_object_new_object();
  put(hvm, "bios", text("seabios"));
  json_object* vga = json_object_new_object();
  put(vga, "kind", text("none"));
  put(hvm, "vga", vga);
  json_object* vnc = json_object_new_object();
  put(vnc, "enable", truth(false));
  put(hvm, "vnc", vnc);
  put(hvm, "nographic", truth(true));
  put(hvm, "usb", truth(false));
  put(hvm, "serial", text("pty"));
  put(hvm, "boot", text("n"));
  // With this device Linux takes the emulated NICs away and waits for paravirtual ones, which there are none
  // of (arch/x86/xen/platform-pci-unplug.c).
  put(hvm, "xen_platform_pci", truth(false));
  put(build, "type.hvm", hvm);
}

void put_kernel(json_object* build, const MachineSpec& spec, std::string_view type) {
  put(build, "kernel", text(spec.kernel.string()));
  put(build, "ramdisk", text(spec.initramfs.string()));
  put(build, "cmdline", text("console=hvc0 " + spec.command_line));
  put(build, fmt::format("type.{}", type).c_str(), json_object_new_object());
}

json_object* interfaces(const MachineSpec& spec) {
  json_object* list = json_object_new_array();
  for (std::size_t i = 0; i < spec.nics.size(); ++i) {
    json_object* nic = json_object_new_object();
    put(nic, "devid", number(i));
    put(nic, "mac", text(fmt::format("{:02x}", fmt::join(spec.nics[i].mac, ":"))));
    put(nic, "script", text((spec.folder / kVifScriptName).string()));
    put(nic, "nictype", text("vif"));
    json_object_array_add(list, nic);
  }
  return list;
}

// Served by a QEMU in dom0 (qdisk), which takes the file as it is: no loop device, no script.
json_object* disks(const MachineSpec& spec) {
  json_object* list = json_object_new_array();
  for (const DiskPlug& plug : spec.disks) {
    json_object* disk = json_object_new_object();
    put(disk, "pdev_path", text(plug.file.string()));
    put(disk, "vdev", text("xvda"));
    put(disk, "backend", text("qdisk"));
    put(disk, "format", text("raw"));
    put(disk, "readwrite", number(0));
    // QEMU's own disk for Xen asks to write, whatever stands here ("Block node is read-only"); its CD does
    // not.
    put(disk, "removable", number(1));
    put(disk, "is_cdrom", number(1));
    json_object_array_add(list, disk);
  }
  return list;
}

Status check(const MachineSpec& spec) {
  const Hardware& hardware = spec.hardware;
  const auto cannot = [&](const std::string& why) {
    return fail(ErrorKind::usage, fmt::format("machine '{}': {}", spec.name, why));
  };
  if (const auto why = why_no_disks(hardware, spec.disks.size()); !why.empty())
    return cannot(std::string(why));
  if (is_paravirtual(hardware)) {
    if (spec.kernel.empty()) return cannot("a paravirtual machine has no firmware of its own");
    if (hardware.chipset == Chipset::pvh && !spec.disks.empty()) return cannot(std::string(kNoPvhDisk));
    if (!hardware.more_arguments.empty()) return cannot("a paravirtual machine has no QEMU for arguments");
    return {};
  }
  if (hardware.chipset != Chipset::pc) return cannot("Xen's fully virtual machines are of chipset 'pc'");
  if (hardware.firmware != Firmware::bios) return cannot("only 'firmware: bios' under Xen yet");
  for (const NicPlug& nic : spec.nics) {
    if ((spec.folder / nic.socket).string().size() > kLongestSocketPath)
      return cannot(fmt::format("the path of its folder is too long for sockets: {}", spec.folder.string()));
  }
  return {};
}

}  // namespace

bool is_paravirtual(const Hardware& hardware) {
  return hardware.chipset == Chipset::pv || hardware.chipset == Chipset::pvh;
}

std::string xen_domain_name(const MachineSpec& spec) {
  return fmt::format("{}{}-{}", kXenNamePrefix, to_hex(ByteView(digest_of(spec).data(), 4)), spec.name);
}

Result<std::string> xen_domain_config(const MachineSpec& spec) {
  ROOKERY_TRY(check(spec));
  const std::string_view type = type_name(spec.hardware);
  json_object* about = json_object_new_object();
  put(about, "type", text(type));
  put(about, "name", text(xen_domain_name(spec)));
  put(about, "uuid", text(uuid_of(spec)));
  json_object* marks = json_object_new_object();
  put(marks, kXenOwnerKey, text(spec.folder.string()));
  put(about, "xsdata", marks);
  put(about, "run_hotplug_scripts", truth(true));

  json_object* build = json_object_new_object();
  const std::uint64_t kibibytes = spec.memory.count >> 10;
  put(build, "max_vcpus", number(1));
  json_object* processors = json_object_new_array();
  json_object_array_add(processors, number(0));
  put(build, "avail_vcpus", processors);
  put(build, "max_memkb", number(kibibytes));
  put(build, "target_memkb", number(kibibytes));
  put(build, "claim_mode", truth(true));  // too little memory is told at once, not after a while
  if (is_paravirtual(spec.hardware)) {
    put_kernel(build, spec, type);
  } else {
    put_firmware(build, spec);
  }

  const std::unique_ptr<json_object, Release> domain(json_object_new_object());
  put(domain.get(), "c_info", about);
  put(domain.get(), "b_info", build);
  if (is_paravirtual(spec.hardware)) {
    put(domain.get(), "nics", interfaces(spec));
    if (!spec.disks.empty()) put(domain.get(), "disks", disks(spec));
  }
  // What becomes of a domain that ends is ours to do; libxl only keeps these words.
  for (const char* end : {"on_poweroff", "on_reboot", "on_crash", "on_watchdog"})
    put(domain.get(), end, text("preserve"));
  return std::string(json_object_to_json_string_ext(
             domain.get(), JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)) +
         "\n";
}

}  // namespace rookery::backends
