// Who has an IP address, per VLAN, as a switch has heard it: from DHCP's acknowledgements (bindings), and
// from ARP and neighbour discovery (hearsay). A bounded value owned by one switch; every operation looks at
// kWays entries and no more. *Where* the owner is, is the forwarding table's to say: so a machine that moves,
// or whose port goes down, is never looked for where it was.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/units.h"
#include "netsim/ip_address.h"
#include "netsim/mac_address.h"

namespace rookery::netsim {

struct AddressTableRules {
  std::size_t entries = 16'384;              // rounded up to a power of two, at least kWays
  Duration age = std::chrono::seconds(300);  // of hearsay; a binding lives as long as its lease
  std::uint64_t hash_seed = 0;  // from the run's own stream, so that a guest cannot aim at one set
};

struct AddressTableCounters {
  std::uint64_t bound = 0;      // by DHCP
  std::uint64_t heard = 0;      // newly, by ARP or neighbour discovery
  std::uint64_t contested = 0;  // hearsay against a living binding, not believed
  std::uint64_t refused = 0;    // no room
};

class AddressTable {
 public:
  static constexpr std::size_t kWays = 8;
  // An owner that has been asked and still says nothing after this is asked no more: the question goes to all
  // again. Linux asks again after one second (net.ipv4.neigh.*.retrans_time_ms).
  static constexpr Duration kPatience = std::chrono::milliseconds(900);

  explicit AddressTable(const AddressTableRules& rules);

  // `address` was given to `owner` by a DHCP server. Replaces hearsay, and an older binding.
  void bind(std::uint16_t vlan, const IpAddress& address, MacAddress owner, Duration lease, Time now);
  // `owner` says that `address` is its own. Never replaces a living binding to another owner.
  void hear(std::uint16_t vlan, const IpAddress& address, MacAddress owner, Time now);
  // Who is to be asked for `address`; nobody if that is not known, or the owner has not answered.
  std::optional<MacAddress> ask(std::uint16_t vlan, const IpAddress& address, Time now);

  void clear() { entries_.assign(entries_.size(), Entry{}); }

  struct Entry {
    IpAddress address;
    std::uint16_t vlan = 0;  // 0: free
    bool bound = false;
    bool asked = false;  // since its owner was last heard
    MacAddress owner;
    Time ends{};
    Time asked_at{};
  };
  // What is known of an address, for reports and tests.
  std::optional<Entry> find(std::uint16_t vlan, const IpAddress& address, Time now) const;
  const AddressTableCounters& counters() const { return counters_; }

 private:
  std::span<Entry> set_of(std::uint16_t vlan, const IpAddress& address);
  // The entry of this address, or the one to put it in, or null.
  Entry* place_for(std::uint16_t vlan, const IpAddress& address, bool binding, Time now);

  AddressTableRules rules_;
  AddressTableCounters counters_;
  std::vector<Entry> entries_;  // sets of kWays
};

}  // namespace rookery::netsim
