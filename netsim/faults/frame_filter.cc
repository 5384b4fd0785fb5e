#include "netsim/faults/frame_filter.h"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace rookery::netsim {
namespace {

constexpr int kSnapLength = 65'535;

// The words of pcap-filter(7) that make sense of an Ethernet frame. All that is neither one of these nor a
// number nor an address libpcap would look up on the host: names of hosts, services and protocols.
constexpr std::array<std::string_view, 77> kWords{"host",
                                                  "net",
                                                  "port",
                                                  "portrange",
                                                  "mask",
                                                  "src",
                                                  "dst",
                                                  "ether",
                                                  "ip",
                                                  "ip6",
                                                  "arp",
                                                  "rarp",
                                                  "tcp",
                                                  "udp",
                                                  "icmp",
                                                  "icmp6",
                                                  "igmp",
                                                  "sctp",
                                                  "proto",
                                                  "protochain",
                                                  "broadcast",
                                                  "multicast",
                                                  "gateway",
                                                  "less",
                                                  "greater",
                                                  "len",
                                                  "length",
                                                  "vlan",
                                                  "and",
                                                  "or",
                                                  "not",
                                                  "stp",
                                                  "llc",
                                                  "i",
                                                  "s",
                                                  "u",
                                                  "rr",
                                                  "rnr",
                                                  "rej",
                                                  "ui",
                                                  "ua",
                                                  "disc",
                                                  "sabme",
                                                  "test",
                                                  "xid",
                                                  "frmr",
                                                  "pim",
                                                  "ah",
                                                  "esp",
                                                  "vrrp",
                                                  "carp",
                                                  "tcpflags",
                                                  "tcp-fin",
                                                  "tcp-syn",
                                                  "tcp-rst",
                                                  "tcp-push",
                                                  "tcp-ack",
                                                  "tcp-urg",
                                                  "tcp-ece",
                                                  "tcp-cwr",
                                                  "icmptype",
                                                  "icmpcode",
                                                  "icmp6type",
                                                  "icmp6code",
                                                  "icmp-echo",
                                                  "icmp-echoreply",
                                                  "icmp-unreach",
                                                  "icmp-redirect",
                                                  "icmp6-echo",
                                                  "icmp6-echoreply",
                                                  "icmp6-neighborsolicit",
                                                  "icmp6-neighboradvert",
                                                  "icmp6-routersolicit",
                                                  "icmp6-routeradvert",
                                                  "pppoed",
                                                  "pppoes",
                                                  "mpls"};

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Numbers, addresses and ranges: a digit in front, or hexadecimal digits between colons.
bool is_literal(std::string_view word, bool colons) {
  if (is_digit(word.front())) return true;
  return colons && std::all_of(word.begin(), word.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

struct Checked {
  std::string expression;
  bool vlan = false;
};

// Machines' names become their addresses; every other word must be libpcap's own.
Result<Checked> check_words(std::string_view text, const FrameFilter::AddressOf& address_of) {
  Checked checked;
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < ' ' || static_cast<unsigned char>(text[at]) > '~')
      return fail(ErrorKind::usage, "match: only printable ASCII characters, please");
    if (!is_word_character(text[at])) {
      checked.expression += text[at++];
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && is_word_character(text[end])) ++end;
    const std::string_view word = text.substr(at, end - at);
    // In brackets a colon stands between an offset and a size, both numbers; elsewhere it is an address's.
    const bool colons = (end < text.size() && text[end] == ':') || (at > 0 && text[at - 1] == ':');
    at = end;
    checked.vlan = checked.vlan || word == "vlan";
    if (std::find(kWords.begin(), kWords.end(), word) != kWords.end() || is_literal(word, colons)) {
      checked.expression += word;
    } else if (const auto address = address_of ? address_of(word) : std::nullopt) {
      checked.expression += *address;
    } else {
      return fail(
          ErrorKind::usage,
          fmt::format("match: '{}' is neither a word of pcap-filter(7), nor a number or address, nor a "
                      "machine of the lab",
                      word));
    }
  }
  return checked;
}

}  // namespace

struct FrameFilter::Program {
  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() { pcap_freecode(&code); }
  bpf_program code{};
};

FrameFilter::~FrameFilter() = default;

Result<std::shared_ptr<const FrameFilter>> FrameFilter::compile(std::string_view expression,
                                                                const AddressOf& address_of) {
  if (expression.size() > kLongest)
    return fail(ErrorKind::usage,
                fmt::format("match: {} characters; at most {}", expression.size(), kLongest));
  const auto checked = check_words(expression, address_of);
  if (!checked) return tl::unexpected<Error>(checked.error());
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> dead(pcap_open_dead(DLT_EN10MB, kSnapLength),
                                                            pcap_close);
  if (!dead) return fail("match: libpcap has no memory left");
  std::shared_ptr<FrameFilter> filter(new FrameFilter);
  filter->speaks_of_vlans_ = checked->vlan;
  filter->program_ = std::make_unique<Program>();
  if (pcap_compile(dead.get(), &filter->program_->code, checked->expression.c_str(), 1,
                   PCAP_NETMASK_UNKNOWN) != 0) {
    return fail(ErrorKind::usage, fmt::format("match: {}: '{}'", pcap_geterr(dead.get()), expression));
  }
  return filter;
}

bool FrameFilter::matches(const Frame& frame) const {
  const auto run = [&](ByteView bytes) {
    return bpf_filter(program_->code.bf_insns, bytes.data(), static_cast<u_int>(bytes.size()),
                      static_cast<u_int>(bytes.size())) != 0;
  };
  if (speaks_of_vlans_ || !frame.vlan_tag()) return run(frame.bytes());
  const Frame bare = Frame(frame).untagged();  // a copy: there is another handle
  return bare && run(bare.bytes());
}

}  // namespace rookery::netsim
