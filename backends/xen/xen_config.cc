#include "backends/xen/xen_config.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/json/layout.h"

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

// libxl's three-valued truth is a string in its JSON (libxl_defbool).
Json truth(bool value) {
  return Json::string(value ? "True" : "False");
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
Json device_model_arguments(const MachineSpec& spec) {
  Json list = Json::array();
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
      list.add(Json::string(word));
  }
  for (const DiskPlug& disk : spec.disks) {
    for (const std::string& word : qemu_disk(spec.hardware, disk.file)) list.add(Json::string(word));
  }
  for (const std::string& word : spec.hardware.more_arguments) list.add(Json::string(word));
  return list;
}

void set_firmware(Json& build, const MachineSpec& spec) {
  // With xen_platform_pci Linux takes the emulated NICs away and waits for paravirtual ones, which there are
  // none of (arch/x86/xen/platform-pci-unplug.c).
  build.set("extra_hvm", device_model_arguments(spec))
      .set("type.hvm", Json::object()
                           .set("bios", "seabios")
                           .set("vga", Json::object().set("kind", "none"))
                           .set("vnc", Json::object().set("enable", truth(false)))
                           .set("nographic", truth(true))
                           .set("usb", truth(false))
                           .set("serial", "pty")
                           .set("boot", "n")
                           .set("xen_platform_pci", truth(false)));
}

void set_kernel(Json& build, const MachineSpec& spec, std::string_view type) {
  build.set("kernel", spec.kernel.string())
      .set("ramdisk", spec.initramfs.string())
      .set("cmdline", "console=hvc0 " + spec.command_line)
      .set(fmt::format("type.{}", type), Json::object());
}

Json interfaces(const MachineSpec& spec) {
  Json list = Json::array();
  for (std::size_t i = 0; i < spec.nics.size(); ++i) {
    list.add(Json::object()
                 .set("devid", Json::count(i))
                 .set("mac", fmt::format("{:02x}", fmt::join(spec.nics[i].mac, ":")))
                 .set("script", (spec.folder / kVifScriptName).string())
                 .set("nictype", "vif"));
  }
  return list;
}

// Served by a QEMU in dom0 (qdisk), which takes the file as it is: no loop device, no script.
Json disks(const MachineSpec& spec) {
  Json list = Json::array();
  for (const DiskPlug& plug : spec.disks) {
    // QEMU's own disk for Xen asks to write, whatever stands here ("Block node is read-only"); its CD does
    // not.
    list.add(Json::object()
                 .set("pdev_path", plug.file.string())
                 .set("vdev", "xvda")
                 .set("backend", "qdisk")
                 .set("format", "raw")
                 .set("readwrite", Json::integer(0))
                 .set("removable", Json::integer(1))
                 .set("is_cdrom", Json::integer(1)));
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
  const std::uint64_t kibibytes = spec.memory.count >> 10;
  Json build = Json::object()
                   .set("max_vcpus", Json::integer(1))
                   .set("avail_vcpus", Json::array().add(Json::integer(0)))
                   .set("max_memkb", Json::count(kibibytes))
                   .set("target_memkb", Json::count(kibibytes))
                   // Too little memory is told at once, not after a while.
                   .set("claim_mode", truth(true));
  if (is_paravirtual(spec.hardware)) {
    set_kernel(build, spec, type);
  } else {
    set_firmware(build, spec);
  }

  Json domain = Json::object()
                    .set("c_info", Json::object()
                                       .set("type", type)
                                       .set("name", xen_domain_name(spec))
                                       .set("uuid", uuid_of(spec))
                                       .set("xsdata", Json::object().set(kXenOwnerKey, spec.folder.string()))
                                       .set("run_hotplug_scripts", truth(true)))
                    .set("b_info", std::move(build));
  if (is_paravirtual(spec.hardware)) {
    domain.set("nics", interfaces(spec));
    if (!spec.disks.empty()) domain.set("disks", disks(spec));
  }
  // What becomes of a domain that ends is ours to do; libxl only keeps these words.
  for (const char* end : {"on_poweroff", "on_reboot", "on_crash", "on_watchdog"}) domain.set(end, "preserve");
  return write_json(domain, {.in_lines = true}) + "\n";
}

}  // namespace rookery::backends
