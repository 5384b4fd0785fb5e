#include "vboot/watch/wire_evidence.h"

namespace rookery::vboot {

using netsim::DhcpType;

std::string_view to_string(WireStep step) {
  constexpr std::array<std::string_view, kWireSteps> kNames{
      "DHCP DISCOVER",      "DHCP OFFER",       "DHCP REQUEST",
      "DHCP ACK",           "DHCP NAK",         "ARP question",
      "ARP answer",         "HTTP connection",  "HTTP connection accepted",
      "HTTP reset",         "HTTP request",     "HTTP answer",
      "HTTP error",         "TFTP read",        "TFTP data",
      "TFTP error",         "root connection",  "root connection accepted",
      "root reset",         "NBD export asked", "NBD export accepted",
      "NBD export refused", "ICMP unreachable"};
  return kNames[static_cast<std::size_t>(step)];
}

bool WireEvidence::has_root() const {
  return count(WireStep::root_accepted) > 0 &&
         (root_service != netsim::TcpService::nbd || count(WireStep::nbd_accepted) > 0);
}

void WireEvidence::note(WireStep step, Time now, std::uint64_t frame) {
  Sighting& sighting = steps[static_cast<std::size_t>(step)];
  if (sighting.count == 0) sighting.first = now;
  if (sighting.count < ~std::uint32_t{0}) ++sighting.count;
  sighting.last = now;
  sighting.frame = frame;
}

void WireEvidence::see(const netsim::Summary& summary, bool was_sent, Time now, std::uint64_t frame) {
  if (const auto* dhcp = summary.as<netsim::DhcpSeen>()) return see_dhcp(*dhcp, now, frame);
  if (const auto* tcp = summary.as<netsim::TcpSeen>()) return see_tcp(summary, *tcp, now, frame);
  if (const auto* nbd = summary.as<netsim::NbdSeen>()) return see_nbd(*nbd, now, frame);
  if (const auto* arp = summary.as<netsim::ArpSeen>()) {
    // RFC 5227 §2.1.1: a probe comes from no address, and an announcement asks for its own; neither waits.
    const bool waits = !arp->sender_address.is_zero() && !(arp->sender_address == arp->target_address);
    if (was_sent && !arp->is_reply && waits) {
      note(WireStep::arp_question, now, frame);
      asked_for = arp->target_address;
    } else if (!was_sent && arp->is_reply) {
      note(WireStep::arp_answer, now, frame);
      if (arp->sender_address == asked_for) asked_for = {};
    }
  } else if (const auto* http = summary.as<netsim::HttpSeen>()) {
    if (was_sent && http->status == 0) {
      note(WireStep::http_request, now, frame);
      file_server = summary.to;
      file = http->path;
      by_tftp = false;
      http_status = 0;
      answer.clear();
    } else if (!was_sent && http->status != 0) {
      note(http->status >= 400 ? WireStep::http_error : WireStep::http_answer, now, frame);
      http_status = http->status;
      answer = http->reason;
    }
  } else if (const auto* tftp = summary.as<netsim::TftpSeen>()) {
    if (was_sent && tftp->opcode == netsim::TftpOpcode::read) {
      note(WireStep::tftp_read, now, frame);
      file_server = summary.to;
      file = tftp->file;
      by_tftp = true;
      answer.clear();
    } else if (!was_sent && tftp->opcode == netsim::TftpOpcode::data) {
      note(WireStep::tftp_data, now, frame);
    } else if (!was_sent && tftp->opcode == netsim::TftpOpcode::error) {
      note(WireStep::tftp_error, now, frame);
      answer = tftp->message;
    }
  } else if (const auto* unreachable = summary.as<netsim::UnreachableSeen>(); unreachable && !was_sent) {
    note(WireStep::unreachable, now, frame);
    unreachable_port = unreachable->port;
  }
}

void WireEvidence::see_dhcp(const netsim::DhcpSeen& seen, Time now, std::uint64_t frame) {
  if (!seen.from_server) {
    const bool is_ipxe = seen.user_class.find("iPXE") != std::string::npos;
    architecture = is_ipxe ? std::nullopt : seen.architecture;
    if (seen.type == DhcpType::discover) boot_file.clear();
  } else if (!seen.file.empty()) {  // of two servers, one may give the address and the other name the file
    boot_file = seen.file;
  }
  switch (seen.type) {
    case DhcpType::discover:
      return note(WireStep::discover, now, frame);
    case DhcpType::offer:
      return note(WireStep::offer, now, frame);
    case DhcpType::request:
      return note(WireStep::request, now, frame);
    case DhcpType::nak:
      nak = seen.message;
      return note(WireStep::nak, now, frame);
    case DhcpType::ack:
      if (!seen.your_address.is_zero()) {
        address = seen.your_address;
        server = seen.server;
      }
      return note(WireStep::ack, now, frame);
    default:
      return;
  }
}

void WireEvidence::see_tcp(const netsim::Summary& summary, const netsim::TcpSeen& seen, Time now,
                           std::uint64_t frame) {
  const bool of_files = seen.service == netsim::TcpService::http || seen.service == netsim::TcpService::https;
  if (seen.step == netsim::TcpSeen::Step::asked && !seen.from_server) {
    (of_files ? file_server : root_server) = summary.to;
    if (!of_files) root_service = seen.service;
    note(of_files ? WireStep::file_asked : WireStep::root_asked, now, frame);
  } else if (seen.step == netsim::TcpSeen::Step::accepted) {
    note(of_files ? WireStep::file_accepted : WireStep::root_accepted, now, frame);
  } else if (seen.step == netsim::TcpSeen::Step::reset && seen.from_server) {
    note(of_files ? WireStep::file_reset : WireStep::root_reset, now, frame);
  }
}

void WireEvidence::see_nbd(const netsim::NbdSeen& seen, Time now, std::uint64_t frame) {
  switch (seen.step) {
    case netsim::NbdSeen::Step::greeted:
      return;
    case netsim::NbdSeen::Step::asked:
      share = seen.share;
      return note(WireStep::nbd_asked, now, frame);
    case netsim::NbdSeen::Step::accepted:
      return note(WireStep::nbd_accepted, now, frame);
    case netsim::NbdSeen::Step::refused:
      nbd_error = seen.error;
      nbd_words = seen.message;
      return note(WireStep::nbd_refused, now, frame);
  }
}

}  // namespace rookery::vboot
