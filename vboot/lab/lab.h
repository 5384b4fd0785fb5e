// A lab as its file says it, checked and with the defaults filled in. A plain value; see docs/lab-file.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vboot/lab/address.h"
#include "vboot/lab/problems.h"
#include "vboot/lab/quantity.h"
#include "vboot/lab/words.h"

namespace rookery::vboot {

// How the cable from a machine to the switch behaves. Without a rate it is as fast as the host.
struct LinkRules {
  std::optional<BitRate> rate;
  Duration delay{0};
  Bytes queue = mebibytes(1);  // frames that wait for the rate; more are dropped
  friend bool operator==(const LinkRules&, const LinkRules&) = default;
};

// One entry below `machines:`.
struct MachineGroup {
  std::string name;
  Place at;
  std::optional<std::uint32_t> count;  // without it the group is one machine of the group's name
  Role role = Role::client;
  std::string backend;
  Bytes memory;
  bool management = true;
  LinkRules link;
  Duration boot_timeout{0};
};

struct Lab {
  std::string filename;  // for errors
  std::string name;
  std::string image;
  Ipv4Subnet subnet;
  Place subnet_at;
  std::string domain;
  std::vector<MachineGroup> groups;  // in the order of the file
};

// The most machines that a lab may have.
inline constexpr std::uint32_t kMachinesMax = 4096;

// Reads a lab file. The Error is of kind usage and has a line for each problem of the file, at most
// Problems::kLimit: "lab.yaml:7:5: unknown key 'memmory' in machine group 'n'; did you mean 'memory'?".
Result<Lab> parse_lab(std::string_view text, std::string_view filename);

}  // namespace rookery::vboot
