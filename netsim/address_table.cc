#include "netsim/address_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace rookery::netsim {

AddressTable::AddressTable(const AddressTableRules& rules) : rules_(rules) {
  entries_.resize(std::bit_ceil(std::max(rules_.entries, kWays)));
}

// Multiply and fold, as in the forwarding table.
std::span<AddressTable::Entry> AddressTable::set_of(std::uint16_t vlan, const IpAddress& address) {
  std::uint64_t hash = rules_.hash_seed ^ vlan;
  for (std::uint64_t part : {address.upper_bits(), address.lower_bits()}) {
    hash ^= part;
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccd;
    hash ^= hash >> 33;
    hash *= 0xc4ceb9fe1a85ec53;
    hash ^= hash >> 29;
  }
  const std::size_t sets = entries_.size() / kWays;
  return std::span(entries_).subspan((hash & (sets - 1)) * kWays, kWays);
}

AddressTable::Entry* AddressTable::place_for(std::uint16_t vlan, const IpAddress& address, bool binding,
                                             Time now) {
  Entry* place = nullptr;
  bool place_is_free = false;
  for (Entry& entry : set_of(vlan, address)) {
    if (entry.vlan == vlan && entry.address == address) return &entry;
    const bool is_free = entry.vlan == 0 || entry.ends <= now;
    // A binding may push hearsay out: a guest that invents addresses must not keep leases from being known.
    if (!place_is_free && (is_free || (binding && !entry.bound))) {
      place = &entry;
      place_is_free = is_free;
    }
  }
  return place;
}

void AddressTable::bind(std::uint16_t vlan, const IpAddress& address, MacAddress owner, Duration lease,
                        Time now) {
  if (address.is_zero() || owner.is_group() || owner.is_zero()) return;
  Entry* entry = place_for(vlan, address, true, now);
  if (entry == nullptr) {
    ++counters_.refused;
    return;
  }
  *entry = Entry{address, vlan, true, false, owner, now + lease, {}};
  ++counters_.bound;
}

void AddressTable::hear(std::uint16_t vlan, const IpAddress& address, MacAddress owner, Time now) {
  if (address.is_zero()) return;
  Entry* entry = place_for(vlan, address, false, now);
  if (entry == nullptr) {
    ++counters_.refused;
    return;
  }
  const bool known = entry->vlan == vlan && entry->address == address && entry->ends > now;
  if (known && entry->owner == owner) {
    entry->asked = false;
    if (!entry->bound) entry->ends = now + rules_.age;
    return;
  }
  if (known && entry->bound) {
    ++counters_.contested;
    return;
  }
  *entry = Entry{address, vlan, false, false, owner, now + rules_.age, {}};
  ++counters_.heard;
}

std::optional<MacAddress> AddressTable::ask(std::uint16_t vlan, const IpAddress& address, Time now) {
  for (Entry& entry : set_of(vlan, address)) {
    if (entry.vlan != vlan || entry.address != address) continue;
    if (entry.ends <= now) return std::nullopt;
    if (entry.asked && now - entry.asked_at >= kPatience) return std::nullopt;
    if (!entry.asked) entry.asked_at = now;
    entry.asked = true;
    return entry.owner;
  }
  return std::nullopt;
}

std::optional<AddressTable::Entry> AddressTable::find(std::uint16_t vlan, const IpAddress& address,
                                                      Time now) const {
  for (const Entry& entry : const_cast<AddressTable*>(this)->set_of(vlan, address)) {
    if (entry.vlan == vlan && entry.address == address && entry.ends > now) return entry;
  }
  return std::nullopt;
}

}  // namespace rookery::netsim
