// What the board of faults reaches in a running lab: its cables, its switches, the power of its machines.
// Each is outlived by the lab's nodes and network.
#pragma once

#include <memory>

#include "base/json/json.h"
#include "vboot/control/requests.h"
#include "vboot/faults/board.h"
#include "vboot/run/machine/node.h"
#include "vboot/run/network/lab_network.h"
#include "vboot/run/network/uplink.h"

namespace rookery::vboot {

// Does to nodes what faults do to machines.
class NodeFaults final : public MachineFaults {
 public:
  explicit NodeFaults(const std::vector<std::unique_ptr<Node>>& nodes) : nodes_(nodes) {}

  Status power_cut(std::string_view machine) override;
  Status power_on(std::string_view machine) override;
  Status reset(std::string_view machine) override;
  Status freeze(std::string_view machine, Action frozen) override;
  Status thaw(std::string_view machine) override;
  Status slow(std::string_view machine, Duration gap) override;
  Status step_clock(std::string_view machine, Duration by) override;

 private:
  Node& node(std::string_view machine) const;
  Result<backends::Pausing*> pausing(std::string_view machine, std::string_view deed) const;

  const std::vector<std::unique_ptr<Node>>& nodes_;  // as in the plan
};

// `uplink` may be null.
FaultReach reach_of(const LabPlan& plan, LabNetwork& network, const std::vector<std::unique_ptr<Node>>& nodes,
                    Uplink* uplink, MachineFaults& deeds);

// Does what a command asks of the board; the result is what the command is told, at once or from the loop.
void answer(FaultBoard& board, const FaultRequest& request, const std::function<void(Result<Json>)>& tell);

}  // namespace rookery::vboot
