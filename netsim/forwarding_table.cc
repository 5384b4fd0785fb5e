#include "netsim/forwarding_table.h"

#include <algorithm>
#include <bit>

// Open addressing with linear probing, and deletion by moving later entries back (Knuth, The Art of Computer
// Programming, volume 3, §6.4, algorithm R), so that there are no tombstones and a lookup ends at the first
// free slot. An entry is never further than kProbes - 1 slots from its home; deletion only brings entries
// nearer to theirs.

namespace rookery::netsim {
namespace {

constexpr std::size_t kNowhere = ~std::size_t{0};
constexpr std::size_t kSweptAtOnce = 64;

}  // namespace

ForwardingTable::ForwardingTable(const ForwardingTableRules& rules) : rules_(rules) {
  rules_.entries = std::max<std::size_t>(rules_.entries, 1);
  slots_.resize(std::bit_ceil(std::max(2 * rules_.entries, kProbes)));
  shift_ = static_cast<unsigned>(64 - std::countr_zero(slots_.size()));
}

// Two rounds of multiply and fold (the finaliser of MurmurHash3), the upper bits taken.
std::size_t ForwardingTable::home(std::uint64_t key) const {
  std::uint64_t hash = key ^ rules_.hash_seed;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccd;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53;
  return static_cast<std::size_t>(hash >> shift_);
}

std::size_t ForwardingTable::find(std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = home(key);
  for (std::size_t probe = 0; probe < kProbes; ++probe, at = (at + 1) & mask) {
    if (slots_[at].key == key) return at;
    if (slots_[at].key == 0) break;
  }
  return kNowhere;
}

std::size_t ForwardingTable::free_slot(std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = home(key);
  for (std::size_t probe = 0; probe < kProbes; ++probe, at = (at + 1) & mask) {
    if (slots_[at].key == 0) return at;
  }
  return kNowhere;
}

void ForwardingTable::learn(std::uint16_t vlan, MacAddress address, PortNumber port, Time now) {
  if (address.is_group() || address.is_zero()) return;
  const std::uint64_t key = key_of(vlan, address);
  if (const std::size_t known = find(key); known != kNowhere) {
    Slot& slot = slots_[known];
    if (slot.port != port) {
      if (!is_old(slot, now)) ++counters_.moved;
      slot.port = port;
    }
    slot.seen = now;
    return;
  }
  if (size_ >= rules_.entries) sweep(now);
  const std::size_t at = size_ < rules_.entries ? free_slot(key) : kNowhere;
  if (at == kNowhere) {
    ++counters_.refused;
    return;
  }
  slots_[at] = Slot{key, now, port};
  ++size_;
  ++counters_.learnt;
}

std::optional<PortNumber> ForwardingTable::lookup(std::uint16_t vlan, MacAddress address, Time now) const {
  const std::size_t at = find(key_of(vlan, address));
  if (at == kNowhere || is_old(slots_[at], now)) return std::nullopt;
  return slots_[at].port;
}

void ForwardingTable::erase(std::size_t slot) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = slot;
  for (std::size_t at = (hole + 1) & mask; slots_[at].key != 0; at = (at + 1) & mask) {
    // An entry may move back into the hole unless its home lies behind the hole.
    const std::size_t from_home = (at - home(slots_[at].key)) & mask;
    const std::size_t from_hole = (at - hole) & mask;
    if (from_home < from_hole) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = Slot{};
  --size_;
}

void ForwardingTable::sweep(Time now) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t looked = 0; looked < kSweptAtOnce; ++looked) {
    if (slots_[sweep_at_].key != 0 && is_old(slots_[sweep_at_], now)) {
      erase(sweep_at_);  // another entry may have moved here: look at this slot again
      ++counters_.aged;
    } else {
      sweep_at_ = (sweep_at_ + 1) & mask;
    }
  }
}

void ForwardingTable::forget(PortNumber port) {
  // Entries only ever move back, and into the slot in hand or behind it: none slips past.
  for (std::size_t at = 0; at < slots_.size();) {
    if (slots_[at].key != 0 && slots_[at].port == port) {
      erase(at);
    } else {
      ++at;
    }
  }
}

void ForwardingTable::clear() {
  std::fill(slots_.begin(), slots_.end(), Slot{});
  size_ = 0;
}

}  // namespace rookery::netsim
