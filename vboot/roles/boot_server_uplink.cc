// What the boot server does on the network of an uplink that has a DHCP server of its own: it takes an
// address there, and tells machines that boot from the network what to boot, as a proxyDHCP server does (PXE
// specification 2.1 §2.2.3). It never gives an address. It is there by an interface of its own, in a VLAN
// that it shares with the wire alone, and with services of its own: what serves the lab does not know of that
// network.
#include <fmt/format.h>

#include "vboot/roles/boot_server.h"

namespace rookery::vboot {
namespace {

// Made by the script, when the address is known.
constexpr std::string_view kFolder = "/run/rookery/uplink";
constexpr std::string_view kAddress = "@ADDRESS@";

constexpr std::string_view kLeaseScript = R"(#!/bin/sh
# Called by udhcpc. The services are bound to the first address; a renewal keeps it.
[ "$1" != bound ] || [ -e {0}/address ] ||
  {{ ip address add "${{ip:?}}/${{mask:?}}" broadcast + dev uplink && echo "$ip" > {0}/address; }}
)";

std::string take_address(const UplinkPlan::Proxy& proxy) {
  if (!proxy.address.empty()) {
    return fmt::format(
        "ip address add {} broadcast + dev uplink || fail \"cannot give uplink its address\"\n"
        "echo {} > {}/address\n",
        proxy.address, proxy.address.substr(0, proxy.address.find('/')), kFolder);
  }
  return fmt::format(R"(# It stays, and renews the lease.
busybox udhcpc -i uplink -n -t 10 -T 2 -s {}/uplink-lease > {}/dhcp.log 2>&1 ||
  fail "no DHCP server there gave the boot server an address (asked 10 times in 20 s); --uplink-address states one"
)",
                     kRoleFolder, kFolder);
}

std::string script(const UplinkPlan& uplink) {
  return fmt::format(R"(#!/bin/sh
# Serves network boot on the network of the uplink; $1 is the data NIC. Made by the role boot-server.
set -eu
fail() {{
  echo "uplink: $*" >&2
  exit 1
}}
mkdir -p {0}
ip link add link "$1" name uplink address {1} type vlan id {2} || fail "cannot make its interface"
[ ! -w /proc/sys/net/ipv6/conf/uplink/disable_ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/uplink/disable_ipv6
ip link set uplink up || fail "cannot set its interface up"
{3}read -r address < {0}/address
sed "s/\${{next-server}}/$address/g" {4}/{5} > {0}/{5}
for conf in dnsmasq lighttpd; do sed "s/{6}/$address/g" {7}/uplink-$conf.conf > {0}/$conf.conf; done
nbdkit --readonly --threads=1 --ipaddr="$address" --port={8} --exportname={9} --tls=off --log=null \
  --user=nobody --group=nogroup file {10}/root.squashfs || fail "nbdkit did not start"
lighttpd -f {0}/lighttpd.conf || fail "lighttpd did not start"
dnsmasq --conf-file={0}/dnsmasq.conf || fail "dnsmasq did not start"
)",
                     kFolder, to_text(uplink.proxy->mac), *uplink.vlan, take_address(*uplink.proxy),
                     kPublicFolder, kBootScriptName, kAddress, kRoleFolder, kNbdPort, kShareExport,
                     kComponentFolder);
}

// pxe-service knows architecture 0 as x86PC, 7 as BC_EFI and 9 as X86-64_EFI. With one service for it, a
// machine has no menu to wait at.
std::string dnsmasq_conf(const LabPlan& plan) {
  return fmt::format(
      "# dnsmasq of the boot server of lab {0} on the network of its uplink: network boot, and no "
      "addresses.\n"
      "user=nobody\n"
      "group=nogroup\n"
      "pid-file=/run/rookery/uplink.pid\n"
      "log-facility=/run/rookery/uplink.log\n"
      "dhcp-leasefile={1}/leases\n"
      "port=0\n"
      "bind-interfaces\n"
      "interface=uplink\n"
      "except-interface=lo\n"
      "dhcp-range={2},proxy\n"
      "dhcp-no-override\n"
      "dhcp-userclass=set:ipxe,iPXE\n"
      "dhcp-boot=tag:ipxe,http://{2}/{3},,{2}\n"
      "pxe-service=tag:!ipxe,x86PC,Rookery,{4},{2}\n"
      "pxe-service=tag:!ipxe,BC_EFI,Rookery,{5},{2}\n"
      "pxe-service=tag:!ipxe,X86-64_EFI,Rookery,{5},{2}\n"
      "enable-tftp\n"
      "tftp-root={6}\n"
      "tftp-max=1024\n",
      plan.name, kFolder, kAddress, kBootScriptName, kIpxeForBios, kIpxeForUefi, kPublicFolder);
}

std::string lighttpd_conf(const LabPlan& plan) {
  return fmt::format(
      "# lighttpd of the boot server of lab {0} on the network of its uplink.\n"
      "server.modules = (\"mod_alias\", \"mod_staticfile\")\n"
      "server.compat-module-load = \"disable\"\n"
      "server.bind = \"{1}\"\n"
      "server.port = 80\n"
      "server.document-root = \"{2}\"\n"
      "alias.url = (\"/{3}\" => \"{4}/{3}\")\n"
      "mimetype.assign = (\"\" => \"application/octet-stream\")\n"
      "server.username = \"nobody\"\n"
      "server.groupname = \"nogroup\"\n"
      "server.pid-file = \"/run/rookery/uplink-lighttpd.pid\"\n"
      "server.errorlog = \"/run/rookery/lighttpd.log\"\n"
      "server.network-backend = \"sendfile\"\n",
      plan.name, kAddress, kComponentFolder, kBootScriptName, kFolder);
}

}  // namespace

std::vector<RoleFile> uplink_files(const LabPlan& plan) {
  if (!plan.uplink || !plan.uplink->proxy) return {};
  const auto path = [](std::string_view name) { return fmt::format("{}/{}", kRoleFolder.substr(1), name); };
  return {
      {path("uplink"), 0755, script(*plan.uplink)},
      {path("uplink-dnsmasq.conf"), 0644, dnsmasq_conf(plan)},
      {path("uplink-lease"), 0755, fmt::format(kLeaseScript, kFolder)},
      {path("uplink-lighttpd.conf"), 0644, lighttpd_conf(plan)},
  };
}

}  // namespace rookery::vboot
