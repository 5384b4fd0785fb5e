#include "base/printable.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <iterator>
#include <utility>

namespace rookery {
namespace {

constexpr std::size_t kLongestSequence = 64;  // a control sequence that is longer is none

struct Character {
  std::size_t length = 1;
  std::uint32_t code = 0;
  bool valid = false;
};

// How many bytes a character has that begins so; 0: none does (RFC 3629, section 3).
std::size_t length_of(unsigned char first) {
  return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

Character first_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = length_of(byte(0));
  if (length == 1) return {1, byte(0), true};
  if (length == 0 || text.size() < length) return {1, byte(0), false};
  std::uint32_t code = byte(0) & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {1, byte(0), false};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool valid = code >= kLeast[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return {valid ? length : 1, valid ? code : byte(0), valid};
}

bool is_control(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

// Lines and paragraphs of their own, and marks and embeddings of direction (Unicode Annex 9).
bool deceives(std::uint32_t code) {
  return code == 0x61c || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

std::string shown(std::string_view text, bool with_lines) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const Character one = first_of(text);
    if (one.code == '\n' || one.code == '\t') {
      safe += with_lines ? text[0] : ' ';
    } else if (!one.valid || is_control(one.code)) {
      fmt::format_to(std::back_inserter(safe), "\\x{:02x}", one.code);
    } else if (deceives(one.code)) {
      fmt::format_to(std::back_inserter(safe), "\\u{:04x}", one.code);
    } else {
      safe += text.substr(0, one.length);
    }
    text.remove_prefix(one.length);
  }
  return safe;
}

}  // namespace

std::string printable(std::string_view text) {
  return shown(text, false);
}

std::string printable_lines(std::string_view text) {
  return shown(text, true);
}

std::string ConsoleFilter::take(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) put(static_cast<unsigned char>(byte), out);
  return out;
}

std::string ConsoleFilter::calm() {
  return std::exchange(coloured_, false) ? "\x1b[0m" : "";
}

// ECMA-48: ESC [ begins a control sequence (5.4), whose last byte is one from @ to ~; ESC and one of P X ] ^
// _ a string (5.6) up to BEL, or to ESC and a backslash; ESC and intermediate bytes end with one from 0 to ~.
void ConsoleFilter::put(unsigned char byte, std::string& out) {
  constexpr unsigned char kEscape = 0x1b, kBell = 0x07;
  if (byte == kEscape) {
    in_ = in_ == In::string || in_ == In::string_escape ? In::string_escape : In::escape;
    held_.clear();
    return;
  }
  switch (in_) {
    case In::text:
      return put_text(byte, out);
    case In::escape:
      if (byte == '[') {
        in_ = In::control;
      } else if (byte == 'P' || byte == 'X' || byte == ']' || byte == '^' || byte == '_') {
        in_ = In::string;
      } else if (byte < 0x20 || byte > 0x2f) {
        in_ = In::text;
        if (byte < 0x20) put_text(byte, out);
      }
      return;
    case In::control:
      if (byte < 0x20 || byte > 0x7e || held_.size() == kLongestSequence) {
        in_ = In::text;
        held_.clear();
        return put_text(byte, out);
      }
      held_ += static_cast<char>(byte);
      if (byte < '@') return;
      in_ = In::text;
      if (byte == 'm' && held_.find_first_not_of("0123456789;:m") == std::string::npos) {
        out += "\x1b[" + held_;
        coloured_ = held_ != "m" && held_ != "0m";
      }
      held_.clear();
      return;
    case In::string_escape:
      in_ = byte == '\\' ? In::text : In::string;
      return;
    case In::string:
      if (byte == kBell || byte == '\n') in_ = In::text;  // a line's end: it was no string
      return;
  }
}

// Whole characters only, without controls but the ends of lines and tabs.
void ConsoleFilter::put_text(unsigned char byte, std::string& out) {
  if (!held_.empty() && (byte & 0xc0) != 0x80) out += printable(std::exchange(held_, {}));
  if (held_.empty() && byte < 0x80) {
    if (byte == '\n' || byte == '\t' || (byte >= 0x20 && byte != 0x7f)) out += static_cast<char>(byte);
    return;
  }
  held_ += static_cast<char>(byte);
  const std::size_t length = length_of(static_cast<unsigned char>(held_.front()));
  if (held_.size() < length) return;
  out += printable(std::exchange(held_, {}));
}

}  // namespace rookery
