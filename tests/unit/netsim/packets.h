// Packets of a network boot, for tests of the dissector: client 10.0.0.7 (machine 7), server 10.0.0.1
// (machine 1).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "netsim_test.h"

namespace rookery::netsim {

inline constexpr std::uint32_t kClient = 0x0a000007;
inline constexpr std::uint32_t kServer = 0x0a000001;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kReset = 0x04;
inline constexpr std::uint8_t kAck = 0x10;

struct DhcpWords {
  std::uint8_t type = 1;
  bool from_server = false;
  bool proxy = false;
  std::uint32_t your_address = 0;
  std::uint32_t next_server = 0;
  std::string file{};
  std::vector<std::pair<std::uint8_t, std::string>> options{};
};

ByteWriter ethernet(MacAddress to, MacAddress from, std::uint16_t ethertype);
ByteBuffer ip4_frame(std::uint8_t protocol, std::uint32_t from, std::uint32_t to, ByteView payload);
ByteBuffer ip6_frame(std::uint8_t next_header, ByteView payload);
ByteBuffer udp_frame(std::uint32_t from, std::uint16_t from_port, std::uint32_t to, std::uint16_t to_port,
                     ByteView payload);
ByteBuffer tcp_frame(std::uint32_t from, std::uint16_t from_port, std::uint32_t to, std::uint16_t to_port,
                     std::uint8_t flags, std::string_view payload = {});
ByteBuffer tftp_read(std::string_view file);
ByteBuffer dhcp_frame(const DhcpWords& words);
std::vector<ByteBuffer> sample_frames();

}  // namespace rookery::netsim
