// An Ethernet address as a value: 48 bits, ordered as its bytes are, printed and read as 52:54:00:00:00:07.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace rookery::netsim {

class MacAddress {
 public:
  static constexpr std::size_t kSize = 6;

  constexpr MacAddress() = default;
  // The lower 48 bits of `bits`, the first byte on the wire uppermost.
  static constexpr MacAddress from_bits(std::uint64_t bits) { return MacAddress(bits & kMask); }
  // The first six bytes of `bytes`; nothing if there are fewer.
  static std::optional<MacAddress> from_bytes(ByteView bytes);
  // In any of the forms that switches and systems print (base/text.h).
  static std::optional<MacAddress> parse(std::string_view text);
  static constexpr MacAddress broadcast() { return MacAddress(kMask); }

  constexpr std::uint64_t bits() const { return bits_; }
  // IEEE 802-2014 §8.2.2: the lowest bit of the first byte on the wire marks a group.
  constexpr bool is_group() const { return (bits_ >> 40 & 1) != 0; }
  constexpr bool is_broadcast() const { return bits_ == kMask; }
  constexpr bool is_zero() const { return bits_ == 0; }
  // IEEE 802.1Q-2018 table 8-1: 01:80:C2:00:00:00 to :0F concern one link only; no bridge forwards them.
  constexpr bool is_reserved_group() const { return (bits_ & ~std::uint64_t{0xf}) == 0x0180C2000000; }

  void write(std::uint8_t* to) const {
    for (unsigned i = 0; i < kSize; ++i) to[i] = static_cast<std::uint8_t>(bits_ >> (40 - 8 * i));
  }
  std::string text() const;

  friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;

 private:
  static constexpr std::uint64_t kMask = 0xffff'ffff'ffff;
  explicit constexpr MacAddress(std::uint64_t bits) : bits_(bits) {}
  std::uint64_t bits_ = 0;
};

}  // namespace rookery::netsim
