// Which port an address was last seen on, per VLAN (IEEE 802.1Q-2018 §8.8, the filtering database). A bounded
// value owned by one switch. Every operation takes bounded time, whatever addresses a guest invents: at most
// kProbes slots are looked at, and old entries are swept a few at a time, and only when room is wanted.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/units.h"
#include "netsim/mac_address.h"

namespace rookery::netsim {

using PortNumber = std::uint32_t;

struct ForwardingTableRules {
  std::size_t entries = 16'384;              // at most this many addresses; at least 1
  Duration age = std::chrono::seconds(300);  // IEEE 802.1Q-2018 table 8-6, ageing time
  std::uint64_t hash_seed = 0;  // from the run's own stream, so that a guest cannot aim at one slot
};

struct ForwardingTableCounters {
  std::uint64_t learnt = 0;
  std::uint64_t moved = 0;    // an address that was known on one port and came from another
  std::uint64_t aged = 0;     // entries found too old and taken out
  std::uint64_t refused = 0;  // not learnt, the table (or, for unlucky hashes, its neighbourhood) being full
};

class ForwardingTable {
 public:
  static constexpr std::size_t kProbes = 64;

  explicit ForwardingTable(const ForwardingTableRules& rules);

  // `vlan` is 1 to 4094. A group or zero address is not learnt. A full table refuses strangers and keeps what
  // it knows (rather than the reverse, with which one guest could make it forget all others).
  void learn(std::uint16_t vlan, MacAddress address, PortNumber port, Time now);
  std::optional<PortNumber> lookup(std::uint16_t vlan, MacAddress address, Time now) const;
  // Forgets what was learnt on a port. Looks at every slot: for when a port goes down, not for a frame.
  void forget(PortNumber port);
  void clear();

  // Entries, including those that are too old but not yet swept.
  std::size_t size() const { return size_; }
  const ForwardingTableCounters& counters() const { return counters_; }

 private:
  struct Slot {
    std::uint64_t key = 0;  // VLAN and address; 0 is free, there being no VLAN 0
    Time seen{};
    PortNumber port = 0;
  };

  static std::uint64_t key_of(std::uint16_t vlan, MacAddress address) {
    return std::uint64_t{vlan} << 48 | address.bits();
  }
  std::size_t home(std::uint64_t key) const;
  std::size_t find(std::uint64_t key) const;  // its slot, or kNowhere
  std::size_t free_slot(std::uint64_t key) const;
  void erase(std::size_t slot);
  void sweep(Time now);
  bool is_old(const Slot& slot, Time now) const { return now - slot.seen > rules_.age; }

  ForwardingTableRules rules_;
  ForwardingTableCounters counters_;
  std::vector<Slot> slots_;  // a power of two, at least twice the limit of entries
  unsigned shift_ = 0;
  std::size_t size_ = 0;
  std::size_t sweep_at_ = 0;
};

}  // namespace rookery::netsim
