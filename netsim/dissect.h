// What the boot watch needs to know of a frame: which step of a network boot it is. Bounded in time and size,
// and never fails: a frame that is nothing of the kind, or damaged, gives a summary that says only what was
// readable.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "netsim/ip_address.h"
#include "netsim/mac_address.h"

namespace rookery::netsim {

// Texts from the wire are cut to this and hold printable ASCII only; other bytes appear as \xNN.
inline constexpr std::size_t kLongestWireText = 255;

// RFC 2132 §9.6; bootp: a message without a type.
enum class DhcpType : std::uint8_t { bootp, discover, offer, request, decline, ack, nak, release, inform };
std::string_view name(DhcpType type);

struct DhcpSeen {
  DhcpType type = DhcpType::bootp;
  bool from_server = false;  // by the port that it was sent from
  bool proxy = false;        // on port 4011 (PXE specification 2.1 §2.2.3)
  std::uint32_t transaction = 0;
  MacAddress client;                          // chaddr
  IpAddress your_address;                     // yiaddr
  IpAddress next_server;                      // siaddr
  IpAddress server;                           // option 54
  std::string file;                           // the file field, or else option 67
  std::string host_name;                      // option 12
  std::string vendor_class;                   // option 60
  std::string user_class;                     // option 77
  std::string message;                        // option 56: why a NAK
  std::optional<std::uint16_t> architecture;  // option 93: of a client's firmware (RFC 4578 §2.1)
};

// RFC 1350 §5 and RFC 2347.
enum class TftpOpcode : std::uint8_t { read = 1, write, data, ack, error, options_ack };
struct TftpSeen {
  TftpOpcode opcode = TftpOpcode::read;
  std::string file;         // of read and write
  std::uint16_t block = 0;  // of data and ack
  std::uint16_t code = 0;   // of error
  std::size_t length = 0;   // of data
  std::string message;      // of error
};

struct HttpSeen {
  std::string method;        // of a request ("GET")
  std::string path;          // of a request
  std::uint16_t status = 0;  // of a response; 0 in a request
  std::string reason;        // of a response
};

// A TCP connection to one of the services that machines boot from.
enum class TcpService : std::uint8_t { http, https, nfs, iscsi, nbd };
std::string_view name(TcpService service);
struct TcpSeen {
  enum class Step : std::uint8_t { asked, accepted, reset };
  TcpService service = TcpService::http;
  Step step = Step::asked;
  bool from_server = false;
};

// What the two ends of an NBD connection agree on before data flows (NBD's doc/proto.md, "Option types").
struct NbdSeen {
  enum class Step : std::uint8_t { greeted, asked, accepted, refused };
  Step step = Step::greeted;
  std::string share;        // of asked: the export's name
  std::uint32_t error = 0;  // of refused: the reply's type without its highest bit
  std::string message;      // of refused
};
// What an error of that number means, for a person.
std::string_view nbd_error_name(std::uint32_t error);

// ICMP or ICMPv6: nobody listens at a UDP or TCP port, or a host cannot be reached.
struct UnreachableSeen {
  std::uint8_t code = 0;
  std::uint16_t port = 0;  // that was asked for; 0 if not readable
};

struct ArpSeen {
  bool is_reply = false;
  MacAddress sender;
  IpAddress sender_address;
  IpAddress target_address;
};

// RFC 4861 §4.1 and §4.2.
struct RouterSeen {
  bool is_advertisement = false;
  std::uint16_t lifetime_seconds = 0;  // of an advertisement; 0: not a default router
};

struct Summary {
  MacAddress source;
  MacAddress destination;
  std::optional<std::uint16_t> vlan;  // of a tagged frame
  std::uint16_t ethertype = 0;        // behind the tag
  IpAddress from;                     // of IP
  IpAddress to;
  std::variant<std::monostate, DhcpSeen, TftpSeen, HttpSeen, TcpSeen, NbdSeen, UnreachableSeen, ArpSeen,
               RouterSeen>
      what;

  bool is_boot_step() const { return what.index() != 0; }
  template <typename T>
  const T* as() const {
    return std::get_if<T>(&what);
  }
};

// One line, like "DHCP DISCOVER from 52:54:00:00:00:07".
std::string text(const Summary& summary);

// Reads frames one after another. It has to remember who asked for a file by TFTP, because the answers come
// from a port that nobody knows before (RFC 1350 §4). A value with one owner.
class Dissector {
 public:
  static constexpr std::size_t kTransfers = 4096;  // remembered; the oldest is forgotten

  Summary look(ByteView frame);

 private:
  using Endpoint = std::pair<IpAddress, std::uint16_t>;

  void look_into_ip4(ByteView packet, Summary& summary);
  void look_into_ip6(ByteView packet, Summary& summary);
  void look_into_transport(std::uint8_t protocol, ByteView segment, Summary& summary);
  void look_into_udp(ByteView datagram, Summary& summary);
  void remember(const Endpoint& client);

  std::set<Endpoint> transfers_;
  std::deque<Endpoint> by_age_;
};

}  // namespace rookery::netsim
