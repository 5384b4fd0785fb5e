// What a machine's own cable showed of its boot: how often each kind of message passed, when first and last,
// and what the last one said. Bounded by its type: a machine that babbles makes numbers larger, and nothing
// else. A plain value; the boot record has one for each boot.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "netsim/dissect.h"

namespace rookery::vboot {

enum class WireStep : std::uint8_t {
  discover,
  offer,
  request,
  ack,
  nak,
  arp_question,  // of the machine
  arp_answer,    // to it
  file_asked,    // connections for files: HTTP, HTTPS
  file_accepted,
  file_reset,  // by the server
  http_request,
  http_answer,
  http_error,
  tftp_read,
  tftp_data,
  tftp_error,
  root_asked,  // connections for the root: NBD, iSCSI, NFS
  root_accepted,
  root_reset,
  nbd_asked,
  nbd_accepted,
  nbd_refused,
  unreachable,
};
inline constexpr std::size_t kWireSteps = 23;
std::string_view to_string(WireStep step);  // "DHCP DISCOVER"

struct Sighting {
  std::uint32_t count = 0;
  Time first{}, last{};
  std::uint64_t frame = 0;  // of the last one in the capture, from 1; 0: there was none
};

struct WireEvidence {
  std::array<Sighting, kWireSteps> steps{};
  std::uint64_t sent = 0, heard = 0;  // frames of all kinds
  Time last_heard{};

  // Of the last message of its kind; texts are bounded and printable (netsim::kLongestWireText).
  netsim::IpAddress address, server;          // given by DHCP
  std::string boot_file;                      // named by DHCP
  std::optional<std::uint16_t> architecture;  // that it says to be (option 93), if it is not iPXE that asks
  std::string nak;                            // why the NAK
  netsim::IpAddress asked_for;                // of the last ARP question without an answer
  netsim::IpAddress file_server, root_server;
  netsim::TcpService root_service = netsim::TcpService::nbd;
  std::string file;  // asked for last, by HTTP or TFTP
  bool by_tftp = false;
  std::uint16_t http_status = 0;  // of the answer to that; 0: none yet
  std::string answer;             // its words; of TFTP those of an error
  std::string share;              // the NBD export asked for
  std::uint16_t unreachable_port = 0;
  std::uint32_t nbd_error = 0;
  std::string nbd_words;

  const Sighting& of(WireStep step) const { return steps[static_cast<std::size_t>(step)]; }
  std::uint32_t count(WireStep step) const { return of(step).count; }
  // Its root's server has taken it: the connection and, by NBD, the export. More of a boot no frame tells.
  bool has_root() const;
  // `frame`: its number in the capture, or 0.
  void see(const netsim::Summary& summary, bool was_sent, Time now, std::uint64_t frame);

 private:
  void note(WireStep step, Time now, std::uint64_t frame);
  void see_dhcp(const netsim::DhcpSeen& seen, Time now, std::uint64_t frame);
  void see_tcp(const netsim::Summary& summary, const netsim::TcpSeen& seen, Time now, std::uint64_t frame);
  void see_nbd(const netsim::NbdSeen& seen, Time now, std::uint64_t frame);
};

}  // namespace rookery::vboot
