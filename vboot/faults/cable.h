// A cable as faults see it: the parts of it that can be harmed. Borrowed pointers: the cable's owner (a
// machine, the lab's network) outlives the board that uses them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "netsim/faults/fault_point.h"
#include "netsim/link.h"
#include "netsim/switch.h"

namespace rookery::vboot {

struct Cable {
  std::string name;               // its machine's; of a trunk "east:core", its uplink last; "uplink:eth1"
  std::vector<std::size_t> ends;  // the switches that it ends at, by their place in the plan; two of a trunk
  netsim::FaultPoint* up = nullptr;
  netsim::FaultPoint* down = nullptr;
  netsim::Link* up_link = nullptr;
  netsim::Link* down_link = nullptr;
  std::function<void(bool)> plug;  // tells the switches that their ports' link is up, or down
  // The port of a machine's cable; none of a trunk.
  netsim::Switch* to = nullptr;
  netsim::SwitchPort* port = nullptr;

  bool is_trunk() const { return port == nullptr; }
};

}  // namespace rookery::vboot
