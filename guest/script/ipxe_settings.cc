#include "guest/script/ipxe_settings.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace rookery::ipxe {
namespace {

struct TypeName {
  std::string_view name;
  SettingType type;
};
constexpr TypeName kTypes[] = {
    {"string", SettingType::string}, {"uristring", SettingType::uristring},
    {"ipv4", SettingType::ipv4},     {"ipv6", SettingType::ipv6},
    {"int8", SettingType::int8},     {"int16", SettingType::int16},
    {"int32", SettingType::int32},   {"uint8", SettingType::uint8},
    {"uint16", SettingType::uint16}, {"uint32", SettingType::uint32},
    {"hex", SettingType::hex},       {"hexhyp", SettingType::hexhyp},
    {"hexraw", SettingType::hexraw}, {"base64", SettingType::base64},
    {"uuid", SettingType::uuid},     {"guid", SettingType::guid},
};
constexpr char kHexDigits[] = "0123456789abcdef";

std::string hex_with(ByteView bytes, std::string_view between) {
  std::string text;
  for (std::uint8_t byte : bytes) {
    if (!text.empty()) text += between;
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

std::string uri_encoded(ByteView bytes) {
  std::string text;
  for (std::uint8_t byte : bytes) {
    if (std::isalnum(byte) || byte == '-' || byte == '.' || byte == '_' || byte == '~') {
      text += static_cast<char>(byte);
    } else {
      (text += '%') += hex_with(ByteView(&byte, 1), "");
    }
  }
  return text;
}

std::string base64_of(ByteView bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? bytes[at + i] : 0u);
    for (std::size_t i = 0; i < 4; ++i) text += i <= count ? kDigits[group >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

std::string uuid_of(ByteView bytes, bool mixed_endian) {
  if (bytes.size() != 16) return {};
  ByteBuffer ordered(bytes.begin(), bytes.end());
  if (mixed_endian) {
    std::reverse(ordered.begin(), ordered.begin() + 4);
    std::reverse(ordered.begin() + 4, ordered.begin() + 6);
    std::reverse(ordered.begin() + 6, ordered.begin() + 8);
  }
  std::string text;
  std::size_t at = 0;
  for (std::size_t width : {4u, 2u, 2u, 2u, 6u}) {
    if (at != 0) text += '-';
    text += hex_with(ByteView(ordered).subspan(at, width), "");
    at += width;
  }
  return text;
}

std::uint32_t number_of(ByteView bytes) {
  std::uint32_t value = 0;
  for (std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

std::string signed_number(ByteView bytes, std::size_t width) {
  bytes = bytes.last(std::min(bytes.size(), width));
  const unsigned unused = static_cast<unsigned>(32 - 8 * bytes.size());
  if (unused == 32) return {};
  return std::to_string(static_cast<std::int32_t>(number_of(bytes) << unused) >> unused);
}

std::string unsigned_number(ByteView bytes, std::size_t width) {
  bytes = bytes.last(std::min(bytes.size(), width));
  if (bytes.empty()) return {};
  std::array<char, 8> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number_of(bytes), 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

template <std::size_t kSize>
std::string address(int family, ByteView bytes) {
  if (bytes.size() != kSize) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, bytes.data(), text.data(), text.size()) ? text.data() : "";
}

Result<ByteBuffer> parse_number(std::string_view text, std::size_t width) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const int base = text.starts_with("0x") || text.starts_with("0X") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (problem != std::errc{} || end != text.data() + text.size()) {
    return fail("'" + std::string(text.substr(0, 40)) + "' is not a number");
  }
  if (negative) value = 0 - value;
  ByteBuffer bytes;
  for (std::size_t i = width; i-- > 0;) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  return bytes;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<ByteBuffer> parse_hex(std::string_view text) {
  ByteBuffer bytes;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ':' || text[at] == '-') {
      ++at;
      continue;
    }
    const int high = hex_digit(text[at]);
    const int low = at + 1 < text.size() ? hex_digit(text[at + 1]) : -1;
    if (high < 0 || low < 0) return fail("'" + std::string(text.substr(0, 40)) + "' is not hexadecimal");
    bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
    at += 2;
  }
  return bytes;
}

Result<ByteBuffer> parse_ipv4(std::string_view text) {
  ByteBuffer bytes(4);
  if (inet_pton(AF_INET, std::string(text).c_str(), bytes.data()) != 1) {
    return fail("'" + std::string(text.substr(0, 40)) + "' is not an IPv4 address");
  }
  return bytes;
}

}  // namespace

std::optional<SettingType> setting_type(std::string_view name) {
  for (const TypeName& entry : kTypes) {
    if (entry.name == name) return entry.type;
  }
  return std::nullopt;
}

std::string format_setting(ByteView bytes, SettingType type) {
  switch (type) {
    case SettingType::string:
      return std::string(as_text(bytes));
    case SettingType::uristring:
      return uri_encoded(bytes);
    case SettingType::ipv4:
      return address<4>(AF_INET, bytes);
    case SettingType::ipv6:
      return address<16>(AF_INET6, bytes);
    case SettingType::int8:
      return signed_number(bytes, 1);
    case SettingType::int16:
      return signed_number(bytes, 2);
    case SettingType::int32:
      return signed_number(bytes, 4);
    case SettingType::uint8:
      return unsigned_number(bytes, 1);
    case SettingType::uint16:
      return unsigned_number(bytes, 2);
    case SettingType::uint32:
      return unsigned_number(bytes, 4);
    case SettingType::hex:
      return hex_with(bytes, ":");
    case SettingType::hexhyp:
      return hex_with(bytes, "-");
    case SettingType::hexraw:
      return hex_with(bytes, "");
    case SettingType::base64:
      return base64_of(bytes);
    case SettingType::uuid:
      return uuid_of(bytes, false);
    case SettingType::guid:
      return uuid_of(bytes, true);
  }
  return {};
}

Result<ByteBuffer> parse_setting(std::string_view text, SettingType type) {
  const ByteView raw = as_bytes(text);
  switch (type) {
    case SettingType::string:
      return ByteBuffer(raw.begin(), raw.end());
    case SettingType::ipv4:
      return parse_ipv4(text);
    case SettingType::int8:
    case SettingType::uint8:
      return parse_number(text, 1);
    case SettingType::int16:
    case SettingType::uint16:
      return parse_number(text, 2);
    case SettingType::int32:
    case SettingType::uint32:
      return parse_number(text, 4);
    case SettingType::hex:
    case SettingType::hexhyp:
    case SettingType::hexraw:
      return parse_hex(text);
    default:
      return fail("a setting of this type can be read but not set");
  }
}

}  // namespace rookery::ipxe
