// What a switch port says of its own state while it does not forward: a rapid spanning tree BPDU, as a
// machine's boot firmware may listen for. Pure.
#pragma once

#include <cstdint>

#include "netsim/frame.h"

namespace rookery::netsim {

inline constexpr Duration kHelloTime = std::chrono::seconds(2);  // IEEE 802.1D-2004 table 17-1

// From the port of that number of a switch of that number, which takes itself for the root. No frame if there
// is no buffer.
Frame port_state_bpdu(std::uint16_t bridge, std::uint16_t port, bool forwarding);

}  // namespace rookery::netsim
