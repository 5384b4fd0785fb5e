// What the boot server does for machines whose root, or whose firmware's disk, is not the NBD share: iSCSI by
// tgt, AoE by vblade, NFS by the kernel's own server. A service is started only if a machine of the plan
// needs it; each such way to boot has a boot script of its own, which DHCP gives to these machines by a tag.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "vboot/roles/boot_server.h"

namespace rookery::vboot {
namespace {

// Reserved for private use, as our domains are (ICANN board resolution 2024.07.29.06).
constexpr std::string_view kIscsiNames = "iqn.2026-11.internal.rookery";
constexpr std::string_view kMediumDevice = "\"$medium\"";
constexpr std::string_view kSquashfs = "/run/rookery/medium/rookery/root.squashfs";
// Where stage two has mounted the squashfs, below the server's own changes.
constexpr std::string_view kTree = "/run/rookery/lower";
// What is on the storage network: as tgt's target and as AoE's slot.
constexpr unsigned kRootNumber = 1, kMediumNumber = 2, kChangesNumber = 3;

std::string iscsi_name(const LabPlan& plan, unsigned number) {
  constexpr std::string_view kNames[] = {"root", "medium", "changes"};
  return fmt::format("{}:{}.{}", kIscsiNames, plan.name, kNames[number - 1]);
}

bool needs(const LabPlan& plan, RootKind root, bool san_boot) {
  return std::any_of(plan.machines.begin(), plan.machines.end(), [&](const MachinePlan& machine) {
    return machine.boot == BootSource::network && machine.root == root && machine.san_boot == san_boot;
  });
}

bool writes(const LabPlan& plan) {
  return std::any_of(plan.machines.begin(), plan.machines.end(),
                     [](const MachinePlan& machine) { return machine.changes != Changes::memory; });
}

// LUN 0 is tgt's own controller. It opens a file that is only for reading so, and says so to initiators.
std::string iscsi_disk(const LabPlan& plan, unsigned number, std::string_view file, bool writable = false) {
  return fmt::format(
      "tgtadm --op new --mode target --tid {0} --targetname {1} &&\n"
      "  tgtadm --op new --mode logicalunit --tid {0} --lun 1 --backing-store {2} &&\n"
      "  tgtadm --op update --mode logicalunit --tid {0} --lun 1 --params readonly={3} &&\n"
      "  tgtadm --op bind --mode target --tid {0} --initiator-address ALL || fail \"tgt does not serve "
      "{1}\"\n",
      number, iscsi_name(plan, number), file, writable ? 0 : 1);
}

std::string aoe_disk(const LabPlan& plan, unsigned number, std::string_view file) {
  std::string text;
  for (const VlanPlan& vlan : plan.vlans) {
    text += fmt::format("aoe {} {} {}\n", number, plan.tagged ? vlan_interface(vlan) : "\"$nic\"", file);
  }
  return text;
}

// In the server's memory, as far as it is written to: it is there for as long as the server is on.
constexpr std::string_view kChangesFile = "/run/rookery/changes.disk";
const std::string kMakeChanges = fmt::format(R"(
busybox truncate -s 128M {0} && busybox mke2fs -F {0} > /run/rookery/mke2fs.log 2>&1 ||
  fail "there is no disk for changes"
)",
                                             kChangesFile);

constexpr std::string_view kFindMedium = R"(
while read -r device place _; do [ "$place" != /run/rookery/medium ] || break; done < /proc/mounts
# tgt opens for writing first, which a mounted disk may refuse as busy; a read-only loop refuses it as read-only.
medium=$(busybox losetup -f) && busybox losetup -r "$medium" "$device" || fail "no loop device for $device"
)";

// It has no word for being ready but its answer.
constexpr std::string_view kStartTgt = R"(
tgtd || fail "tgtd did not start"
asked=0
until tgtadm --op show --mode sys > /run/rookery/tgtd.log 2>&1; do
  asked=$((asked + 1))
  [ $asked -lt 200 ] || fail "tgtd does not answer"
done
)";

constexpr std::string_view kStartAoe = R"(
# vblade says what it serves when it does.
aoe() {
  mkfifo "/run/rookery/vblade.$1.$2"
  vblade -r 0 "$1" "$2" "$3" > "/run/rookery/vblade.$1.$2" 2>&1 &
  read -r _ < "/run/rookery/vblade.$1.$2" || fail "vblade does not serve $3 on $2"
}
)";

// Version 3 only: it has no state, so that a server which was away is as good as before. Its mountd wants a
// port mapper to register with, which nobody asks: the clients know the ports.
std::string start_nfs() {
  return fmt::format(R"(
mkdir -p /var/lib/nfs /run/rpcbind && : > /var/lib/nfs/etab && : > /var/lib/nfs/rmtab && : > /etc/exports
[ -e /proc/fs/nfsd/threads ] || {{ modprobe -q nfsd; busybox mount -t nfsd nfsd /proc/fs/nfsd; }} ||
  fail "this kernel is no NFS server"
rpcbind || fail "rpcbind did not start"
exportfs -o ro,async,insecure,no_root_squash,no_subtree_check,fsid=1 "*:{0}" || fail "NFS does not serve {0}"
rpc.mountd --no-nfs-version 4 --port 20048 || fail "mountd did not start"
rpc.nfsd --no-nfs-version 4 --no-udp --port 2049 4 || fail "the kernel's NFS server did not start"
)",
                     kTree);
}

}  // namespace

std::string_view boot_tag(const MachinePlan& machine) {
  switch (machine.root) {
    case RootKind::nbd:
      return "";
    case RootKind::iscsi:
      if (machine.san_boot) return "san-iscsi";
      if (machine.changes == Changes::disk) return "iscsi-disk";
      return machine.changes == Changes::memory ? "iscsi" : "iscsi-disk-or-memory";
    case RootKind::aoe:
      return machine.san_boot ? "san-aoe" : "aoe";
    case RootKind::nfs:
      return "nfs";
  }
  bug("a root of no kind");
}

std::vector<BootWay> boot_ways(const LabPlan& plan) {
  std::map<std::string_view, BootWay> ways;
  for (const MachinePlan& machine : plan.machines) {
    const std::string_view tag = boot_tag(machine);
    if (!tag.empty()) ways.insert({tag, {machine.root, machine.san_boot, tag, machine.changes}});
  }
  std::vector<BootWay> list;
  for (const auto& [tag, way] : ways) list.push_back(way);
  return list;
}

// A second word of the kernel's, behind the share's.
std::string changes_words(const LabPlan& plan, Changes changes) {
  if (changes == Changes::memory) return "";
  return fmt::format(" rookery.changes=iscsi:${{next-server}}:::1:{} rookery.taken={}",
                     iscsi_name(plan, kChangesNumber), changes == Changes::disk ? "refuse" : "memory");
}

std::string share_url(const LabPlan& plan, RootKind root) {
  switch (root) {
    case RootKind::nbd:
      return fmt::format("nbd://${{next-server}}:{}/{}", kNbdPort, kShareExport);
    case RootKind::iscsi:
      return fmt::format("iscsi:${{next-server}}:::1:{}", iscsi_name(plan, kRootNumber));
    case RootKind::aoe:
      return fmt::format("aoe:e0.{}", kRootNumber);
    case RootKind::nfs:
      return fmt::format("nfs://${{next-server}}{}", kTree);
  }
  bug("a root of no kind");
}

// The machine's firmware starts the medium as if it were plugged in, and leaves a table of where it is.
std::string san_boot_script(const LabPlan& plan, RootKind root) {
  const std::string disk = root == RootKind::iscsi
                               ? fmt::format("iscsi:${{next-server}}:::1:{}", iscsi_name(plan, kMediumNumber))
                               : fmt::format("aoe:e0.{}", kMediumNumber);
  return fmt::format(
      "#!ipxe\n"
      "# Starts machines of lab {} from the medium, as a disk on the network.\n"
      "set initiator-iqn {}:${{hostname}}\n"
      "sanboot {} ||\n"
      "echo Rookery: the firmware cannot start from {}\nexit 1\n",
      plan.name, kIscsiNames, disk, disk);
}

std::string start_san(const LabPlan& plan) {
  const bool iscsi = needs(plan, RootKind::iscsi, false), iscsi_boot = needs(plan, RootKind::iscsi, true);
  const bool aoe = needs(plan, RootKind::aoe, false), aoe_boot = needs(plan, RootKind::aoe, true);
  std::string text;
  if (iscsi_boot || aoe_boot) text += kFindMedium;
  if (iscsi || iscsi_boot) {
    text += kStartTgt;
    if (iscsi) text += iscsi_disk(plan, kRootNumber, kSquashfs);
    if (writes(plan)) text += kMakeChanges + iscsi_disk(plan, kChangesNumber, kChangesFile, true);
    if (iscsi_boot) text += iscsi_disk(plan, kMediumNumber, kMediumDevice);
  }
  if (aoe || aoe_boot) {
    text += kStartAoe;
    if (aoe) text += aoe_disk(plan, kRootNumber, kSquashfs);
    if (aoe_boot) text += aoe_disk(plan, kMediumNumber, kMediumDevice);
  }
  if (needs(plan, RootKind::nfs, false)) text += start_nfs();
  return text;
}

}  // namespace rookery::vboot
