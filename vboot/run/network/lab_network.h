// The switches of a running lab and the trunks between them. Owned by the RunningLab; it outlives the
// machines that are plugged in and is outlived by the loop and the plan.
//
// Where trunks make several ways, those of the spanning tree are in use and the others are blocked at both
// ends. A trunk that is pulled carries nothing from that moment on; kConvergence later, the tree of those
// that are left is in use, the switches forget where everyone is, and learn anew. A trunk that is plugged in
// waits as long.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/loop/event_loop.h"
#include "netsim/faults/fault_point.h"
#include "netsim/link.h"
#include "netsim/switch.h"
#include "vboot/faults/cable.h"
#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

// A cable's rules in the network's own terms.
netsim::LinkRules cable_rules(const LinkRules& rules);

class LabNetwork {
 public:
  // From a change of a trunk to a new tree: what detection and agreement take with the rapid protocol.
  static constexpr Duration kConvergence = std::chrono::milliseconds(200);

  // `rules`: of every switch, but for what its plan says against broadcast storms.
  LabNetwork(EventLoop& loop, const LabPlan& plan, const netsim::SwitchRules& rules);
  ~LabNetwork() { loop_.cancel(converge_); }
  LabNetwork(const LabNetwork&) = delete;
  LabNetwork& operator=(const LabNetwork&) = delete;

  netsim::Switch& switch_of(const MachinePlan& machine) { return *switches_[machine.switch_index]; }
  netsim::Switch& switch_of(const UplinkPlan& uplink) { return *switches_[uplink.switch_index]; }
  // How a machine's port sees the VLANs: the boot server's has a tag for each, a client's has one without.
  static netsim::VlanMembership vlans_of(const LabPlan& plan, const MachinePlan& machine);
  // And the uplink's: of one VLAN, or of all with their tags.
  static netsim::VlanMembership vlans_of(const LabPlan& plan, const UplinkPlan& uplink);

  // For faults: the trunks, in the order of the plan; and a switch that forgets all it knew.
  std::vector<Cable> trunks();
  void restart(std::size_t index) { switches_[index]->forget_everything(); }

  // The trunks in use, by their names.
  std::vector<std::string> in_use() const;

 private:
  // Two cables, one for each direction, each with its faults in front.
  struct Trunk {
    Trunk(EventLoop& loop, const netsim::LinkRules& rules)
        : up(loop, rules),
          down(loop, rules),
          up_faults(loop, netsim::FaultPoint::Side::trunk, 0),
          down_faults(loop, netsim::FaultPoint::Side::trunk, 0) {}
    netsim::Link up, down;
    netsim::FaultPoint up_faults, down_faults;
    std::string name;  // "east:core"
    std::size_t lower = 0, upper = 0;
    netsim::SwitchPort* lower_port = nullptr;
    netsim::SwitchPort* upper_port = nullptr;
    bool plugged = true;
    bool used = false;
  };
  void connect(std::size_t lower, std::size_t upper);
  void plug(Trunk& trunk, bool plugged);
  void converge();
  void use_tree();
  void block(Trunk& trunk, bool blocked);

  EventLoop& loop_;
  const LabPlan& plan_;
  std::deque<Trunk> trunks_;  // before the switches: a switch is outlived by what its ports send to
  std::vector<std::unique_ptr<netsim::Switch>> switches_;  // as in the plan
  EventId converge_{};
};

}  // namespace rookery::vboot
