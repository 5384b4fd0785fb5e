#include "netsim/mac_address.h"

#include <charconv>

namespace rookery::netsim {

std::optional<MacAddress> MacAddress::from_bytes(ByteView bytes) {
  if (bytes.size() < kSize) return std::nullopt;
  std::uint64_t bits = 0;
  for (std::uint8_t byte : bytes.first(kSize)) bits = bits << 8 | byte;
  return MacAddress(bits);
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  if (text.size() != 3 * kSize - 1) return std::nullopt;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    const std::string_view pair = text.substr(3 * i, 2);
    std::uint8_t byte = 0;
    const auto read = std::from_chars(pair.data(), pair.data() + 2, byte, 16);
    if (read.ec != std::errc() || read.ptr != pair.data() + 2) return std::nullopt;
    if (i > 0 && text[3 * i - 1] != ':' && text[3 * i - 1] != '-') return std::nullopt;
    bits = bits << 8 | byte;
  }
  return MacAddress(bits);
}

std::string MacAddress::text() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(3 * kSize);
  for (unsigned i = 0; i < kSize; ++i) {
    if (i > 0) out += ':';
    const auto byte = static_cast<unsigned>(bits_ >> (40 - 8 * i) & 0xff);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 0xf];
  }
  return out;
}

}  // namespace rookery::netsim
