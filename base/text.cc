#include "base/text.h"

#include <algorithm>

namespace rookery {
namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  const unsigned second = byte(1);
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && second < 0xa0, surrogate = first == 0xed && second > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && second < 0x90, too_high = first == 0xf4 && second > 0x8f;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_high ? 4 : 0;
  }
  return 0;
}

std::string_view cut_utf8(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

// Six parts of one or two digits, or fewer and longer ones with all their zeros.
std::optional<std::array<std::uint8_t, 6>> mac_from_text(std::string_view text) {
  constexpr std::size_t kLongest = 17;
  if (text.empty() || text.size() > kLongest) return std::nullopt;
  const std::size_t separator = text.find_first_of(":-.");
  const std::size_t parts =
      separator == std::string_view::npos
          ? 1
          : 1 + static_cast<std::size_t>(std::count(text.begin(), text.end(), text[separator]));
  if (parts != 1 && parts != 2 && parts != 3 && parts != 6) return std::nullopt;
  const std::size_t digits = 12 / parts;
  const char between = parts == 1 ? ':' : text[separator];
  std::array<std::uint8_t, 6> mac{};
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t end = part + 1 < parts ? text.find(between) : text.size();
    const std::string_view said = text.substr(0, end);
    text.remove_prefix(part + 1 < parts ? end + 1 : end);
    if (said.size() != digits && (parts != 6 || said.size() != 1)) return std::nullopt;
    for (std::size_t i = 0; i < said.size(); ++i) {
      const int value = digit_of(said[i]);
      if (value < 0) return std::nullopt;
      std::uint8_t& byte = mac[(part * digits + digits - said.size() + i) / 2];
      byte = static_cast<std::uint8_t>(byte << 4 | value);
    }
  }
  return mac;
}

}  // namespace rookery
