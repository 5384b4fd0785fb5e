// The addresses that a plan hands out: IPv4 addresses and subnets, and MAC addresses, as values and as text.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rookery::vboot {

// One IPv4 address, in host order so that addresses can be counted.
struct Ipv4 {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(const Ipv4&, const Ipv4&) = default;
  friend constexpr Ipv4 operator+(Ipv4 a, std::uint32_t n) { return Ipv4{a.value + n}; }
};

// An IPv4 network of a lab: /8 to /28, with no host bits set.
struct Ipv4Subnet {
  Ipv4 network;
  unsigned prefix = 16;

  constexpr std::uint32_t size() const { return std::uint32_t{1} << (32 - prefix); }
  constexpr Ipv4 netmask() const { return Ipv4{~(size() - 1)}; }
  constexpr Ipv4 broadcast() const { return network + (size() - 1); }
  friend constexpr bool operator==(const Ipv4Subnet&, const Ipv4Subnet&) = default;
};

using MacBytes = std::array<std::uint8_t, 6>;

std::string to_text(Ipv4 address);         // "10.77.0.1"
std::string to_text(Ipv4Subnet subnet);    // "10.77.0.0/16"
std::string to_text(const MacBytes& mac);  // "52:54:00:00:00:01"

// Errors are of kind usage and say what was expected and found.
Result<Ipv4> parse_ipv4(std::string_view text);
Result<Ipv4Subnet> parse_subnet(std::string_view text);

}  // namespace rookery::vboot
