// The switches of a running lab and the trunks between them. Owned by the RunningLab; it outlives the
// machines that are plugged in and is outlived by the loop.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/event_loop.h"
#include "netsim/link.h"
#include "netsim/switch.h"
#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

// A cable's rules in the network's own terms.
netsim::LinkRules cable_rules(const LinkRules& rules);

class LabNetwork {
 public:
  // `rules`: of every switch, but for what its plan says against broadcast storms.
  LabNetwork(EventLoop& loop, const LabPlan& plan, const netsim::SwitchRules& rules);

  netsim::Switch& switch_of(const MachinePlan& machine) { return *switches_[machine.switch_index]; }
  // How a machine's port sees the VLANs: the boot server's has a tag for each, a client's has one without.
  static netsim::VlanMembership vlans_of(const LabPlan& plan, const MachinePlan& machine);

 private:
  // Two cables, one for each direction.
  struct Trunk {
    Trunk(EventLoop& loop, const netsim::LinkRules& rules) : up(loop, rules), down(loop, rules) {}
    netsim::Link up, down;
  };
  void connect(EventLoop& loop, const LabPlan& plan, std::size_t lower);

  std::deque<Trunk> trunks_;  // before the switches: a switch is outlived by what its ports send to
  std::vector<std::unique_ptr<netsim::Switch>> switches_;  // as in the plan
};

}  // namespace rookery::vboot
