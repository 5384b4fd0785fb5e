#include "vboot/supervisor/lab_network.h"

namespace rookery::vboot {
namespace {

netsim::SwitchRules with_storm_rules(netsim::SwitchRules rules, const StormRules& storm) {
  rules.dhcp_snooping = storm.dhcp_snooping;
  rules.arp_suppression = storm.arp_suppression;
  rules.mld_snooping = storm.mld_snooping;
  return rules;
}

netsim::VlanMembership every_vlan(const LabPlan& plan) {
  if (!plan.tagged) return netsim::VlanMembership::access(plan.vlans.front().id);
  netsim::VlanMembership trunk = netsim::VlanMembership::trunk({});
  for (const VlanPlan& vlan : plan.vlans) trunk.add_tagged(vlan.id);
  return trunk;
}

// Whether a machine is plugged into the switch, or into one whose uplinks lead to it.
bool is_below(const LabPlan& plan, const MachinePlan& machine, std::size_t top) {
  std::size_t at = machine.switch_index;
  while (at != top && plan.switches[at].uplink) at = *plan.switches[at].uplink;
  return at == top;
}

// The VLANs that the trunk above a switch carries: those that have machines at both of its ends. What is said
// to all of a VLAN goes no way at whose end nobody is in it.
netsim::VlanMembership trunk_vlans(const LabPlan& plan, std::size_t lower) {
  if (!plan.tagged) return every_vlan(plan);
  std::vector<bool> below(plan.vlans.size()), above(plan.vlans.size());
  for (const MachinePlan& machine : plan.machines) {
    auto& side = is_below(plan, machine, lower) ? below : above;
    if (machine.role == Role::boot_server) {
      side.assign(side.size(), true);
    } else {
      side[machine.vlan_index] = true;
    }
  }
  netsim::VlanMembership trunk = netsim::VlanMembership::trunk({});
  for (std::size_t i = 0; i < plan.vlans.size(); ++i) {
    if (below[i] && above[i]) trunk.add_tagged(plan.vlans[i].id);
  }
  return trunk;
}

}  // namespace

netsim::LinkRules cable_rules(const LinkRules& rules) {
  netsim::LinkRules cable;
  if (rules.rate) cable.rate = netsim::BitRate{rules.rate->bits_per_second};
  cable.delay = rules.delay;
  cable.queue = rules.queue;
  return cable;
}

LabNetwork::LabNetwork(EventLoop& loop, const LabPlan& plan, const netsim::SwitchRules& rules) {
  for (std::size_t i = 0; i < plan.switches.size(); ++i) {
    switches_.push_back(
        std::make_unique<netsim::Switch>(loop, with_storm_rules(rules, plan.switches[i].storm)));
  }
  for (std::size_t i = 0; i < plan.switches.size(); ++i) {
    if (plan.switches[i].uplink) connect(loop, plan, i);
  }
}

void LabNetwork::connect(EventLoop& loop, const LabPlan& plan, std::size_t lower) {
  const SwitchSpec& spec = plan.switches[lower];
  Trunk& trunk = trunks_.emplace_back(loop, cable_rules(spec.link));
  netsim::Switch& below = *switches_[lower];
  netsim::Switch& above = *switches_[*spec.uplink];
  netsim::SwitchPort& uplink = below.attach("uplink", trunk.up);
  netsim::SwitchPort& downlink = above.attach(spec.name, trunk.down);
  trunk.up.connect(downlink);
  trunk.down.connect(uplink);
  const netsim::VlanMembership vlans = trunk_vlans(plan, lower);
  below.set_vlans(uplink, vlans);
  above.set_vlans(downlink, vlans);
  // DHCP and router advertisements are taken from where the boot server is, and nowhere else.
  const bool served_from_below = is_below(plan, plan.boot_server(), lower);
  below.set_trusted(uplink, !served_from_below);
  above.set_trusted(downlink, served_from_below);
}

netsim::VlanMembership LabNetwork::vlans_of(const LabPlan& plan, const MachinePlan& machine) {
  if (machine.role == Role::boot_server) return every_vlan(plan);
  return netsim::VlanMembership::access(plan.vlans.at(machine.vlan_index).id);
}

}  // namespace rookery::vboot
