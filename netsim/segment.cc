#include "netsim/segment.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace rookery::netsim {
namespace {

constexpr std::uint16_t kIpv4 = 0x0800, kIpv6 = 0x86dd;
constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::size_t kIpv4Header = 20, kIpv6Header = 40, kTcpHeader = 20, kUdpHeader = 8;
constexpr std::size_t kUdpChecksum = 6;  // RFC 768
// RFC 9293 §3.1
constexpr std::size_t kSequence = 4, kDataOffset = 12, kFlags = 13, kTcpChecksum = 16;
constexpr std::uint8_t kFin = 0x01, kPush = 0x08, kCongestionWindowReduced = 0x80;

std::uint32_t big16(ByteView bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 8 | bytes[at + 1];
}
std::uint32_t big32(ByteView bytes, std::size_t at) {
  return big16(bytes, at) << 16 | big16(bytes, at + 2);
}
void put16(std::span<std::uint8_t> bytes, std::size_t at, std::uint32_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

// The sum of RFC 1071, in whatever order of bytes this processor has (§2 B), four bytes at a time.
std::uint64_t add(std::uint64_t sum, ByteView bytes) {
  std::size_t at = 0;
  for (; at + 4 <= bytes.size(); at += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    sum += word;
  }
  if (at < bytes.size()) {
    std::uint32_t rest = 0;
    std::memcpy(&rest, bytes.data() + at, bytes.size() - at);
    sum += rest;
  }
  return sum;
}

// The checksum of what was summed, as its two bytes go onto the wire.
void put_checksum(std::span<std::uint8_t> bytes, std::size_t at, std::uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  auto checksum = static_cast<std::uint16_t>(~sum);
  if (checksum == 0)
    checksum = 0xffff;  // zero means "none" to UDP (RFC 768); to the others it is the same number
  std::memcpy(bytes.data() + at, &checksum, sizeof checksum);
}

struct Headers {
  std::size_t ip, tcp, payload;  // where they begin
  bool v6;
};

std::optional<Headers> tcp_headers(ByteView frame, std::uint8_t segments) {
  if (frame.size() < kSmallestFrame + 4) return std::nullopt;
  const bool tagged = big16(frame, 12) == kEthertypeVlan;
  Headers headers{};
  headers.ip = tagged ? 18 : 14;
  const std::uint32_t ethertype = big16(frame, headers.ip - 2);
  headers.v6 = segments == Offload::kSegmentsTcp6;
  if (ethertype != (headers.v6 ? kIpv6 : kIpv4)) return std::nullopt;
  const ByteView packet = frame.subspan(headers.ip);
  if (packet.size() < (headers.v6 ? kIpv6Header : kIpv4Header)) return std::nullopt;
  if (packet[0] >> 4 != (headers.v6 ? 6 : 4) || packet[headers.v6 ? 6 : 9] != kTcp) return std::nullopt;
  const std::size_t ip_size = headers.v6 ? kIpv6Header : std::size_t{packet[0] & 0xfu} * 4;
  if (ip_size < kIpv4Header || packet.size() < ip_size + kTcpHeader) return std::nullopt;
  headers.tcp = headers.ip + ip_size;
  const std::size_t tcp_size = std::size_t{frame[headers.tcp + kDataOffset]} / 16 * 4;
  headers.payload = headers.tcp + tcp_size;
  if (tcp_size < kTcpHeader || headers.payload > frame.size()) return std::nullopt;
  return headers;
}

// One frame of a super-frame: its headers, and the `size` bytes of payload from `offset` on.
Frame cut(const Frame& from, const Headers& headers, std::size_t offset, std::size_t size,
          std::uint32_t index) {
  FrameBuilder builder(headers.payload + size, from);
  if (!builder) return {};
  const ByteView whole = from.bytes();
  const auto to = builder.bytes();
  std::memcpy(to.data(), whole.data(), headers.payload);
  std::memcpy(to.data() + headers.payload, whole.data() + headers.payload + offset, size);

  const auto ip = to.subspan(headers.ip, headers.tcp - headers.ip);
  const auto tcp = to.subspan(headers.tcp);
  std::uint64_t pseudo_header = 0;  // RFC 9293 §3.1, RFC 8200 §8.1
  if (headers.v6) {
    put16(ip, 4, static_cast<std::uint32_t>(tcp.size()));
    pseudo_header = add(0, ip.subspan(8, 32));
  } else {
    put16(ip, 2, static_cast<std::uint32_t>(ip.size() + tcp.size()));
    put16(ip, 4, big16(ip, 4) + index);  // each has an identification of its own
    put16(ip, 10, 0);
    put_checksum(ip, 10, add(0, ip));
    pseudo_header = add(0, ip.subspan(12, 8));
  }
  const std::uint32_t sequence = big32(tcp, kSequence) + static_cast<std::uint32_t>(offset);
  put16(tcp, kSequence, sequence >> 16);
  put16(tcp, kSequence + 2, sequence);
  const bool last = headers.payload + offset + size == whole.size();
  if (index > 0)
    tcp[kFlags] &= static_cast<std::uint8_t>(~kCongestionWindowReduced);  // RFC 3168 §6.1.2: said once
  if (!last) tcp[kFlags] &= static_cast<std::uint8_t>(~(kFin | kPush));
  put16(tcp, kTcpChecksum, 0);
  const std::array<std::uint8_t, 4> rest{0, kTcp, static_cast<std::uint8_t>(tcp.size() >> 8),
                                         static_cast<std::uint8_t>(tcp.size())};
  put_checksum(tcp, kTcpChecksum, add(add(pseudo_header, rest), tcp));
  return std::move(builder).freeze();
}

std::size_t send_segments(const Frame& frame, Port& to) {
  const Offload& offload = frame.offload();
  const auto headers = tcp_headers(frame.bytes(), offload.segments & ~Offload::kSegmentsEcn);
  if (!headers || offload.segment_size < kSmallestSegment) return 0;
  std::uint32_t index = 0;
  for (std::size_t offset = 0, total = frame.size() - headers->payload; offset < total; ++index) {
    const std::size_t size = std::min<std::size_t>(offload.segment_size, total - offset);
    Frame segment = cut(frame, *headers, offset, size, index);
    if (!segment) break;
    to.send(std::move(segment));
    offset += size;
  }
  return index;
}

// A whole TCP or UDP packet, with nothing behind what its own lengths say (a short frame is padded).
struct Transport {
  std::size_t ip, header, payload, end;
  std::uint8_t protocol;
  bool v6;
};

std::optional<Transport> transport_of(ByteView frame) {
  if (frame.size() < kSmallestFrame + 4) return std::nullopt;
  Transport found{};
  found.ip = big16(frame, 12) == kEthertypeVlan ? 18 : 14;
  const std::uint32_t ethertype = big16(frame, found.ip - 2);
  found.v6 = ethertype == kIpv6;
  const ByteView packet = frame.subspan(found.ip);
  if ((ethertype != kIpv4 && !found.v6) || packet.size() < (found.v6 ? kIpv6Header : kIpv4Header))
    return std::nullopt;
  const std::size_t ip_size = found.v6 ? kIpv6Header : std::size_t{packet[0] & 0xfu} * 4;
  const std::size_t length = big16(packet, found.v6 ? 4 : 2) + (found.v6 ? kIpv6Header : 0);
  // More fragments, or not the first one (RFC 791 §3.1).
  if (!found.v6 && (ip_size < kIpv4Header || (big16(packet, 6) & 0x3fff) != 0)) return std::nullopt;
  found.protocol = packet[found.v6 ? 6 : 9];
  if ((found.protocol != kTcp && found.protocol != kUdp) || length > packet.size()) return std::nullopt;
  const std::size_t smallest = found.protocol == kTcp ? kTcpHeader : kUdpHeader;
  if (length < ip_size + smallest) return std::nullopt;
  found.header = found.ip + ip_size;
  found.end = found.ip + length;
  found.payload =
      found.header +
      (found.protocol == kTcp ? std::size_t{frame[found.header + kDataOffset]} / 16 * 4 : kUdpHeader);
  if (found.payload < found.header + smallest || found.payload > found.end) return std::nullopt;
  return found;
}

}  // namespace

std::size_t payload_offset(ByteView frame) {
  const auto found = transport_of(frame);
  return found && found->payload < found->end ? found->payload : kSmallestFrame;
}

void refresh_checksums(std::span<std::uint8_t> frame) {
  const auto found = transport_of(frame);
  if (!found) return;
  const auto ip = frame.subspan(found->ip, found->header - found->ip);
  const auto segment = frame.subspan(found->header, found->end - found->header);
  if (!found->v6) {
    put16(ip, 10, 0);
    put_checksum(ip, 10, add(0, ip));
  }
  const std::size_t field = found->protocol == kTcp ? kTcpChecksum : kUdpChecksum;
  if (found->protocol == kUdp && big16(segment, field) == 0) return;  // it has none (RFC 768)
  put16(segment, field, 0);
  const std::array<std::uint8_t, 4> rest{0, found->protocol, static_cast<std::uint8_t>(segment.size() >> 8),
                                         static_cast<std::uint8_t>(segment.size())};
  const auto addresses = found->v6 ? ip.subspan(8, 32) : ip.subspan(12, 8);
  put_checksum(segment, field, add(add(add(0, addresses), rest), segment));
}

bool check_offload(ByteView frame, Offload& offload) {
  // Only a device may say that a checksum is known to be good.
  const bool checksum = (offload.flags & Offload::kNeedsChecksum) != 0;
  offload.flags = checksum ? Offload::kNeedsChecksum : std::uint8_t{0};
  if (checksum) {
    const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
    if (offload.checksum_start < kSmallestFrame || field + 2 > frame.size()) return false;
  } else {
    offload.checksum_start = offload.checksum_offset = 0;
  }
  const auto kind = static_cast<std::uint8_t>(offload.segments & ~Offload::kSegmentsEcn);
  if (kind == Offload::kSegmentsNone) {
    offload.segments = Offload::kSegmentsNone;
    offload.header_length = offload.segment_size = 0;
    return true;
  }
  if (kind != Offload::kSegmentsTcp4 && kind != Offload::kSegmentsTcp6) return false;
  const auto headers = tcp_headers(frame, kind);
  if (!headers || !checksum || offload.checksum_start != headers->tcp ||
      offload.checksum_offset != kTcpChecksum) {
    return false;
  }
  if (offload.segment_size < kSmallestSegment) return false;
  if (frame.size() - headers->payload <= offload.segment_size) {  // one frame as it is
    offload.segments = Offload::kSegmentsNone;
    offload.header_length = offload.segment_size = 0;
  } else {
    offload.header_length = static_cast<std::uint16_t>(headers->payload);
  }
  return true;
}

std::size_t send_finished(const Frame& frame, Port& to) {
  if (frame.is_super_frame()) return send_segments(frame, to);
  if (is_finished(frame)) {
    to.send(frame);
    return 1;
  }
  const Offload& offload = frame.offload();
  const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
  if (field + 2 > frame.size()) return 0;
  FrameBuilder builder(frame.size(), frame);
  if (!builder) return 0;
  std::memcpy(builder.bytes().data(), frame.bytes().data(), frame.size());
  // The field holds the pseudo-header's sum, and is summed with the rest.
  put_checksum(builder.bytes(), field, add(0, frame.bytes().subspan(offload.checksum_start)));
  to.send(std::move(builder).freeze());
  return 1;
}

}  // namespace rookery::netsim
