// What a switch reads in frames beyond their Ethernet header, so that broadcasts go only to those whom they
// concern: DHCP (RFC 2131), ARP (RFC 826), IPv6 neighbour and router discovery (RFC 4861), multicast
// listeners (RFC 3810). Pure, without memory, and of bounded work: every frame of a switch with such rules
// passes through here, and nothing in it is believed to be whole.
#pragma once

#include <cstdint>
#include <vector>

#include "base/units.h"
#include "netsim/frame.h"
#include "netsim/ip_address.h"

namespace rookery::netsim {

enum class Snooped : std::uint8_t {
  nothing,
  dhcp_to_server,       // a client (or relay) speaks: UDP to port 67
  dhcp_to_client,       // a server speaks: UDP to port 68
  address_resolution,   // ARP, or an IPv6 neighbour solicitation or advertisement
  router_solicitation,  // a machine looks for IPv6 routers
  listener_report,      // a machine says which IPv6 groups it listens to (or leaves); see reported_groups()
};

struct SnoopedFrame {
  Snooped kind = Snooped::nothing;
  // DHCP to a client: whose it is, by its hardware address; zero if that is not an Ethernet address.
  MacAddress client;
  // DHCP: what an ACK gives to `client`. Otherwise what the frame's source says to be its own. 0.0.0.0:
  // nothing.
  IpAddress owned;
  Duration lease{};  // with `owned`, DHCP only
  // Address resolution: whose owner is to answer; 0.0.0.0 if everyone should hear it (answers, announcements,
  // and probes for an address that its sender would like to take: RFC 5227 §1.1, RFC 4862 §5.4).
  IpAddress wanted;
  // An IPv6 solicitation by somebody who would like to take the address (RFC 4862 §5.4.2). It concerns those
  // who listen to its group: who has an address listens to its group before it says anything else.
  bool probe = false;
};

SnoopedFrame snoop(const Frame& frame);

// The Ethernet addresses (RFC 2464 §7) of the groups that a listener report says to be wanted; none for any
// other frame. A group that is left is not among them, nor one that is listened to from no source.
std::vector<MacAddress> reported_groups(const Frame& frame);

}  // namespace rookery::netsim
