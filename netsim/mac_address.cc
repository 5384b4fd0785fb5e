#include "netsim/mac_address.h"

#include "base/text.h"

namespace rookery::netsim {

std::optional<MacAddress> MacAddress::from_bytes(ByteView bytes) {
  if (bytes.size() < kSize) return std::nullopt;
  std::uint64_t bits = 0;
  for (std::uint8_t byte : bytes.first(kSize)) bits = bits << 8 | byte;
  return MacAddress(bits);
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  const auto bytes = mac_from_text(text);
  return bytes ? from_bytes(ByteView(*bytes)) : std::nullopt;
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
