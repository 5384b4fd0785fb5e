// Quantities with their units, as people write them in a lab file: "64 MiB", "100 us", "1 Gbit/s". A number
// without its unit is an error, and so is one that is no whole number of bytes, nanoseconds or bits per
// second.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace rookery::vboot {

// The speed of a link.
struct BitRate {
  std::uint64_t bits_per_second = 0;
  friend constexpr auto operator<=>(const BitRate&, const BitRate&) = default;
};

// A whole or decimal number (at most three places), at most one space, and a unit. Errors are of kind usage.
Result<Bytes> parse_size(std::string_view text);         // B KiB MiB GiB
Result<Duration> parse_duration(std::string_view text);  // ns us ms s min h
Result<BitRate> parse_bit_rate(std::string_view text);   // bit/s kbit/s Mbit/s Gbit/s

// The shortest such text that means exactly the value.
std::string to_text(Bytes size);
std::string to_text(Duration duration);
std::string to_text(BitRate rate);

}  // namespace rookery::vboot
