// Disks on a storage network, as the boot script and firmware name them: RFC 4173's iSCSI URIs, iPXE's AoE
// names, and the tables that iPXE leaves in memory for the system that it starts from such a disk (iBFT,
// aBFT). Pure: text and bytes in, values out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"

namespace rookery::san {

struct IscsiTarget {
  std::string host;           // an IPv4 address
  std::uint16_t port = 3260;  // IANA: iscsi-target
  std::uint16_t lun = 0;      // flat, as tgt and everybody in small labs number them
  std::string name;           // iqn.…
  std::string initiator;      // who asks; empty in a URI
};

struct AoeTarget {
  std::uint16_t shelf = 0;
  std::uint8_t slot = 0;
  std::string to_string() const;  // e0.1
};

using Target = std::variant<IscsiTarget, AoeTarget>;
std::string to_text(const Target& target);  // iscsi:10.77.0.1:6:3260:1:iqn…, aoe:e0.1

inline constexpr std::size_t kIscsiNameMax = 223;  // RFC 7143 §4.2.7.1

// "iscsi:<server>:<protocol>:<port>:<LUN>:<target>" (RFC 4173 §5; protocol, port and LUN may be empty) or
// "aoe:e<shelf>.<slot>". Nothing for text of another scheme; an Error for a damaged one of these.
Result<std::optional<Target>> parse_target(std::string_view text);

// The boot target in one firmware table, header and all (iBFT or aBFT). A table whose length or checksum is
// wrong, or that points outside of itself, is refused.
Result<Target> parse_boot_table(ByteView table);

// Looks through memory (in steps of 16 bytes, as the iBFT specification says) for the first good table.
std::optional<Target> find_boot_table(ByteView memory);

}  // namespace rookery::san
