// A learning Ethernet switch (IEEE 802.1Q-2018 §8): learns sources, forwards, floods what it does not know,
// keeps VLANs apart. One owner; it is outlived by the loop and by every port attached to it. It must not be
// destroyed while it forwards.
//
// Sending out of a port may bring the next frame in before that call returns (two machines of ours that
// answer at once, two switches with two cables between them). Such a frame waits in a bounded list until the
// frame in hand is done, so nothing recurses; a turn handles only so many of them before the rest waits for
// the event loop; and a frame that passes more switches than a network can have without a loop is dropped and
// counted.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop/event_loop.h"
#include "netsim/address_table.h"
#include "netsim/forwarding_table.h"
#include "netsim/port.h"
#include "netsim/ring.h"
#include "netsim/vlan.h"

namespace rookery::netsim {

class Switch;

// Why a switch dropped a frame. Counted at the port where it came in, except those marked "out".
enum class SwitchDrop : std::uint8_t {
  port_down,         // it came in on a port that is down
  port_blocked,      // it came in on a port that does not forward (yet, or by spanning tree)
  bad_source,        // its source is a group or zero
  bad_tag,           // its VLAN tag is cut off, names VLAN 4095, or is followed by another tag
  reserved,          // to 01:80:C2:00:00:00 to :0F, which no bridge forwards
  vlan_refused,      // of a VLAN that the port is not in
  looped,            // it has passed kMostSwitches switches
  rogue_dhcp,        // a DHCP server's message from a port that is not trusted
  busy,              // more frames than kWaitingFrames came while others were being forwarded
  same_port,         // its destination is known to be where it came from
  out_port_down,     // out: its destination's port is down, or does not forward
  out_vlan_refused,  // out: its destination's port has left the VLAN
  out_no_buffer,     // out: adding or removing its tag needed a buffer and the pool is at its limit
};
inline constexpr std::size_t kSwitchDrops = 13;
std::string_view name(SwitchDrop drop);

struct SwitchPortCounters {
  std::uint64_t frames_in = 0;  // all that came, dropped ones included
  std::uint64_t bytes_in = 0;
  std::uint64_t frames_out = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t flooded = 0;   // of frames_in, those sent to all (broadcast, group, or unknown)
  std::uint64_t directed = 0;  // of frames_in, those to a group that were sent only to whom they concern
  std::array<std::uint64_t, kSwitchDrops> drops{};

  std::uint64_t dropped(SwitchDrop reason) const { return drops[static_cast<std::size_t>(reason)]; }
  std::uint64_t dropped() const;
};

// One port of a switch: what a device sends into. Made by Switch::attach, gone after Switch::detach.
class SwitchPort final : public Port {
 public:
  SwitchPort(Switch& owner, PortNumber number, std::string name, Port& out)
      : switch_(owner), number_(number), name_(std::move(name)), out_(&out) {}
  SwitchPort(const SwitchPort&) = delete;
  SwitchPort& operator=(const SwitchPort&) = delete;

  void send(Frame frame) override;  // from the device into the switch

  PortNumber number() const { return number_; }
  const std::string& name() const { return name_; }
  bool is_up() const { return up_; }
  bool is_blocked() const { return blocked_; }
  bool is_trusted() const { return trusted_; }
  const VlanMembership& vlans() const { return vlans_; }
  const SwitchPortCounters& counters() const { return counters_; }
  // Whether somebody behind it may listen to this IPv6 group, by its Ethernet address.
  bool hears(std::uint16_t vlan, MacAddress group) const;

 private:
  friend class Switch;
  void join(std::uint16_t vlan, MacAddress group);
  bool forwards() const { return up_ && !blocked_; }
  void count(SwitchDrop reason) { ++counters_.drops[static_cast<std::size_t>(reason)]; }

  Switch& switch_;
  PortNumber number_;
  std::string name_;
  Port* out_;
  bool up_ = true;
  bool blocked_ = false;
  bool attached_ = true;
  bool trusted_ = false;
  VlanMembership vlans_;
  bool hears_all_ = false;
  std::vector<std::uint64_t> groups_;  // VLAN and address, sorted
  SwitchPortCounters counters_;
};

struct SwitchRules {
  ForwardingTableRules table{};
  // DHCP snooping: what clients say goes to trusted ports only (so do IPv6 router solicitations), what
  // servers say comes from trusted ports only, and goes to the one client that it is for.
  bool dhcp_snooping = false;
  // ARP suppression (and the same for IPv6 neighbour solicitations): a question for an address whose owner is
  // known goes to its owner only, who answers it itself.
  bool arp_suppression = false;
  // MLD snooping (RFC 4541 §3): who listens to an IPv6 group is told to trusted ports only, and a probe for
  // an address (RFC 4862 §5.4) goes to those who listen to its group, and to trusted ports. All other
  // multicast is flooded: without a querier, a report that was lost would keep a machine from what it waits
  // for.
  bool mld_snooping = false;
  AddressTableRules addresses{};
};

class Switch {
 public:
  static constexpr std::size_t kWaitingFrames = 4096;  // that came while another was being forwarded
  static constexpr std::size_t kFramesPerTurn = 4096;  // of those, before the event loop gets its turn
  static constexpr std::size_t kGroupsPerPort = 4096;  // beyond, a port gets every group's frames
  // A frame and all its copies pass each switch once if there is no loop. Real Ethernet has no such limit: a
  // storm there ends when the cable is pulled, which is no way to end a simulation.
  static constexpr std::uint16_t kMostSwitches = 1024;

  Switch(EventLoop& loop, const SwitchRules& rules);
  Switch(const Switch&) = delete;
  Switch& operator=(const Switch&) = delete;
  ~Switch() { loop_.cancel(resume_); }

  // A new port, up, in VLAN 1, which sends to `out`. Numbers are given out from 0, the lowest free one first.
  SwitchPort& attach(std::string name, Port& out);
  // Takes a port away, with all that was learnt on it. Nothing may send into it afterwards.
  void detach(SwitchPort& port);

  void set_link(SwitchPort& port, bool up);  // going down forgets what was learnt there
  // A blocked port neither forwards nor learns (IEEE 802.1Q-2018 §8.4, "discarding").
  void set_blocked(SwitchPort& port, bool blocked);
  // Forgets where everyone is, for the ways have changed (§8.7.3).
  void forget_places();
  // From now on this port is taken to have a listener for every group: who listens behind it may have
  // changed, and nobody here asks again (RFC 4541 §2.1.1).
  void hear_all_groups(SwitchPort& port);
  // As a restart does: all places, all addresses, all groups.
  void forget_everything();
  void set_vlans(SwitchPort& port, const VlanMembership& vlans);
  // Whether DHCP servers and routers are behind this port (a server's own, or one that leads to another
  // switch).
  void set_trusted(SwitchPort& port, bool trusted);

  const ForwardingTable& table() const { return table_; }
  // Null if this switch does not snoop.
  const AddressTable* addresses() const { return addresses_ ? &*addresses_ : nullptr; }
  std::size_t port_count() const { return port_count_; }
  std::vector<const SwitchPort*> ports() const;  // in the order of their numbers

 private:
  friend class SwitchPort;
  struct Waiting {
    SwitchPort* from = nullptr;
    Frame frame;
  };

  void receive(SwitchPort& from, Frame frame);
  void work_off();
  void forward(SwitchPort& from, Frame frame);
  enum class Way : std::uint8_t { as_usual, trusted_ports, listeners, one_port, nowhere };
  struct Direction {
    Way way = Way::as_usual;
    PortNumber port = 0;
  };
  Direction direct(SwitchPort& from, std::uint16_t vlan, const Frame& frame);
  void flood(const SwitchPort& from, std::uint16_t vlan, const Frame& frame, Way to_whom);
  void deliver(SwitchPort& to, std::uint16_t vlan, Frame frame);
  void emit(SwitchPort& to, Frame frame);

  EventLoop& loop_;
  const bool dhcp_snooping_;
  const bool arp_suppression_;
  const bool mld_snooping_;
  ForwardingTable table_;
  std::optional<AddressTable> addresses_;
  std::vector<std::unique_ptr<SwitchPort>> ports_;    // by number; null where detached
  std::vector<std::unique_ptr<SwitchPort>> leaving_;  // detached while frames were being forwarded
  std::size_t port_count_ = 0;
  Ring<Waiting> waiting_;
  EventId resume_{};
  bool forwarding_ = false;
};

}  // namespace rookery::netsim
