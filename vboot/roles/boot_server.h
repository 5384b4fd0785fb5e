// The parts of the role `boot-server`, each a pure text of the plan: the services of the machine that all
// others boot from. What listens where, and where it finds its files, is settled here and nowhere else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vboot/lab/lab_plan.h"
#include "vboot/roles/roles.h"

namespace rookery::vboot {

inline constexpr std::string_view kRoleFolder = "/run/rookery/role";
// What anybody on the network may fetch, by TFTP or HTTP.
inline constexpr std::string_view kPublicFolder = "/run/rookery/role/public";
// The image's iPXE, of Debian's package: for a BIOS whose NIC has no iPXE itself, and for any UEFI.
inline constexpr std::string_view kIpxeFolder = "/usr/lib/ipxe";
inline constexpr std::string_view kIpxeForBios = "undionly.kpxe";
inline constexpr std::string_view kIpxeForUefi = "snponly.efi";
// Where stage two has mounted the medium; its components lie here.
inline constexpr std::string_view kComponentFolder = "/run/rookery/medium/rookery";
// Keys and certificate, once /usr/lib/rookery/secure has been run.
inline constexpr std::string_view kSecureFolder = "/run/rookery/secure";
inline constexpr std::string_view kBootScriptName = "boot.ipxe";
inline constexpr unsigned kNbdPort = 10809;                        // IANA: nbd
inline constexpr std::string_view kShareExport = "root.squashfs";  // a component, as layers are

// A way to boot that has a script of its own, boot-<tag>.ipxe, and a DHCP tag (boot_server_san.cc).
struct BootWay {
  RootKind root;
  bool san_boot;
  std::string_view tag;
  Changes changes = Changes::memory;
};

// The one boot script of all machines that reach their root in one way (boot_script.cc).
Result<std::string> boot_script(const LabPlan& plan, const ImageFacts& image, const BootWay& way);

// Those that machines of the plan need; a machine's own tag, empty for boot.ipxe.
std::vector<BootWay> boot_ways(const LabPlan& plan);
std::string_view boot_tag(const MachinePlan& machine);
std::string san_boot_script(const LabPlan& plan, RootKind root);
// Where the root is, as a script says it to the kernel; and where changes go, if not into memory.
std::string share_url(const LabPlan& plan, RootKind root);
std::string changes_words(const LabPlan& plan, Changes changes);
// The part of the start program that starts what these need.
std::string start_san(const LabPlan& plan);

// Its start program (boot_server_start.cc).
std::string boot_server_start(const LabPlan& plan, const MachinePlan& server);
// What it does for HTTPS when asked, and its second lighttpd's configuration (boot_server_secure.cc).
std::string boot_server_secure(const LabPlan& plan, const MachinePlan& server);
std::string secure_conf(const LabPlan& plan);
// What it does on the network of an uplink that has a DHCP server of its own; no files for any other plan
// (boot_server_uplink.cc).
std::vector<RoleFile> uplink_files(const LabPlan& plan);
// The prefix of its router advertisements in a VLAN, and its interface in one, where its port is tagged.
std::string ipv6_prefix(const LabPlan& plan, const VlanPlan& vlan);
std::string vlan_interface(const VlanPlan& vlan);

// All files of the role, in the order of their paths (boot_server.cc).
Result<std::vector<RoleFile>> boot_server_files(const LabPlan& plan, const MachinePlan& server,
                                                const ImageFacts& image);

}  // namespace rookery::vboot
