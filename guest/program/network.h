// The machine's network interfaces, by ioctl: there is no need for a program to set three addresses.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace rookery::guest {

class Devices;

struct Interface {
  std::string name;
  int index = 0;
  std::array<std::uint8_t, 6> mac{};
};

struct Interfaces {
  std::optional<Interface> data;        // the first Ethernet NIC that is not the management NIC
  std::optional<Interface> management;  // the NIC with the management prefix (agent_protocol.h)
};

Interfaces find_interfaces();
// The same, waiting for a data NIC that comes late, as those on USB do, for as long as firmware would.
Interfaces wait_for_interfaces(Devices& devices);
Status bring_up(const std::string& name);
// Nothing but the agent's frames: no ARP, no IPv6.
Status bring_up_unmanaged(const std::string& name);

struct Ipv4Settings {
  std::string address, netmask, router;  // dotted; an empty router: no default route
};
Status configure(const std::string& name, const Ipv4Settings& settings);

std::string to_text(const std::array<std::uint8_t, 6>& mac);

}  // namespace rookery::guest
