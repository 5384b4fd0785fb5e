// An IPv4 or IPv6 address as a value, as dissect.h hands it out.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace rookery::netsim {

class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  static IpAddress v4(std::uint32_t bits) {
    IpAddress result;
    for (unsigned i = 0; i < 4; ++i) result.bytes_[i] = static_cast<std::uint8_t>(bits >> (24 - 8 * i));
    return result;
  }
  // Four or sixteen bytes as on the wire; anything else is 0.0.0.0.
  static IpAddress from_bytes(ByteView bytes) {
    IpAddress result;
    if (bytes.size() != 4 && bytes.size() != 16) return result;
    result.is_v6_ = bytes.size() == 16;
    for (std::size_t i = 0; i < bytes.size(); ++i) result.bytes_[i] = bytes[i];
    return result;
  }

  bool is_v6() const { return is_v6_; }
  bool is_zero() const { return bytes_ == std::array<std::uint8_t, 16>{}; }
  // Its sixteen bytes as two numbers, for hashing; an IPv4 address is in the first.
  std::uint64_t upper_bits() const { return std::bit_cast<std::array<std::uint64_t, 2>>(bytes_)[0]; }
  std::uint64_t lower_bits() const { return std::bit_cast<std::array<std::uint64_t, 2>>(bytes_)[1]; }
  std::string text() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  bool is_v6_ = false;
};

}  // namespace rookery::netsim
