// The boot server's start program: a shell script that makes its network and starts its services.
#include <fmt/format.h>

#include "vboot/roles/boot_server.h"

namespace rookery::vboot {
namespace {

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
std::string find_nic(const MachinePlan& server) {
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
)",
                     to_text(server.data_mac), server.name);
}

std::string start_untagged(const LabPlan& plan, const MachinePlan& server) {
  const VlanPlan& vlan = plan.vlans.front();
  return fmt::format(R"(if [ -d "/proc/sys/net/ipv6/conf/$nic" ]; then
  # Nobody else can have these addresses: no second's wait for the answer. And no advice from ourselves.
  tune "net/ipv6/conf/$nic/accept_dad" 0
  tune "net/ipv6/conf/$nic/accept_ra" 0
  ip address add {3}1/64 dev "$nic" && ra={2}/router.conf
fi
ip address add {0}/{1} broadcast + dev "$nic" || fail "cannot give $nic the address {0}"
ip link set "$nic" up || fail "cannot set $nic up"
)",
                     to_text(server.address), vlan.subnet.prefix, kRoleFolder, ipv6_prefix(plan, vlan));
}

// The data NIC is a tagged port: an interface for each VLAN, and nothing on the NIC itself.
std::string start_tagged(const LabPlan& plan) {
  std::string links, addresses, names;
  for (const VlanPlan& vlan : plan.vlans) {
    const std::string name = vlan_interface(vlan);
    links += fmt::format("link add link $nic name {} type vlan id {}\n", name, vlan.id);
    links +=
        fmt::format("address add {}/{} broadcast + dev {}\n", to_text(vlan.server), vlan.subnet.prefix, name);
    addresses += fmt::format("address add {}1/64 dev {}\n", ipv6_prefix(plan, vlan), name);
    names += " " + name;
  }
  return fmt::format(R"(
# Who asks in one VLAN for an address of another gets no answer: they have nothing to do with each other.
tune net/ipv4/conf/all/arp_ignore 1
ip link set "$nic" up || fail "cannot set $nic up"
ip -batch - << VLANS || fail "cannot make the VLANs' interfaces on $nic"
{0}VLANS
if [ -d /proc/sys/net/ipv6/conf/all ]; then
  for vlan in{2}; do
    # Nobody else can have these addresses: no second's wait for the answer. And no advice from ourselves.
    tune "net/ipv6/conf/$vlan/accept_dad" 0
    tune "net/ipv6/conf/$vlan/accept_ra" 0
  done
  ip -batch - << VLANS && ra={3}/router.conf
{1}VLANS
fi
for vlan in{2}; do ip link set "$vlan" up || fail "cannot set $vlan up"; done
)",
                     links, addresses, names, kRoleFolder);
}

// DHCP comes last: who has an answer finds everything else running. One thread serves a connection's requests
// in their order; with nbdkit's 16 to each connection a thousand machines would be 17,000 threads.
std::string start_services(const LabPlan& plan, const MachinePlan& server) {
  return fmt::format(R"(
nbdkit --readonly --threads=1 --ipaddr={0} --port={1} --exportname={2} --tls=off --log=null \
  --user=nobody --group=nogroup file dir={3} || fail "nbdkit did not start"
# lighttpd opens its log as nobody.
umask 0
: > /run/rookery/lighttpd.log
umask 022
lighttpd -f {4}/lighttpd.conf || fail "lighttpd did not start"
# By TFTP, to firmware without one of its own.
ln -s {6}/{7} {6}/{8} {9}/ || fail "cannot serve iPXE"
dnsmasq --conf-file={4}/dnsmasq.conf ${{ra:+--conf-file="$ra"}}{5} || fail "dnsmasq did not start"
)",
                     plan.tagged ? "0.0.0.0" : to_text(server.address), kNbdPort, kShareExport,
                     kComponentFolder, kRoleFolder, plan.tagged ? "" : " --interface=\"$nic\"", kIpxeFolder,
                     kIpxeForBios, kIpxeForUefi, kPublicFolder);
}

}  // namespace

// A unique local prefix (RFC 4193) for router advertisements, the same in every lab as the MAC addresses are:
// labs do not meet. A VLAN's has its number, as it is written, for its subnet.
std::string ipv6_prefix(const LabPlan& plan, const VlanPlan& vlan) {
  return plan.tagged ? fmt::format("fd52:6f6f:6b65:{}::", vlan.id) : "fd52:6f6f:6b65::";
}

// The server's interface in a VLAN, and what dnsmasq calls the requests that come by it.
std::string vlan_interface(const VlanPlan& vlan) {
  return fmt::format("vlan{}", vlan.id);
}

std::string boot_server_start(const LabPlan& plan, const MachinePlan& server) {
  std::string text(kStartHead);
  text += find_nic(server);
  text += plan.tagged ? start_tagged(plan) : start_untagged(plan, server);
  text += kStartTuning;
  text += start_san(plan) + start_services(plan, server);
  // What it says itself is the reason.
  if (plan.uplink && plan.uplink->proxy) text += fmt::format("{}/uplink \"$nic\"\n", kRoleFolder);
  return text;
}

}  // namespace rookery::vboot
