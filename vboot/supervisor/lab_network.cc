#include "vboot/supervisor/lab_network.h"

namespace rookery::vboot {
namespace {

netsim::VlanMembership every_vlan(const LabPlan& plan) {
  if (!plan.tagged) return netsim::VlanMembership::access(plan.vlans.front().id);
  netsim::VlanMembership trunk = netsim::VlanMembership::trunk({});
  for (const VlanPlan& vlan : plan.vlans) trunk.add_tagged(vlan.id);
  return trunk;
}

// Whether the boot server is plugged into the switch, or into one whose uplinks lead to it.
bool serves_from_below(const LabPlan& plan, std::size_t top) {
  std::size_t at = plan.boot_server().switch_index;
  while (at != top && plan.switches[at].uplink) at = *plan.switches[at].uplink;
  return at == top;
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
    switches_.push_back(std::make_unique<netsim::Switch>(loop, rules));
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
  // The boot server may be at either end; a rogue one is refused at its own port.
  below.set_trusted(uplink, true);
  above.set_trusted(downlink, true);
  trunk.up.connect(downlink);
  trunk.down.connect(uplink);
  below.set_vlans(uplink, every_vlan(plan));
  above.set_vlans(downlink, every_vlan(plan));
  // DHCP and router advertisements are taken from where the boot server is, and nowhere else.
  const bool served_from_below = serves_from_below(plan, lower);
  below.set_trusted(uplink, !served_from_below);
  above.set_trusted(downlink, served_from_below);
}

netsim::VlanMembership LabNetwork::vlans_of(const LabPlan& plan, const MachinePlan& machine) {
  if (machine.role == Role::boot_server) return every_vlan(plan);
  return netsim::VlanMembership::access(plan.vlans.at(machine.vlan_index).id);
}

}  // namespace rookery::vboot
