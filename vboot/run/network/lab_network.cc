#include "vboot/run/network/lab_network.h"

#include "vboot/run/network/spanning_tree.h"

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

}  // namespace

netsim::LinkRules cable_rules(const LinkRules& rules) {
  netsim::LinkRules cable;
  if (rules.rate) cable.rate = netsim::BitRate{rules.rate->bits_per_second};
  cable.delay = rules.delay;
  cable.queue = rules.queue;
  return cable;
}

LabNetwork::LabNetwork(EventLoop& loop, const LabPlan& plan, const netsim::SwitchRules& rules)
    : loop_(loop), plan_(plan) {
  for (const SwitchSpec& spec : plan.switches) {
    switches_.push_back(std::make_unique<netsim::Switch>(loop, with_storm_rules(rules, spec.storm)));
  }
  for (std::size_t i = 0; i < plan.switches.size(); ++i) {
    for (const std::size_t upper : plan.switches[i].uplinks) connect(i, upper);
  }
  converge();
}

void LabNetwork::connect(std::size_t lower, std::size_t upper) {
  const SwitchSpec& spec = plan_.switches[lower];
  const std::string& above = plan_.switches[upper].name;
  Trunk& trunk = trunks_.emplace_back(loop_, cable_rules(spec.link));
  trunk.name = spec.name + ":" + above;
  trunk.lower = lower;
  trunk.upper = upper;
  trunk.lower_port =
      &switches_[lower]->attach(spec.uplinks.size() == 1 ? "uplink" : "uplink " + above, trunk.up_faults);
  trunk.upper_port = &switches_[upper]->attach(spec.name, trunk.down_faults);
  trunk.up_faults.connect(trunk.up);
  trunk.down_faults.connect(trunk.down);
  trunk.up.connect(*trunk.upper_port);
  trunk.down.connect(*trunk.lower_port);
}

std::vector<Cable> LabNetwork::trunks() {
  std::vector<Cable> cables;
  for (Trunk& trunk : trunks_) {
    Cable& cable = cables.emplace_back();
    cable.name = trunk.name;
    cable.ends = {trunk.lower, trunk.upper};
    cable.up = &trunk.up_faults;
    cable.down = &trunk.down_faults;
    cable.up_link = &trunk.up;
    cable.down_link = &trunk.down;
    cable.plug = [this, &trunk](bool plugged) { plug(trunk, plugged); };
  }
  return cables;
}

std::vector<std::string> LabNetwork::in_use() const {
  std::vector<std::string> names;
  for (const Trunk& trunk : trunks_) {
    if (trunk.used && trunk.plugged) names.push_back(trunk.name);
  }
  return names;
}

void LabNetwork::plug(Trunk& trunk, bool plugged) {
  trunk.plugged = plugged;
  if (plugged) block(trunk, true);  // it is in no tree yet
  switches_[trunk.lower]->set_link(*trunk.lower_port, plugged);
  switches_[trunk.upper]->set_link(*trunk.upper_port, plugged);
  if (!converge_) converge_ = loop_.after(kConvergence, [this] { converge(); });
}

void LabNetwork::block(Trunk& trunk, bool blocked) {
  switches_[trunk.lower]->set_blocked(*trunk.lower_port, blocked);
  switches_[trunk.upper]->set_blocked(*trunk.upper_port, blocked);
}

// First all that leave the tree are blocked, then those that are new in it forward: it is never a loop.
void LabNetwork::converge() {
  const bool is_first = !converge_;
  converge_ = {};
  std::vector<TrunkEnds> ends;
  for (const Trunk& trunk : trunks_)
    ends.push_back({trunk.lower, trunk.upper, plan_.switches[trunk.lower].link.rate, trunk.plugged});
  const std::vector<bool> used = spanning_tree(switches_.size(), ends);
  for (std::size_t i = 0; i < trunks_.size(); ++i) {
    trunks_[i].used = used[i];
    if (!used[i]) block(trunks_[i], true);
  }
  use_tree();
  for (Trunk& trunk : trunks_) {
    if (trunk.used) block(trunk, false);
    if (is_first) continue;
    switches_[trunk.lower]->hear_all_groups(*trunk.lower_port);
    switches_[trunk.upper]->hear_all_groups(*trunk.upper_port);
  }
  if (is_first) return;
  for (const auto& one : switches_) one->forget_places();
}

// Seen from the boot server's switch, each trunk of the tree has a far end. What lies behind it decides which
// VLANs the trunk carries: what is said to all of a VLAN goes no way at whose end nobody is in it. And DHCP
// and router advertisements are taken from the near end, and nowhere else.
void LabNetwork::use_tree() {
  struct Step {
    Trunk* trunk;
    std::size_t near, far;
  };
  std::vector<bool> reached(switches_.size());
  std::vector<std::size_t> ways{plan_.boot_server().switch_index};
  std::vector<Step> steps;  // from the boot server outwards
  reached[ways.front()] = true;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    for (Trunk& trunk : trunks_) {
      if (!trunk.used || (trunk.lower != ways[i] && trunk.upper != ways[i])) continue;
      const std::size_t far = trunk.lower == ways[i] ? trunk.upper : trunk.lower;
      if (reached[far]) continue;
      reached[far] = true;
      ways.push_back(far);
      steps.push_back({&trunk, ways[i], far});
    }
  }
  std::vector<std::vector<bool>> behind(switches_.size(), std::vector<bool>(plan_.vlans.size()));
  for (const MachinePlan& machine : plan_.machines) behind[machine.switch_index][machine.vlan_index] = true;
  for (Trunk& trunk : trunks_) {  // those that the boot server is not to be reached by
    switches_[trunk.lower]->set_trusted(*trunk.lower_port, false);
    switches_[trunk.upper]->set_trusted(*trunk.upper_port, false);
    switches_[trunk.lower]->set_vlans(*trunk.lower_port, every_vlan(plan_));
    switches_[trunk.upper]->set_vlans(*trunk.upper_port, every_vlan(plan_));
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {  // from the ends inwards
    Trunk& trunk = *step->trunk;
    const bool far_is_lower = trunk.lower == step->far;
    switches_[step->far]->set_trusted(far_is_lower ? *trunk.lower_port : *trunk.upper_port, true);
    for (std::size_t i = 0; i < plan_.vlans.size(); ++i) {
      if (behind[step->far][i]) behind[step->near][i] = true;
    }
    if (!plan_.tagged) continue;
    netsim::VlanMembership vlans = netsim::VlanMembership::trunk({});
    for (std::size_t i = 0; i < plan_.vlans.size(); ++i) {
      if (behind[step->far][i]) vlans.add_tagged(plan_.vlans[i].id);
    }
    switches_[trunk.lower]->set_vlans(*trunk.lower_port, vlans);
    switches_[trunk.upper]->set_vlans(*trunk.upper_port, vlans);
  }
}

netsim::VlanMembership LabNetwork::vlans_of(const LabPlan& plan, const MachinePlan& machine) {
  if (!serves_boot(machine.roles))
    return netsim::VlanMembership::access(plan.vlans.at(machine.vlan_index).id);
  netsim::VlanMembership all = every_vlan(plan);
  if (plan.uplink && plan.uplink->proxy) all.add_tagged(*plan.uplink->vlan);
  return all;
}

netsim::VlanMembership LabNetwork::vlans_of(const LabPlan& plan, const UplinkPlan& uplink) {
  return uplink.vlan ? netsim::VlanMembership::access(*uplink.vlan) : every_vlan(plan);
}

}  // namespace rookery::vboot
