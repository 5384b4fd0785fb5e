// The boot server's services and what starts them. DHCP, TFTP, DNS and router advertisements are dnsmasq's,
// HTTP is lighttpd's, the share is nbdkit's; all come from the image, and all are told here what to do.
//
// Firmware without a script language (option 93 says 0 for BIOS, 7 or 9 for UEFI, 16 for UEFI HTTP boot: RFC
// 4578 §2.1 and IANA's registry of processor architecture types) gets the image's iPXE first, which asks
// again and says what it is.
#include "vboot/roles/boot_server.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::vboot {
namespace {

std::string dhcp_lines(const LabPlan& plan) {
  std::size_t leases = plan.machines.size();
  std::string ranges;
  for (const VlanPlan& vlan : plan.vlans) {
    leases += vlan.guests.size();
    ranges += fmt::format("dhcp-range={}{},{},{},{},infinite\n",
                          plan.tagged ? "set:" + vlan_interface(vlan) + "," : "", to_text(vlan.guests.first),
                          to_text(vlan.guests.last), to_text(vlan.subnet.netmask()),
                          to_text(vlan.subnet.broadcast()));
  }
  return fmt::format(
      "# Addresses: the lab's machines by their MAC, everybody else from the pool, for good.\n"
      "dhcp-authoritative\n"
      "{}"
      "dhcp-hostsfile={}/machines\n"
      "dhcp-lease-max={}\n"
      "dhcp-leasefile=/run/rookery/dnsmasq.leases\n"
      "# Offer at once; the ping before an offer takes a machine's first seconds (see no-ping in "
      "dnsmasq(8)).\n"
      "no-ping\n"
      "# No router: this network leads nowhere.\n"
      "dhcp-option=option:router\n",
      ranges, kRoleFolder, leases);
}

std::string script_name(std::string_view tag) {
  return tag.empty() ? std::string(kBootScriptName) : fmt::format("boot-{}.ipxe", tag);
}

std::string boot_lines(const LabPlan& plan) {
  std::string scripts, others;
  const std::vector<BootWay> ways = boot_ways(plan);
  for (const BootWay& way : ways) others += fmt::format("tag:!{},", way.tag);
  for (const VlanPlan& vlan : plan.vlans) {
    const std::string in_vlan = plan.tagged ? "tag:" + vlan_interface(vlan) + "," : "";
    for (const BootWay& way : ways) {
      scripts += fmt::format("dhcp-boot={0}tag:ipxe,tag:{2},http://{1}/{3},,{1}\n", in_vlan,
                             to_text(vlan.server), way.tag, script_name(way.tag));
    }
    scripts += fmt::format(
        "dhcp-boot={0}tag:ipxe,{5}http://{1}/{2},,{1}\n"
        "dhcp-boot={0}tag:!ipxe,tag:bios,{3},,{1}\n"
        "dhcp-boot={0}tag:!ipxe,tag:uefi,{4},,{1}\n"
        "dhcp-boot={0}tag:!ipxe,tag:uefi-http,http://{1}/{4},,{1}\n",
        in_vlan, to_text(vlan.server), kBootScriptName, kIpxeForBios, kIpxeForUefi, others);
  }
  return fmt::format(
      "# Network boot. iPXE and what speaks its language (option 77) get the script's URL, and are told not "
      "to\n"
      "# wait for a proxyDHCP server (option 175, sub-option 176). File name and server stay in their own "
      "fields,\n"
      "# where the simplest firmware looks.\n"
      "dhcp-no-override\n"
      "dhcp-userclass=set:ipxe,iPXE\n"
      "# Others get an iPXE for their architecture (option 93); UEFI's HTTP boot wants its own words back.\n"
      "dhcp-match=set:bios,option:client-arch,0\n"
      "dhcp-match=set:uefi,option:client-arch,7\n"
      "dhcp-match=set:uefi,option:client-arch,9\n"
      "dhcp-match=set:uefi-http,option:client-arch,16\n"
      "dhcp-option-force=tag:uefi-http,60,HTTPClient\n"
      "{}"
      "dhcp-option-force=tag:ipxe,encap:175,176,1b\n"
      "enable-tftp\n"
      "tftp-root={}\n"
      "tftp-max=1024\n",
      scripts, kPublicFolder);
}

// The server's own name: an address in each VLAN, of which everybody is told that of their own.
std::string server_name_lines(const LabPlan& plan, const MachinePlan& server) {
  if (plan.tagged) return "localise-queries\n";  // its names stand with all others
  return fmt::format("host-record={0},{0}.{1},{2}\n", server.name, plan.domain, to_text(server.address));
}

std::string interface_lines(const LabPlan& plan) {
  std::string lines;
  if (!plan.tagged) return lines;
  for (const VlanPlan& vlan : plan.vlans) lines += fmt::format("interface={}\n", vlan_interface(vlan));
  return lines;
}

std::string dnsmasq_conf(const LabPlan& plan, const MachinePlan& server) {
  std::string text = fmt::format(
      "# dnsmasq of the boot server of lab {0}{1}.\n"
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
      "{2}"
      "\n"
      "# Names: the lab's own, and no others.\n"
      "port=53\n"
      "no-resolv\n"
      "no-hosts\n"
      "domain={3}\n"
      "local=/{3}/\n"
      "expand-hosts\n"
      "{4}"
      "addn-hosts={5}/names\n"
      "\n",
      plan.name, plan.tagged ? "" : "; the start script adds the interface", interface_lines(plan),
      plan.domain, server_name_lines(plan, server), kRoleFolder);
  return text + dhcp_lines(plan) + "\n" + boot_lines(plan);
}

// In a file of its own, for a kernel without IPv6 refuses it. Firmware waits for an advertisement that nobody
// else sends; this one offers no default route (lifetime 0) and no DHCPv6 to wait for.
std::string router_conf(const LabPlan& plan) {
  std::string ranges;
  for (const VlanPlan& vlan : plan.vlans)
    ranges += fmt::format("dhcp-range={},ra-only\n", ipv6_prefix(plan, vlan));
  return fmt::format("enable-ra\n{}ra-param=*,600,0\n", ranges);
}

// dhcp-hostsfile: MAC, tag of the way it boots, address, name.
std::string machines(const LabPlan& plan) {
  std::string text;
  for (const MachinePlan& machine : plan.machines) {
    if (machine.boot != BootSource::network) continue;
    const std::string_view tag = boot_tag(machine);
    text +=
        fmt::format("{},{}{},{}\n", to_text(machine.data_mac), tag.empty() ? "" : fmt::format("set:{},", tag),
                    to_text(machine.address), machine.name);
  }
  return text;
}

// A hosts file: the lab's machines have their names whether they have a lease or a power cut took it, and
// dnsmasq gives a lease that has no name the one that its address has here.
std::string names(const LabPlan& plan, const MachinePlan& server) {
  std::string text;
  for (const VlanPlan& vlan : plan.vlans) {
    if (plan.tagged) text += fmt::format("{} {}\n", to_text(vlan.server), server.name);
  }
  for (const MachinePlan& machine : plan.machines) {
    if (machine.boot == BootSource::network)
      text += fmt::format("{} {}\n", to_text(machine.address), machine.name);
  }
  std::uint32_t number = 0;
  for (const VlanPlan& vlan : plan.vlans) {
    for (std::uint32_t i = 0; i < vlan.guests.size(); ++i) {
      text += fmt::format("{} guest-{}\n", to_text(vlan.guests.first + i), ++number);
    }
  }
  return text;
}

std::string lighttpd_conf(const LabPlan& plan) {
  std::string scripts;
  for (const BootWay& way : boot_ways(plan)) {
    scripts += fmt::format("             \"/{0}\" => \"{1}/{0}\",\n", script_name(way.tag), kPublicFolder);
  }
  std::string other_addresses;
  for (std::size_t i = 1; i < plan.vlans.size(); ++i) {
    other_addresses += fmt::format("$SERVER[\"socket\"] == \"{}:80\" {{ }}\n", to_text(plan.vlans[i].server));
  }
  return fmt::format(
      "# lighttpd of the boot server of lab {}: the medium's components, and the boot script.\n"
      "server.modules = (\"mod_alias\", \"mod_staticfile\")\n"
      "server.compat-module-load = \"disable\"\n"
      "server.bind = \"{}\"\n"
      "server.port = 80\n"
      "server.document-root = \"{}\"\n"
      "alias.url = (\"/{}\" => \"{}/{}\",\n"
      "{}"
      "             \"/{}\" => \"{}/{}\",\n"
      "             \"/cert.pem\" => \"{}/served/cert.pem\")\n"
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
      "server.stat-cache-engine = \"simple\"\n"
      "{}",
      plan.name, to_text(plan.vlans.front().server), kComponentFolder, kBootScriptName, kPublicFolder,
      kBootScriptName, scripts, kIpxeForUefi, kIpxeFolder, kIpxeForUefi, kSecureFolder, other_addresses);
}

}  // namespace

Result<std::vector<RoleFile>> boot_server_files(const LabPlan& plan, const MachinePlan& server,
                                                const ImageFacts& image) {
  auto path = [](std::string_view name) { return fmt::format("{}/{}", kRoleFolder.substr(1), name); };
  std::vector<RoleFile> files{
      {path("dnsmasq.conf"), 0644, dnsmasq_conf(plan, server)},
      {path("names"), 0644, names(plan, server)},
      {path("lighttpd.conf"), 0644, lighttpd_conf(plan)},
      {path("machines"), 0644, machines(plan)},
  };
  std::vector<BootWay> ways = boot_ways(plan);
  ways.push_back({RootKind::nbd, false, ""});
  std::sort(ways.begin(), ways.end(),
            [](const BootWay& a, const BootWay& b) { return script_name(a.tag) < script_name(b.tag); });
  for (const BootWay& way : ways) {
    auto script = way.san_boot ? san_boot_script(plan, way.root) : boot_script(plan, image, way);
    if (!script) return tl::unexpected(script.error());
    files.push_back({path("public/" + script_name(way.tag)), 0644, std::move(*script)});
  }
  files.insert(files.end(), {{path("router.conf"), 0644, router_conf(plan)},
                             {path("secure"), 0755, boot_server_secure(plan, server)},
                             {path("secure.conf"), 0644, secure_conf(plan)},
                             {path("start"), 0755, boot_server_start(plan, server)}});
  for (RoleFile& file : uplink_files(plan)) files.push_back(std::move(file));
  return files;
}

}  // namespace rookery::vboot
