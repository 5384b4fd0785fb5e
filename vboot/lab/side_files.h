// The files that a lab file names and that say something of the lab: a table of machines, and public keys for
// SSH. Pure: texts in, values out, each problem at its file, line and column.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vboot/lab/address.h"
#include "vboot/lab/problems.h"
#include "vboot/lab/words.h"

namespace rookery::vboot {

inline constexpr Bytes kSideFileMost = mebibytes(1);
inline constexpr std::size_t kHostFieldMost = 256;  // bytes
inline constexpr std::size_t kHostColumnsMost = 16;
inline constexpr std::size_t kKeysMost = 256;
inline constexpr std::size_t kKeyBytesMost = 8192;  // sshd's own limit of a line

// One line of a table of machines; only the name must be given.
struct HostRow {
  std::string name;
  std::optional<MacBytes> mac;
  std::optional<std::string> role;  // one that a lab file could name; whether it is there is not looked up
  std::optional<Ipv4> address;
  Place at, mac_at, role_at, address_at;
};

// CSV (RFC 4180; lines may end in LF or CR alone) in UTF-8, with a header line that names the columns: name,
// mac, role and address, in any order. Empty lines, those whose fields are all empty, and those that begin
// with '#' are passed over. A row with a problem is handed on with what is good of it, so that a plan finds
// what else is wrong.
std::vector<HostRow> parse_hosts(std::string_view text, const std::string& file, Problems& problems);

// What is wrong with it as a line of authorized_keys (sshd(8)), options included; empty: nothing.
std::string problem_of_key(std::string_view line);
// All keys of a file: one a line; empty lines and comments are passed over.
std::vector<std::string> parse_keys(std::string_view text, const std::string& file, Problems& problems);

}  // namespace rookery::vboot
