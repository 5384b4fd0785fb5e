#include "netsim/snooping.h"

#include <algorithm>

namespace rookery::netsim {
namespace {

constexpr std::uint16_t kIpv4 = 0x0800;
constexpr std::uint16_t kArp = 0x0806;
constexpr std::uint16_t kIpv6 = 0x86dd;

std::uint16_t big16(ByteView bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

// RFC 826, for Ethernet (1, 6 octets) and IPv4 (0x0800, 4 octets).
constexpr std::size_t kArpSize = 28;
constexpr std::uint16_t kArpRequest = 1;

SnoopedFrame snoop_arp(ByteView arp, MacAddress source) {
  SnoopedFrame seen;
  if (arp.size() < kArpSize || big16(arp, 0) != 1 || big16(arp, 2) != kIpv4 || arp[4] != 6 || arp[5] != 4)
    return seen;
  seen.kind = Snooped::address_resolution;
  const IpAddress sender = IpAddress::from_bytes(arp.subspan(14, 4));
  const IpAddress target = IpAddress::from_bytes(arp.subspan(24, 4));
  // A proxy answers for others: what it says of them is true of its port, but not of its address.
  if (MacAddress::from_bytes(arp.subspan(8, 6)) == source) seen.owned = sender;
  if (big16(arp, 6) == kArpRequest && !sender.is_zero() && target != sender) seen.wanted = target;
  return seen;
}

// RFC 2131 §2: the fixed part of a message, then the cookie 99.130.83.99 (§3) and options of one octet for
// the code and one for the length (RFC 2132 §2).
constexpr std::size_t kYourAddress = 16;
constexpr std::size_t kHardwareAddress = 28;
constexpr std::size_t kCookie = 236;
constexpr std::size_t kOptions = 240;
constexpr std::uint8_t kPad = 0, kEnd = 255;
constexpr std::uint8_t kLeaseTime = 51;    // RFC 2132 §9.2
constexpr std::uint8_t kMessageType = 53;  // RFC 2132 §9.6
constexpr std::uint8_t kAcknowledged = 5;
constexpr unsigned kMostOptions = 64;
constexpr Duration kLongestLease = std::chrono::hours(24);  // after which what ARP says has to do

void read_acknowledgement(ByteView message, SnoopedFrame& seen) {
  if (message.size() < kOptions || big16(message, kCookie) != 0x6382 || big16(message, kCookie + 2) != 0x5363)
    return;
  bool acknowledged = false;
  std::uint32_t lease = 0;
  std::size_t at = kOptions;
  for (unsigned count = 0; count < kMostOptions && at < message.size() && message[at] != kEnd; ++count) {
    if (message[at] == kPad) {
      ++at;
      continue;
    }
    if (at + 2 > message.size() || at + 2 + message[at + 1] > message.size()) return;
    const ByteView value = message.subspan(at + 2, message[at + 1]);
    if (message[at] == kMessageType && value.size() == 1) acknowledged = value[0] == kAcknowledged;
    if (message[at] == kLeaseTime && value.size() == 4) {
      lease = std::uint32_t{big16(value, 0)} << 16 | big16(value, 2);
    }
    at += 2 + value.size();
  }
  if (!acknowledged) return;
  seen.owned = IpAddress::from_bytes(message.subspan(kYourAddress, 4));  // zero in the answer to an INFORM
  seen.lease = std::min<Duration>(std::chrono::seconds(lease), kLongestLease);
}

constexpr std::uint8_t kUdp = 17;
constexpr std::uint16_t kServerPort = 67, kClientPort = 68;  // RFC 2131 §4.1

SnoopedFrame snoop_ipv4(ByteView packet) {
  SnoopedFrame seen;
  if (packet.size() < 28 || packet[9] != kUdp || packet[0] >> 4 != 4) return seen;
  const std::size_t udp = std::size_t{packet[0] & 0xfu} * 4;
  const bool first_fragment = (big16(packet, 6) & 0x1fff) == 0;
  if (udp < 20 || udp + 8 > packet.size() || !first_fragment) return seen;
  const std::uint16_t to = big16(packet, udp + 2);
  if (to == kServerPort) {
    seen.kind = Snooped::dhcp_to_server;
  } else if (to == kClientPort) {
    seen.kind = Snooped::dhcp_to_client;
    const ByteView message = packet.subspan(udp + 8);
    // Hardware type 1, address length 6: Ethernet.
    if (message.size() >= kHardwareAddress + 6 && message[1] == 1 && message[2] == 6) {
      seen.client = *MacAddress::from_bytes(message.subspan(kHardwareAddress, 6));
      read_acknowledgement(message, seen);
    }
  }
  return seen;
}

constexpr std::size_t kIpv6Header = 40;
constexpr std::uint8_t kIcmpv6 = 58;
// RFC 4861 §4.1, §4.3, §4.4
constexpr std::uint8_t kRouterSolicitation = 133, kNeighbourSolicitation = 135, kNeighbourAdvertisement = 136;
// RFC 2710 §3.1, §3.6; RFC 3810 §5.2
constexpr std::uint8_t kFirstReport = 131, kFirstDone = 132, kReport = 143;

// The ICMPv6 message of a packet that says who listens, else nothing. Such packets always have one extension
// header, with hop-by-hop options (RFC 8200 §4.3), for the router alert (RFC 3810 §5).
ByteView listener_message(ByteView packet) {
  if (packet.size() < kIpv6Header + 8 || packet[6] != 0 || packet[kIpv6Header] != kIcmpv6) return {};
  const std::size_t at = kIpv6Header + 8 + std::size_t{packet[kIpv6Header + 1]} * 8;
  if (packet.size() < at + 8) return {};
  const std::uint8_t type = packet[at];
  if (type != kFirstReport && type != kFirstDone && type != kReport) return {};
  return packet.subspan(at);
}

SnoopedFrame snoop_ipv6(ByteView packet) {
  SnoopedFrame seen;
  if (!listener_message(packet).empty()) {
    seen.kind = Snooped::listener_report;
    seen.owned = IpAddress::from_bytes(packet.subspan(8, 16));
    return seen;
  }
  if (packet.size() < kIpv6Header + 8 || packet[6] != kIcmpv6) return seen;
  const std::uint8_t type = packet[kIpv6Header];
  if (type == kRouterSolicitation) {
    seen.kind = Snooped::router_solicitation;
    seen.owned = IpAddress::from_bytes(packet.subspan(8, 16));
  } else if (type == kNeighbourSolicitation || type == kNeighbourAdvertisement) {
    if (packet.size() < kIpv6Header + 24) return seen;
    seen.kind = Snooped::address_resolution;
    const IpAddress sender = IpAddress::from_bytes(packet.subspan(8, 16));
    const IpAddress target = IpAddress::from_bytes(packet.subspan(kIpv6Header + 8, 16));
    if (type == kNeighbourAdvertisement) {
      seen.owned = target;
    } else if (!sender.is_zero()) {
      seen.owned = sender;
      seen.wanted = target;
    } else {
      seen.probe = true;
    }
  }
  return seen;
}

// RFC 2464 §7: 33:33 and the lowest four octets of the group.
MacAddress group_address(ByteView group) {
  return MacAddress::from_bits(0x3333'0000'0000 | std::uint64_t{big16(group, 12)} << 16 | big16(group, 14));
}

// RFC 3810 §5.2: records of type, length of auxiliary data in words, number of sources, group, sources, data.
constexpr std::size_t kRecord = 20;
constexpr std::uint8_t kIsExclude = 2, kToExclude = 4;

ByteView packet_of(const Frame& frame) {
  const std::size_t header = frame.is_tagged() ? kSmallestFrame + 4 : kSmallestFrame;
  return frame.size() <= header ? ByteView{} : frame.bytes().subspan(header);
}

}  // namespace

std::vector<MacAddress> reported_groups(const Frame& frame) {
  std::vector<MacAddress> groups;
  if (frame.ethertype() != kIpv6) return groups;
  const ByteView message = listener_message(packet_of(frame));
  if (message.empty()) return groups;
  if (message[0] != kReport) {
    if (message[0] == kFirstReport && message.size() >= 24)
      groups.push_back(group_address(message.subspan(8, 16)));
    return groups;
  }
  std::size_t at = 8;
  for (unsigned left = big16(message, 6); left > 0 && at + kRecord <= message.size(); --left) {
    const ByteView record = message.subspan(at);
    const std::size_t sources = big16(record, 2);
    if (record[0] == kIsExclude || record[0] == kToExclude || sources > 0)
      groups.push_back(group_address(record.subspan(4, 16)));
    at += kRecord + 16 * sources + std::size_t{record[1]} * 4;
  }
  return groups;
}

SnoopedFrame snoop(const Frame& frame) {
  const ByteView packet = packet_of(frame);
  if (packet.empty()) return {};
  switch (frame.ethertype()) {
    case kIpv4:
      return snoop_ipv4(packet);
    case kArp:
      return snoop_arp(packet, frame.source());
    case kIpv6:
      return snoop_ipv6(packet);
    default:
      return {};
  }
}

}  // namespace rookery::netsim
