#include "vboot/watch/boot_watch.h"

#include <algorithm>

namespace rookery::vboot {
namespace {

// Ethertypes and protocol numbers as in netsim/dissect.cc.
constexpr unsigned kIp4 = 0x0800, kArp = 0x0806, kVlan = 0x8100, kIp6 = 0x86DD;
constexpr unsigned kIcmp = 1, kTcp = 6, kUdp = 17;

bool begins_a_message(ByteView payload) {
  constexpr std::string_view kBeginnings[] = {
      "HTTP", "GET ", "HEAD", "POST", "PUT ", "NBDM", "IHAV", std::string_view("\x00\x03\xe8\x89", 4)};
  if (payload.size() < 4) return false;
  const std::string_view first = as_text(payload.first(4));
  return std::any_of(std::begin(kBeginnings), std::end(kBeginnings),
                     [&](std::string_view one) { return one == first; }) ||
         as_text(payload.subspan(4)).starts_with("IHAV");  // behind an NBD client's flags
}

// The last part of a URL or path: how a script names what DHCP named in full, or the other way round.
std::string_view last_part(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);
}

}  // namespace

bool worth_a_look(ByteView frame) {
  const auto be16 = [&](std::size_t at) {
    return at + 2 <= frame.size() ? static_cast<unsigned>(frame[at] << 8 | frame[at + 1]) : 0u;
  };
  std::size_t at = 12;
  unsigned type = be16(at);
  if (type == kVlan) type = be16(at += 4);
  at += 2;
  if (type == kArp) return true;
  unsigned protocol = 0;
  if (type == kIp4 && at + 20 <= frame.size()) {
    protocol = frame[at + 9];
    at += std::size_t{frame[at] & 0xfU} * 4;
  } else if (type == kIp6 && at + 40 <= frame.size()) {
    protocol = frame[at + 6];
    at += 40;
    if (protocol != kTcp)
      return true;  // ICMPv6 (nobody listens, a router), or a header that hides what follows
  }
  if (protocol == kUdp || protocol == kIcmp) return true;
  if (protocol != kTcp || at + 20 > frame.size()) return false;
  constexpr unsigned kSynOrReset = 0x06;
  if ((frame[at + 13] & kSynOrReset) != 0) return true;
  at += std::size_t{frame[at + 12] & 0xf0U} >> 2;
  return at < frame.size() && begins_a_message(frame.subspan(at));
}

void BootWatch::see(BootRecord& record, netsim::Direction direction, const netsim::Frame& frame, Time now,
                    std::uint64_t frame_number) {
  const bool sent = direction == netsim::Direction::outbound;
  if (sent) {
    ++record.wire.sent;
  } else {
    ++record.wire.heard;
    record.wire.last_heard = now;
  }
  if (!worth_a_look(frame.bytes())) return;
  const netsim::Summary summary = dissector_.look(frame.bytes());
  // What others say to one another, or to all, is not of this boot.
  if (const auto* dhcp = summary.as<netsim::DhcpSeen>()) {
    if (dhcp->client != machine_) return;
  } else if ((sent ? summary.source : summary.destination) != machine_) {
    return;
  }
  record.wire.see(summary, sent, now, frame_number);
  move_on(record, summary, sent, now);
}

// What is fetched first, or what DHCP named, is the script; any other file after it is what the script boots.
// (A boot ROM that loads another one, which asks again, is in the stage script meanwhile.)
void BootWatch::move_on(BootRecord& record, const netsim::Summary& summary, bool sent, Time now) {
  if (!sent) return;
  if (summary.as<netsim::DhcpSeen>() != nullptr) return record.enter(Stage::dhcp, record.detail, now);
  if (record.agent_spoke) return;
  const auto* http = summary.as<netsim::HttpSeen>();
  const auto* tftp = summary.as<netsim::TftpSeen>();
  if ((http != nullptr && http->status == 0) ||
      (tftp != nullptr && tftp->opcode == netsim::TftpOpcode::read)) {
    const WireEvidence& wire = record.wire;
    const bool is_script = last_part(wire.file) == last_part(wire.boot_file) || record.stage < Stage::script;
    record.enter(is_script ? Stage::script : Stage::kernel, wire.file, now);
  } else if (const auto* tcp = summary.as<netsim::TcpSeen>()) {
    const bool of_files =
        tcp->service == netsim::TcpService::http || tcp->service == netsim::TcpService::https;
    if (!of_files && tcp->step == netsim::TcpSeen::Step::asked) {
      record.enter(Stage::root, std::string(netsim::name(tcp->service)) + " at " + summary.to.text(), now);
    }
  }
}

}  // namespace rookery::vboot
