#include "netsim/dissect.h"

#include <fmt/format.h>

#include <algorithm>

#include "netsim/dissect_payload.h"
#include "netsim/frame.h"

// Headers are read by checked offset: that must cost little, because every frame of a lab comes by here, most
// of them bulk data that only needs to be recognised as such. libtins reads what is worth it (DHCP, in
// dissect_payload.cc).

namespace rookery::netsim {
namespace {

// Ethertypes, https://www.iana.org/assignments/ieee-802-numbers.
constexpr std::uint16_t kIp4 = 0x0800;
constexpr std::uint16_t kArp = 0x0806;
constexpr std::uint16_t kIp6 = 0x86DD;

// Protocol numbers, https://www.iana.org/assignments/protocol-numbers; the last four are IPv6 extension
// headers.
constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmp6 = 58;
constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragment = 44;
constexpr std::uint8_t kDestinationOptions = 60;
constexpr unsigned kExtensionHeaders = 8;

// Ports, https://www.iana.org/assignments/service-names-port-numbers.
constexpr std::uint16_t kDhcpServer = 67;
constexpr std::uint16_t kDhcpClient = 68;
constexpr std::uint16_t kTftp = 69;
constexpr std::uint16_t kPxe = 4011;

std::optional<TcpService> service_at(std::uint16_t port) {
  switch (port) {
    case 80:
    case 8080:
      return TcpService::http;
    case 443:
      return TcpService::https;
    case 2049:
      return TcpService::nfs;
    case 3260:
      return TcpService::iscsi;
    case 10809:
      return TcpService::nbd;
    default:
      return std::nullopt;
  }
}

// RFC 9293 §3.1.
void look_into_tcp(ByteView segment, Summary& summary) {
  constexpr std::uint8_t kSyn = 0x02;
  constexpr std::uint8_t kReset = 0x04;
  constexpr std::uint8_t kAck = 0x10;
  ByteReader reader(segment);
  const std::uint16_t from_port = reader.be16();
  const std::uint16_t to_port = reader.be16();
  reader.take(8);  // sequence and acknowledgement numbers
  const std::size_t header = std::size_t{reader.u8()} >> 4 << 2;
  const std::uint8_t flags = reader.u8();
  if (!reader.ok() || header < 20 || header > segment.size()) return;
  if (flags & (kSyn | kReset)) {
    const auto to_service = service_at(to_port);
    const auto from_service = service_at(from_port);
    if (!to_service && !from_service) return;
    TcpSeen seen;
    seen.from_server = !to_service;
    seen.service = to_service ? *to_service : *from_service;
    seen.step = flags & kReset ? TcpSeen::Step::reset
                : flags & kAck ? TcpSeen::Step::accepted
                               : TcpSeen::Step::asked;
    summary.what = seen;
    return;
  }
  const ByteView payload = segment.subspan(header);
  const auto is_nbd = [](std::uint16_t port) { return service_at(port) == TcpService::nbd; };
  if (is_nbd(from_port) || is_nbd(to_port)) {
    if (auto nbd = read_nbd(payload)) summary.what = std::move(*nbd);
  } else if (auto http = read_http(payload)) {
    summary.what = std::move(*http);
  }
}

// The packet that could not be delivered follows the header of 8 bytes: RFC 792, RFC 4443 §3.1.
void look_into_unreachable(std::uint8_t code, ByteView rest, bool is_v6, Summary& summary) {
  UnreachableSeen seen{code, 0};
  ByteReader reader(rest);
  reader.take(4);
  std::size_t header = 40;
  if (!is_v6) {
    const ByteView inner = rest.size() > 4 ? rest.subspan(4) : ByteView();
    header = inner.empty() ? 20 : std::max<std::size_t>(std::size_t{inner[0] & 0xfU} * 4, 20);
  }
  reader.take(header);
  reader.take(2);  // the port it came from
  seen.port = reader.be16();
  summary.what = seen;
}

void look_into_icmp(ByteView message, Summary& summary) {
  constexpr std::uint8_t kUnreachable = 3;  // RFC 792
  ByteReader reader(message);
  const std::uint8_t type = reader.u8();
  const std::uint8_t code = reader.u8();
  reader.take(2);
  if (reader.ok() && type == kUnreachable) look_into_unreachable(code, reader.rest(), false, summary);
}

void look_into_icmp6(ByteView message, Summary& summary) {
  constexpr std::uint8_t kUnreachable = 1;           // RFC 4443 §3.1
  constexpr std::uint8_t kRouterSolicitation = 133;  // RFC 4861 §4.1
  constexpr std::uint8_t kRouterAdvertisement = 134;
  ByteReader reader(message);
  const std::uint8_t type = reader.u8();
  const std::uint8_t code = reader.u8();
  reader.take(2);
  if (!reader.ok()) return;
  if (type == kUnreachable) look_into_unreachable(code, reader.rest(), true, summary);
  if (type == kRouterSolicitation) summary.what = RouterSeen{};
  if (type == kRouterAdvertisement) {
    reader.take(2);  // hop limit and flags
    const std::uint16_t lifetime = reader.be16();
    if (reader.ok()) summary.what = RouterSeen{true, lifetime};
  }
}

// RFC 826, for IPv4 over Ethernet.
void look_into_arp(ByteView packet, Summary& summary) {
  constexpr std::uint16_t kReply = 2;
  ByteReader reader(packet);
  const bool ours = reader.be16() == 1 && reader.be16() == kIp4 && reader.u8() == 6 && reader.u8() == 4;
  const std::uint16_t operation = reader.be16();
  ArpSeen seen;
  seen.is_reply = operation == kReply;
  seen.sender = MacAddress::from_bytes(reader.take(6)).value_or(MacAddress());
  seen.sender_address = IpAddress::from_bytes(reader.take(4));
  reader.take(6);
  seen.target_address = IpAddress::from_bytes(reader.take(4));
  if (ours && reader.ok() && (operation == 1 || operation == kReply)) summary.what = seen;
}

}  // namespace

Summary Dissector::look(ByteView frame) {
  Summary summary;
  ByteReader reader(frame);
  const auto destination = MacAddress::from_bytes(reader.take(6));
  const auto source = MacAddress::from_bytes(reader.take(6));
  std::uint16_t ethertype = reader.be16();
  if (!reader.ok()) return summary;
  summary.destination = *destination;
  summary.source = *source;
  if (ethertype == kEthertypeVlan) {
    const std::uint16_t control = reader.be16();
    ethertype = reader.be16();
    if (!reader.ok()) return summary;
    summary.vlan = static_cast<std::uint16_t>(control & 0xfff);
  }
  summary.ethertype = ethertype;
  if (ethertype == kIp4) look_into_ip4(reader.rest(), summary);
  if (ethertype == kIp6) look_into_ip6(reader.rest(), summary);
  if (ethertype == kArp) look_into_arp(reader.rest(), summary);
  return summary;
}

// RFC 791 §3.1.
void Dissector::look_into_ip4(ByteView packet, Summary& summary) {
  ByteReader reader(packet);
  const std::uint8_t first = reader.u8();
  reader.take(1);
  const std::size_t total = reader.be16();
  reader.take(2);
  const std::uint16_t fragment = reader.be16();
  reader.take(1);
  const std::uint8_t protocol = reader.u8();
  reader.take(2);
  const IpAddress from = IpAddress::from_bytes(reader.take(4));
  const IpAddress to = IpAddress::from_bytes(reader.take(4));
  const std::size_t header = std::size_t{first & 0xfU} * 4;
  if (!reader.ok() || first >> 4 != 4 || header < 20 || header > packet.size()) return;
  summary.from = from;
  summary.to = to;
  if ((fragment & 0x1fff) != 0) return;  // not the first piece: no header of UDP or TCP in it
  // What follows the packet is padding; a super-frame may say 0.
  const std::size_t end = total >= header ? std::min(total, packet.size()) : packet.size();
  look_into_transport(protocol, packet.subspan(header, end - header), summary);
}

// RFC 8200 §3 and §4.
void Dissector::look_into_ip6(ByteView packet, Summary& summary) {
  ByteReader reader(packet);
  const std::uint8_t first = reader.u8();
  reader.take(3);
  const std::size_t length = reader.be16();
  std::uint8_t next = reader.u8();
  reader.take(1);
  const IpAddress from = IpAddress::from_bytes(reader.take(16));
  const IpAddress to = IpAddress::from_bytes(reader.take(16));
  if (!reader.ok() || first >> 4 != 6) return;
  summary.from = from;
  summary.to = to;
  ByteReader payload(reader.take(length == 0 ? reader.remaining() : std::min(length, reader.remaining())));
  for (unsigned i = 0; i < kExtensionHeaders; ++i) {
    if (next != kHopByHop && next != kRouting && next != kDestinationOptions && next != kFragment) break;
    const bool is_fragment = next == kFragment;
    next = payload.u8();
    const std::size_t more = payload.u8();
    if (is_fragment) {
      if ((payload.be16() & 0xfff8) != 0) return;
      payload.take(4);
    } else {
      payload.take(6 + 8 * more);
    }
  }
  if (payload.ok()) look_into_transport(next, payload.rest(), summary);
}

void Dissector::look_into_transport(std::uint8_t protocol, ByteView segment, Summary& summary) {
  if (protocol == kUdp) look_into_udp(segment, summary);
  if (protocol == kTcp) look_into_tcp(segment, summary);
  if (protocol == kIcmp && !summary.from.is_v6()) look_into_icmp(segment, summary);
  if (protocol == kIcmp6 && summary.from.is_v6()) look_into_icmp6(segment, summary);
}

// RFC 768.
void Dissector::look_into_udp(ByteView datagram, Summary& summary) {
  ByteReader reader(datagram);
  const std::uint16_t from_port = reader.be16();
  const std::uint16_t to_port = reader.be16();
  const std::size_t length = reader.be16();
  reader.take(2);
  if (!reader.ok()) return;
  const std::size_t there = reader.remaining();
  const ByteView payload = reader.take(length >= 8 ? std::min(length - 8, there) : there);

  const bool dhcp = (from_port == kDhcpServer || from_port == kDhcpClient) &&
                    (to_port == kDhcpServer || to_port == kDhcpClient);
  const bool proxy = from_port == kPxe || to_port == kPxe;
  if (dhcp || proxy) {
    if (auto seen = read_dhcp(payload)) {
      seen->from_server = from_port == (proxy ? kPxe : kDhcpServer);
      seen->proxy = proxy;
      summary.what = std::move(*seen);
      return;
    }
  }
  const Endpoint sender{summary.from, from_port};
  const bool to_server = to_port == kTftp;
  if (!to_server && from_port != kTftp && !transfers_.contains(sender) &&
      !transfers_.contains(Endpoint{summary.to, to_port})) {
    return;
  }
  auto seen = read_tftp(payload);
  if (!seen) return;
  const bool asks = seen->opcode == TftpOpcode::read || seen->opcode == TftpOpcode::write;
  if (asks && !to_server) return;  // only a server's port is asked
  if (asks) remember(sender);
  summary.what = std::move(*seen);
}

void Dissector::remember(const Endpoint& client) {
  if (!transfers_.insert(client).second) return;
  by_age_.push_back(client);
  if (by_age_.size() <= kTransfers) return;
  transfers_.erase(by_age_.front());
  by_age_.pop_front();
}

}  // namespace rookery::netsim
