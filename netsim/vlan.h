// Which VLANs a switch port belongs to, and how frames look on its wire. A value, by default an access port
// of VLAN 1; IEEE 802.1Q-2018 §6.9 (what comes in) and §8.8 (who is a member, and who sees
// tags).
#pragma once

#include <bitset>
#include <cstdint>
#include <initializer_list>

namespace rookery::netsim {

inline constexpr std::uint16_t kDefaultVlan = 1;  // IEEE 802.1Q-2018 table 9-2
inline constexpr std::uint16_t kFirstVlan = 1;    // 0 marks a tag that carries only a priority
inline constexpr std::uint16_t kLastVlan = 4094;  // 4095 is reserved
constexpr bool is_vlan(unsigned id) {
  return id >= kFirstVlan && id <= kLastVlan;
}

class VlanMembership {
 public:
  // A machine's port: untagged frames of one VLAN, no tags.
  static VlanMembership access(std::uint16_t vlan) { return VlanMembership(vlan); }
  // A port to another switch: these VLANs with tags, and `native`, if it is not 0, without. What is no VLAN's
  // number is left out.
  static VlanMembership trunk(std::initializer_list<std::uint16_t> tagged, std::uint16_t native = 0) {
    VlanMembership result(native);
    for (std::uint16_t vlan : tagged) result.add_tagged(vlan);
    return result;
  }

  VlanMembership() = default;
  void add_tagged(std::uint16_t vlan) {
    if (is_vlan(vlan)) tagged_.set(vlan);
  }

  // The VLAN whose frames carry no tag here; 0 if untagged frames are refused.
  std::uint16_t untagged() const { return untagged_; }
  bool is_tagged(std::uint16_t vlan) const { return vlan != untagged_ && tagged_[vlan & 0xfff]; }
  bool contains(std::uint16_t vlan) const { return vlan == untagged_ || tagged_[vlan & 0xfff]; }

  friend bool operator==(const VlanMembership&, const VlanMembership&) = default;

 private:
  explicit VlanMembership(std::uint16_t untagged)
      : untagged_(is_vlan(untagged) ? untagged : std::uint16_t{0}) {}

  std::uint16_t untagged_ = kDefaultVlan;
  std::bitset<4096> tagged_;
};

}  // namespace rookery::netsim
