// The boot server's services and what starts them. DHCP, TFTP, DNS and router advertisements are dnsmasq's,
// HTTP is lighttpd's, the share is nbdkit's; all come from the image, and all are told here what to do.
//
// Firmware without a script language (PXE: option 93 says 0 for BIOS, 7 or 9 for UEFI, 16 for UEFI HTTP boot,
// RFC 4578 §2.1 and RFC 5970 §3.3) gets an address and no file yet: the image holds no iPXE. When it does,
// its files go to kPublicFolder and their `dhcp-boot` lines beside the one in boot_lines().
#include "vboot/roles/boot_server.h"

#include <fmt/format.h>

namespace rookery::vboot {
namespace {

// A unique local prefix (RFC 4193) for router advertisements, the same in every lab as the MAC addresses are:
// labs do not meet.
constexpr std::string_view kIpv6Prefix = "fd52:6f6f:6b65::";

std::string dhcp_lines(const LabPlan& plan) {
  const std::size_t leases = plan.machines.size() + plan.guests.size();
  return fmt::format(
      "# Addresses: the lab's machines by their MAC, everybody else from the pool, for good.\n"
      "dhcp-authoritative\n"
      "dhcp-range={},{},{},{},infinite\n"
      "dhcp-hostsfile={}/machines\n"
      "dhcp-lease-max={}\n"
      "dhcp-leasefile=/run/rookery/dnsmasq.leases\n"
      "# Offer at once; the ping before an offer takes a machine's first seconds (see no-ping in "
      "dnsmasq(8)).\n"
      "no-ping\n"
      "# No router: this network leads nowhere.\n"
      "dhcp-option=option:router\n",
      to_text(plan.guests.first), to_text(plan.guests.last), to_text(plan.subnet.netmask()),
      to_text(plan.subnet.broadcast()), kRoleFolder, leases);
}

std::string boot_lines(const MachinePlan& server) {
  return fmt::format(
      "# Network boot. iPXE and what speaks its language (option 77) get the script's URL, and are told not "
      "to\n"
      "# wait for a proxyDHCP server (option 175, sub-option 176). File name and server stay in their own "
      "fields,\n"
      "# where the simplest firmware looks.\n"
      "dhcp-no-override\n"
      "dhcp-userclass=set:ipxe,iPXE\n"
      "dhcp-boot=tag:ipxe,http://{0}/{1},,{0}\n"
      "dhcp-option-force=tag:ipxe,encap:175,176,1b\n"
      "enable-tftp\n"
      "tftp-root={2}\n"
      "tftp-max=1024\n",
      to_text(server.address), kBootScriptName, kPublicFolder);
}

std::string dnsmasq_conf(const LabPlan& plan, const MachinePlan& server) {
  std::string text = fmt::format(
      "# dnsmasq of the boot server of lab {0}; the start script adds the interface.\n"
      "user=nobody\n"
      "group=nogroup\n"
      "pid-file=/run/rookery/dnsmasq.pid\n"
      "log-facility=/run/rookery/dnsmasq.log\n"
      "quiet-dhcp\n"
      "quiet-dhcp6\n"
      "quiet-ra\n"
      "quiet-tftp\n"
      "bind-interfaces\n"
      "except-interface=lo\n"
      "\n"
      "# Names: the lab's own, and no others.\n"
      "port=53\n"
      "no-resolv\n"
      "no-hosts\n"
      "domain={1}\n"
      "local=/{1}/\n"
      "expand-hosts\n"
      "host-record={2},{2}.{1},{3}\n"
      "addn-hosts={4}/guests\n"
      "\n",
      plan.name, plan.domain, server.name, to_text(server.address), kRoleFolder);
  return text + dhcp_lines(plan) + "\n" + boot_lines(server);
}

// In a file of its own, for a kernel without IPv6 refuses it. Firmware waits for an advertisement that nobody
// else sends; this one offers no default route (lifetime 0) and no DHCPv6 to wait for.
std::string router_conf() {
  return fmt::format("enable-ra\ndhcp-range={},ra-only\nra-param=*,600,0\n", kIpv6Prefix);
}

// dhcp-hostsfile: MAC, address, name.
std::string machines(const LabPlan& plan) {
  std::string text;
  for (const MachinePlan& machine : plan.machines) {
    if (machine.boot != BootSource::network) continue;
    text += fmt::format("{},{},{}\n", to_text(machine.data_mac), to_text(machine.address), machine.name);
  }
  return text;
}

// A hosts file: dnsmasq gives a lease that has no name the one that its address has here.
std::string guests(const LabPlan& plan) {
  std::string text;
  for (std::uint32_t i = 0; i < plan.guests.size(); ++i) {
    text += fmt::format("{} guest-{}\n", to_text(plan.guests.first + i), i + 1);
  }
  return text;
}

std::string lighttpd_conf(const LabPlan& plan, const MachinePlan& server) {
  return fmt::format(
      "# lighttpd of the boot server of lab {}: the medium's components, and the boot script.\n"
      "server.modules = (\"mod_alias\", \"mod_staticfile\")\n"
      "server.compat-module-load = \"disable\"\n"
      "server.bind = \"{}\"\n"
      "server.port = 80\n"
      "server.document-root = \"{}\"\n"
      "alias.url = (\"/{}\" => \"{}/{}\")\n"
      "mimetype.assign = (\"\" => \"application/octet-stream\")\n"
      "server.username = \"nobody\"\n"
      "server.groupname = \"nogroup\"\n"
      "server.pid-file = \"/run/rookery/lighttpd.pid\"\n"
      "server.errorlog = \"/run/rookery/lighttpd.log\"\n"
      "# A thousand machines that boot at once: a connection and a file each.\n"
      "server.max-connections = 2048\n"
      "server.max-fds = 4608\n"
      "server.listen-backlog = 4096\n"
      "server.max-keep-alive-idle = 5\n"
      "server.network-backend = \"sendfile\"\n"
      "server.stat-cache-engine = \"simple\"\n",
      plan.name, to_text(server.address), kComponentFolder, kBootScriptName, kPublicFolder, kBootScriptName);
}

constexpr std::string_view kStartHead = R"(#!/bin/sh
# Starts the services of the boot server; made by the role boot-server. Each command returns when its service
# listens, so that the end of this script means that machines can boot. What is done by the shell itself is
# done so on purpose: a new process is dear in User-Mode Linux.
set -eu

fail() {
  echo "boot-server: $*" >&2
  exit 1
}
# A kernel without the setting keeps its own.
tune() {
  if [ -w "/proc/sys/$1" ]; then echo "$2" > "/proc/sys/$1" || :; fi
}
)";

constexpr std::string_view kStartTuning = R"(
# Many machines at once: neighbours, connections in the making, frames that wait for a service, open files.
for family in ipv4 ipv6; do
  tune net/$family/neigh/default/gc_thresh1 4096
  tune net/$family/neigh/default/gc_thresh2 8192
  tune net/$family/neigh/default/gc_thresh3 16384
done
tune net/core/somaxconn 4096
tune net/ipv4/tcp_max_syn_backlog 4096
tune net/core/netdev_max_backlog 4096
tune net/core/rmem_max 4194304
tune net/core/rmem_default 4194304
ulimit -n 8192 || fail "cannot open 8192 files"
)";

// The data NIC is known by its MAC: names follow the order of discovery, and a management NIC has one too.
std::string start_network(const LabPlan& plan, const MachinePlan& server) {
  return fmt::format(R"(
nic=
for folder in /sys/class/net/*; do
  [ -r "$folder/address" ] || continue
  read -r mac < "$folder/address" || continue
  if [ "$mac" = {0} ]; then nic=${{folder##*/}}; fi
done
[ -n "$nic" ] || fail "there is no network interface {0}"

tune kernel/hostname {1}
ra=
if [ -d "/proc/sys/net/ipv6/conf/$nic" ]; then
  # Nobody else can have these addresses: no second's wait for the answer. And no advice from ourselves.
  tune "net/ipv6/conf/$nic/accept_dad" 0
  tune "net/ipv6/conf/$nic/accept_ra" 0
  ip address add {5}1/64 dev "$nic" && ra={4}/router.conf
fi
ip address add {2}/{3} broadcast + dev "$nic" || fail "cannot give $nic the address {2}"
ip link set "$nic" up || fail "cannot set $nic up"
)",
                     to_text(server.data_mac), server.name, to_text(server.address), plan.subnet.prefix,
                     kRoleFolder, kIpv6Prefix);
}

// DHCP comes last: who has an answer finds everything else running. One thread serves a connection's requests
// in their order; with nbdkit's 16 to each connection a thousand machines would be 17,000 threads.
std::string start_services(const MachinePlan& server) {
  return fmt::format(R"(
nbdkit --readonly --threads=1 --ipaddr={0} --port={1} --exportname={2} --tls=off --log=null \
  --user=nobody --group=nogroup file {3}/root.squashfs || fail "nbdkit did not start"
# lighttpd opens its log as nobody.
umask 0
: > /run/rookery/lighttpd.log
umask 022
lighttpd -f {4}/lighttpd.conf || fail "lighttpd did not start"
dnsmasq --conf-file={4}/dnsmasq.conf ${{ra:+--conf-file="$ra"}} --interface="$nic" || fail "dnsmasq did not start"
)",
                     to_text(server.address), kNbdPort, kShareExport, kComponentFolder, kRoleFolder);
}

std::string start(const LabPlan& plan, const MachinePlan& server) {
  std::string text(kStartHead);
  text += start_network(plan, server);
  text += kStartTuning;
  return text + start_services(server);
}

}  // namespace

Result<std::vector<RoleFile>> boot_server_files(const LabPlan& plan, const MachinePlan& server,
                                                const ImageFacts& image) {
  auto script = boot_script(plan, image);
  if (!script) return tl::unexpected(script.error());
  auto path = [](std::string_view name) { return fmt::format("{}/{}", kRoleFolder.substr(1), name); };
  return std::vector<RoleFile>{
      {path("dnsmasq.conf"), 0644, dnsmasq_conf(plan, server)},
      {path("guests"), 0644, guests(plan)},
      {path("lighttpd.conf"), 0644, lighttpd_conf(plan, server)},
      {path("machines"), 0644, machines(plan)},
      {fmt::format("{}/{}", kPublicFolder.substr(1), kBootScriptName), 0644, std::move(*script)},
      {path("router.conf"), 0644, router_conf()},
      {path("start"), 0755, start(plan, server)},
  };
}

}  // namespace rookery::vboot
