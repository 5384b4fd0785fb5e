#include "vboot/lab/uplink.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace rookery::vboot {
namespace {

constexpr std::uint16_t kLastVlan = 4094;  // IEEE 802.1Q-2018 table 9-2

Status check_address(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view prefix = slash == std::string_view::npos ? "" : text.substr(slash + 1);
  unsigned bits = 0;
  const auto read = std::from_chars(prefix.data(), prefix.data() + prefix.size(), bits);
  const bool good = !prefix.empty() && read.ec == std::errc() && read.ptr == prefix.data() + prefix.size() &&
                    bits >= 8 && bits <= 30 && parse_ipv4(text.substr(0, slash)).has_value();
  if (good) return {};
  return fail(
      ErrorKind::usage,
      fmt::format("--uplink-address: expected an address and its network's prefix, like 192.168.7.2/24, "
                  "found '{}'",
                  text));
}

// That no VLAN of the lab has.
std::uint16_t free_vlan(const LabPlan& lab) {
  std::uint16_t id = kLastVlan;
  while (std::any_of(lab.vlans.begin(), lab.vlans.end(), [&](const VlanPlan& vlan) { return vlan.id == id; }))
    --id;
  return id;
}

// Of the boot server on that network: made from the NIC's, so that no two hosts have the same. Locally
// administered (IEEE 802-2014 §8.2), and never the NIC's own, which may be so too.
MacBytes mac_beside(MacBytes nic) {
  nic[0] = static_cast<std::uint8_t>((nic[0] | 0x02) ^ 0x10);
  return nic;
}

}  // namespace

Result<UplinkPlan> plan_uplink(const LabPlan& lab, const UplinkRequest& request, const MacBytes& nic) {
  UplinkPlan uplink;
  uplink.interface = request.interface;
  uplink.switch_index = lab.boot_server().switch_index;
  if (request.mode == "proxy") {
    if (!request.vlan.empty())
      return fail(ErrorKind::usage,
                  "--uplink-vlan goes with --uplink-mode dhcp: in the mode proxy the wire is in "
                  "none of the lab's networks");
    if (!request.address.empty()) ROOKERY_TRY(check_address(request.address));
    uplink.vlan = free_vlan(lab);
    uplink.proxy = UplinkPlan::Proxy{mac_beside(nic), request.address};
    return uplink;
  }
  if (request.mode != "dhcp")
    return fail(ErrorKind::usage, fmt::format("--uplink-mode knows dhcp and proxy, not '{}'", request.mode));
  if (!request.address.empty())
    return fail(ErrorKind::usage,
                "--uplink-address goes with --uplink-mode proxy: otherwise the boot server has the "
                "lab's first address");
  // Without it, what the lab's machines ask DHCP would reach that network, and its DHCP servers them.
  const SwitchSpec& at = lab.switches[uplink.switch_index];
  if (!at.storm.dhcp_snooping)
    return fail(ErrorKind::usage,
                fmt::format("--uplink needs dhcp_snooping at the boot server's switch{}: it keeps "
                            "the lab's DHCP and that of {} apart",
                            at.name.empty() ? "" : " '" + at.name + "'", request.interface));
  if (!lab.tagged) {
    if (!request.vlan.empty()) return fail(ErrorKind::usage, "--uplink-vlan: this lab has no VLANs");
    uplink.vlan = lab.vlans.front().id;
    return uplink;
  }
  if (request.vlan.empty()) return uplink;
  std::string names;
  for (const VlanPlan& vlan : lab.vlans) {
    if (vlan.name == request.vlan) uplink.vlan = vlan.id;
    names += (names.empty() ? "" : ", ") + vlan.name;
  }
  if (!uplink.vlan)
    return fail(ErrorKind::usage,
                fmt::format("--uplink-vlan: the lab has no VLAN '{}'; it has: {}", request.vlan, names));
  return uplink;
}

}  // namespace rookery::vboot
