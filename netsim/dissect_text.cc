#include <fmt/format.h>

#include "netsim/dissect.h"

namespace rookery::netsim {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

std::string line(const DhcpSeen& seen) {
  std::string out = fmt::format("{} {}", seen.proxy ? "proxyDHCP" : "DHCP", name(seen.type));
  if (!seen.from_server) {
    out += " from " + seen.client.text();
    if (!seen.host_name.empty()) out += ", host " + seen.host_name;
    if (!seen.vendor_class.empty()) out += ", vendor class " + seen.vendor_class;
    if (!seen.user_class.empty()) out += ", user class " + seen.user_class;
    if (seen.architecture) out += fmt::format(", architecture {}", *seen.architecture);
    return out;
  }
  if (!seen.your_address.is_zero()) out += " of " + seen.your_address.text();
  out += " to " + seen.client.text();
  if (!seen.next_server.is_zero()) out += ", next server " + seen.next_server.text();
  if (!seen.file.empty()) out += ", file " + seen.file;
  if (!seen.message.empty()) out += ": " + seen.message;
  return out;
}

std::string line(const TftpSeen& seen) {
  switch (seen.opcode) {
    case TftpOpcode::read:
      return "TFTP read of " + seen.file;
    case TftpOpcode::write:
      return "TFTP write of " + seen.file;
    case TftpOpcode::data:
      return fmt::format("TFTP data, block {}, {} bytes", seen.block, seen.length);
    case TftpOpcode::ack:
      return fmt::format("TFTP ack of block {}", seen.block);
    case TftpOpcode::error:
      return fmt::format("TFTP error {}: {}", seen.code, seen.message);
    case TftpOpcode::options_ack:
      return "TFTP options accepted";
  }
  return "TFTP";
}

std::string line(const HttpSeen& seen) {
  if (seen.status != 0) return fmt::format("HTTP {} {}", seen.status, seen.reason);
  return fmt::format("HTTP {} {}", seen.method, seen.path);
}

std::string line(const TcpSeen& seen) {
  switch (seen.step) {
    case TcpSeen::Step::asked:
      return fmt::format("{} connection asked for", name(seen.service));
    case TcpSeen::Step::accepted:
      return fmt::format("{} connection accepted", name(seen.service));
    case TcpSeen::Step::reset:
      break;
  }
  return fmt::format("{} connection reset by the {}", name(seen.service),
                     seen.from_server ? "server" : "client");
}

std::string line(const NbdSeen& seen) {
  switch (seen.step) {
    case NbdSeen::Step::greeted:
      return "NBD greeting";
    case NbdSeen::Step::asked:
      return fmt::format("NBD export '{}' asked for", seen.share);
    case NbdSeen::Step::accepted:
      return "NBD export accepted";
    case NbdSeen::Step::refused:
      break;
  }
  return fmt::format("NBD export refused: {}{}{}", nbd_error_name(seen.error),
                     seen.message.empty() ? "" : ", ", seen.message);
}

std::string line(const ArpSeen& seen) {
  if (seen.is_reply) return fmt::format("ARP {} is at {}", seen.sender_address.text(), seen.sender.text());
  return fmt::format("ARP who has {}, asks {}", seen.target_address.text(), seen.sender_address.text());
}

}  // namespace

std::string_view name(DhcpType type) {
  switch (type) {
    case DhcpType::bootp:
      return "BOOTP";
    case DhcpType::discover:
      return "DISCOVER";
    case DhcpType::offer:
      return "OFFER";
    case DhcpType::request:
      return "REQUEST";
    case DhcpType::decline:
      return "DECLINE";
    case DhcpType::ack:
      return "ACK";
    case DhcpType::nak:
      return "NAK";
    case DhcpType::release:
      return "RELEASE";
    case DhcpType::inform:
      return "INFORM";
  }
  return "unknown";
}

std::string_view name(TcpService service) {
  switch (service) {
    case TcpService::http:
      return "HTTP";
    case TcpService::https:
      return "HTTPS";
    case TcpService::nfs:
      return "NFS";
    case TcpService::iscsi:
      return "iSCSI";
    case TcpService::nbd:
      return "NBD";
  }
  return "unknown";
}

// doc/proto.md of NBD, "Option reply types".
std::string_view nbd_error_name(std::uint32_t error) {
  switch (error) {
    case 1:
      return "option not supported";
    case 2:
      return "forbidden by policy";
    case 3:
      return "invalid request";
    case 5:
      return "TLS required";
    case 6:
      return "no such export";
    case 7:
      return "shutting down";
    default:
      return "an error";
  }
}

std::string text(const Summary& summary) {
  return std::visit(
      Overloaded{
          [&](std::monostate) {
            return fmt::format("ethertype {:#06x} from {}", summary.ethertype, summary.source.text());
          },
          [&](const DhcpSeen& seen) { return line(seen); },
          [&](const UnreachableSeen& seen) {
            return fmt::format("{} says to {}: port {} unreachable (code {})", summary.from.text(),
                               summary.to.text(), seen.port, seen.code);
          },
          [&](const ArpSeen& seen) { return line(seen); },
          [&](const RouterSeen& seen) {
            return fmt::format("router {} from {}", seen.is_advertisement ? "advertisement" : "solicitation",
                               summary.from.text());
          },
          [&](const auto& seen) {
            return fmt::format("{}, {} to {}", line(seen), summary.from.text(), summary.to.text());
          },
      },
      summary.what);
}

}  // namespace rookery::netsim
