// The end of what a program said, in one line: where it says why it failed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/text.h"

namespace rookery::vboot {

inline constexpr std::size_t kLastLines = 3, kLastBytes = 400;

// The last lines that are not empty, with " / " between them, and at most so many bytes of their end.
inline std::string last_lines(std::string_view text) {
  std::string lines;
  for (std::size_t count = 0; count < kLastLines && lines.size() < kLastBytes;) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
      text.remove_suffix(1);
    if (text.empty()) break;
    const std::size_t start = text.find_last_of("\n\r") + 1;  // npos + 1 is 0
    lines = std::string(text.substr(start)) + (lines.empty() ? "" : " / ") + lines;
    text = text.substr(0, start);
    ++count;
  }
  if (lines.size() <= kLastBytes) return lines;
  std::size_t cut = lines.size() - kLastBytes;
  while (cut < lines.size() && (static_cast<unsigned char>(lines[cut]) & 0xc0) == 0x80) ++cut;
  return "…" + lines.substr(cut);
}

}  // namespace rookery::vboot
