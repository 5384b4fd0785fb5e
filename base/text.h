// What bytes mean as text, where several rooms read it: UTF-8, and MAC addresses. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rookery {

// The length of the character at the start of a text that is not empty, or 0 if there is no good one: UTF-8
// as RFC 3629 §4 has it, without NUL.
std::size_t utf8_length(std::string_view text);
// As much of a text as `most` bytes hold without cutting a character in two.
std::string_view cut_utf8(std::string_view text, std::size_t most);

// A MAC address as switches, systems and people write it, in either letter case: 52:54:00:12:34:56 (also
// without leading zeros, 0:16:3e:0:0:5), 5254.0012.3456, 525400-123456, 525400123456; the separator is ':',
// '-' or '.', the same one throughout.
std::optional<std::array<std::uint8_t, 6>> mac_from_text(std::string_view text);

}  // namespace rookery
