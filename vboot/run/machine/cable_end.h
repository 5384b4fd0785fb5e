// What a machine's seat knows of its cable: where the machine plugs in its NICs. Implemented by MachineCable,
// which outlives the seat. All else of the network is hidden behind it, so that cable and seat can come to
// lie on two hosts.
#pragma once

#include <vector>

#include "backends/backend.h"
#include "base/result.h"

namespace rookery::vboot {

class CableEnd {
 public:
  virtual ~CableEnd() = default;
  // Makes the network's ends of the machine's NICs, of the wires that its backend's Capabilities have; once,
  // before the machine is made. The NIC of the network is the first. An Error: a socket could not be made.
  virtual Result<std::vector<backends::NicPlug>> plugs(backends::NicWire wire,
                                                       backends::NicWire management_wire) = 0;
};

}  // namespace rookery::vboot
