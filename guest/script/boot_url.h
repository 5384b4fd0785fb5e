// The URLs of a network boot: of the script, the kernel and what they name. Pure values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rookery::ipxe {

inline constexpr std::size_t kUrlMax = 2048;

struct BootUrl {
  std::string scheme;      // lower case: http, tftp, nbd, …
  std::string host;        // a name or an address; an IPv6 address without its brackets
  std::uint16_t port = 0;  // 0: the scheme's own
  std::string path;        // with its leading slash, and the query if there is one

  std::string to_string() const;
  std::string file_name() const;  // the path's last part, without the query
};

// scheme://host[:port][/path]. Spaces, control characters, user names and empty hosts are refused.
Result<BootUrl> parse_url(std::string_view text);

// What `reference` means in a script that came from `base` (RFC 3986 §5.2, without fragments): a URL, a path
// from the server's root, or a path beside the script. A file name from DHCP is a reference whose base is
// tftp://next-server/.
Result<BootUrl> resolve_url(const BootUrl& base, std::string_view reference);

}  // namespace rookery::ipxe
