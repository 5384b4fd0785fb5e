// Lines of the files that a lab file names. For side_files.cc and public_keys.cc alone.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"

namespace rookery::vboot {

inline std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

inline std::string shown(std::string_view text) {
  std::string out;
  for (char c : cut_utf8(text, 64)) out += (c >= 0 && c < ' ') || c == 0x7f ? '?' : c;
  return text.size() > 64 ? out + "…" : out;
}

// What the text as a whole is if it is no UTF-8; empty: perhaps it is. UTF-16 is what a spreadsheet calls
// Unicode text: each letter has a zero byte beside it.
inline std::string problem_of_encoding(std::string_view text) {
  constexpr std::string_view kLittleEndian = "\xff\xfe", kBigEndian = "\xfe\xff";
  const std::string_view start = text.substr(0, 256);
  const auto zeros = static_cast<std::size_t>(std::count(start.begin(), start.end(), '\0'));
  if (text.starts_with(kLittleEndian) || text.starts_with(kBigEndian) || zeros * 4 > start.size())
    return "this is UTF-16 ('Unicode text'), not UTF-8";
  return {};
}

// Where the first byte is that is no UTF-8, counted from 1.
inline std::optional<int> not_utf8(std::string_view line) {
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t length = utf8_length(line.substr(at));
    if (length == 0) return static_cast<int>(at) + 1;
    at += length;
  }
  return std::nullopt;
}

// Hands on each line, without its end (LF, CRLF or CR), and its number.
template <typename Take>
void each_line(std::string_view text, Take take) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark, as spreadsheets write it
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    take(text.substr(0, end), number);
    text.remove_prefix(std::min(end + (text.substr(end).starts_with("\r\n") ? 2 : 1), text.size()));
  }
}

}  // namespace rookery::vboot
