#include "netsim/dissect_payload.h"

#include <fmt/format.h>
#include <tins/dhcp.h>

#include <algorithm>
#include <cstring>
#include <exception>

namespace rookery::netsim {
namespace {

// libtins keeps addresses in network order in memory.
IpAddress address_of(const Tins::IPv4Address& address) {
  const auto raw = static_cast<std::uint32_t>(address);
  std::uint8_t bytes[4];
  std::memcpy(bytes, &raw, sizeof bytes);
  return IpAddress::from_bytes(bytes);
}

ByteView option_of(const Tins::DHCP& dhcp, std::uint8_t code) {
  const auto* option = dhcp.search_option(static_cast<Tins::DHCP::OptionTypes>(code));
  if (option == nullptr) return {};
  return {option->data_ptr(), option->data_size()};
}

// RFC 3004 §4: one or more texts behind a length byte each. iPXE and dnsmasq's users send one bare text.
std::string user_class_of(ByteView option) {
  if (!option.empty() && option[0] != 0 && std::size_t{option[0]} + 1 <= option.size()) {
    return wire_text(option.subspan(1, option[0]));
  }
  return wire_text(option);
}

constexpr std::size_t kLongestDhcp = 4096;  // far above what fits into a frame of 1,500 bytes

}  // namespace

std::string wire_text(ByteView bytes) {
  std::string out;
  for (std::uint8_t byte : bytes) {
    if (byte == 0) break;
    const bool plain = byte >= 0x20 && byte < 0x7f && byte != '\\';
    if (out.size() + (plain ? 1 : 4) > kLongestWireText) break;
    if (plain) {
      out += static_cast<char>(byte);
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  return out;
}

std::optional<DhcpSeen> read_dhcp(ByteView payload) {
  if (payload.size() > kLongestDhcp) return std::nullopt;
  try {
    const Tins::DHCP dhcp(payload.data(), static_cast<std::uint32_t>(payload.size()));
    DhcpSeen seen;
    const ByteView type = option_of(dhcp, 53);
    if (type.size() == 1 && type[0] <= static_cast<std::uint8_t>(DhcpType::inform)) {
      seen.type = static_cast<DhcpType>(type[0]);
    }
    seen.transaction = dhcp.xid();
    const auto chaddr = dhcp.chaddr();
    seen.client = MacAddress::from_bytes(ByteView(chaddr.begin(), MacAddress::kSize)).value_or(MacAddress());
    seen.your_address = address_of(dhcp.yiaddr());
    seen.next_server = address_of(dhcp.siaddr());
    seen.server = IpAddress::from_bytes(option_of(dhcp, 54));
    seen.file = wire_text(ByteView(dhcp.file(), 128));  // RFC 2131 §2: the field has 128 bytes
    if (seen.file.empty()) seen.file = wire_text(option_of(dhcp, 67));
    seen.host_name = wire_text(option_of(dhcp, 12));
    seen.vendor_class = wire_text(option_of(dhcp, 60));
    seen.user_class = user_class_of(option_of(dhcp, 77));
    seen.message = wire_text(option_of(dhcp, 56));
    if (const ByteView option = option_of(dhcp, 93); option.size() >= 2) {
      seen.architecture = static_cast<std::uint16_t>(option[0] << 8 | option[1]);
    }
    return seen;
  } catch (const std::exception&) {
    return std::nullopt;  // libtins throws at what is cut off or malformed
  }
}

std::optional<TftpSeen> read_tftp(ByteView payload) {
  ByteReader reader(payload);
  const std::uint16_t opcode = reader.be16();
  if (!reader.ok() || opcode < 1 || opcode > 6) return std::nullopt;
  TftpSeen seen;
  seen.opcode = static_cast<TftpOpcode>(opcode);
  switch (seen.opcode) {
    case TftpOpcode::read:
    case TftpOpcode::write:
      seen.file = wire_text(reader.rest());
      if (seen.file.empty()) return std::nullopt;
      break;
    case TftpOpcode::data:
      seen.block = reader.be16();
      seen.length = reader.remaining();
      break;
    case TftpOpcode::ack:
      seen.block = reader.be16();
      break;
    case TftpOpcode::error:
      seen.code = reader.be16();
      seen.message = wire_text(reader.rest());
      break;
    case TftpOpcode::options_ack:
      break;
  }
  if (!reader.ok()) return std::nullopt;
  return seen;
}

// RFC 9112 §3 (request line) and §4 (status line).
std::optional<HttpSeen> read_http(ByteView payload) {
  const std::string_view head = as_text(payload.first(std::min<std::size_t>(payload.size(), 1024)));
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  HttpSeen seen;
  if (line.starts_with("HTTP/1.") && line.size() >= 12) {
    unsigned status = 0;
    for (char digit : line.substr(9, 3)) {
      if (digit < '0' || digit > '9') return std::nullopt;
      status = status * 10 + static_cast<unsigned>(digit - '0');
    }
    seen.status = static_cast<std::uint16_t>(status);
    if (seen.status < 100) return std::nullopt;
    if (line.size() > 13) seen.reason = wire_text(as_bytes(line.substr(13)));
    return seen;
  }
  for (std::string_view method : {"GET ", "HEAD ", "POST ", "PUT "}) {
    if (!line.starts_with(method)) continue;
    seen.method = method.substr(0, method.size() - 1);
    const std::string_view rest = line.substr(method.size());
    seen.path = wire_text(as_bytes(rest.substr(0, rest.find(' '))));
    if (seen.path.empty()) return std::nullopt;
    return seen;
  }
  return std::nullopt;
}

// doc/proto.md of NBD. Each message is taken to begin a segment, as it does where each waits for the one
// before.
std::optional<NbdSeen> read_nbd(ByteView payload) {
  constexpr std::uint64_t kGreeting = 0x4e42444d41474943;  // "NBDMAGIC"
  constexpr std::uint64_t kOption = 0x49484156454f5054;    // "IHAVEOPT"
  constexpr std::uint64_t kReply = 0x0003e889045565a9;
  constexpr std::uint32_t kExportName = 1, kGo = 7, kAck = 1, kError = 0x80000000;
  constexpr int kRepliesInOne = 8;
  NbdSeen seen;
  ByteReader first(payload);
  const std::uint64_t magic = first.be64();
  if (!first.ok()) return std::nullopt;
  if (magic == kGreeting) return seen;
  if (magic == kReply) {
    ByteReader reader(payload);
    for (int i = 0; i < kRepliesInOne && reader.be64() == kReply; ++i) {
      reader.take(4);
      const std::uint32_t type = reader.be32();
      const std::uint32_t length = reader.be32();
      if (!reader.ok()) return std::nullopt;
      const ByteView data = reader.take(std::min<std::size_t>(length, reader.remaining()));
      if (type == kAck) seen.step = NbdSeen::Step::accepted;
      if (type < kError) continue;
      return NbdSeen{NbdSeen::Step::refused, {}, type - kError, wire_text(data)};
    }
    if (seen.step != NbdSeen::Step::accepted) return std::nullopt;
    return seen;
  }
  // The client's flags stand before its first option only.
  ByteReader reader(payload);
  if (magic != kOption) reader.take(4);
  if (reader.be64() != kOption) return std::nullopt;
  const std::uint32_t option = reader.be32();
  std::size_t length = reader.be32();
  if (option == kGo) length = reader.be32();
  if (!reader.ok() || (option != kGo && option != kExportName)) return std::nullopt;
  seen.step = NbdSeen::Step::asked;
  seen.share = wire_text(reader.take(std::min(length, reader.remaining())));
  return seen;
}

}  // namespace rookery::netsim
