// A lab as its file says it, checked and with the defaults filled in. A plain value; see docs/lab-file.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/hardware.h"
#include "base/result.h"
#include "base/units.h"
#include "vboot/lab/address.h"
#include "vboot/lab/problems.h"
#include "vboot/lab/quantity.h"
#include "vboot/lab/role.h"
#include "vboot/lab/words.h"

namespace rookery::vboot {

// How a cable behaves: a machine's to its switch, or a trunk between two switches. Without a rate it is as
// fast as the host.
struct LinkRules {
  std::optional<BitRate> rate;
  Duration delay{0};
  Bytes queue = mebibytes(1);  // frames that wait for the rate; more are dropped
  friend bool operator==(const LinkRules&, const LinkRules&) = default;
};

// What a switch does against broadcast storms (netsim/switch.h says what each means); all of it unless told.
struct StormRules {
  bool dhcp_snooping = true;
  bool arp_suppression = true;
  bool mld_snooping = true;
  friend bool operator==(const StormRules&, const StormRules&) = default;
};

// One entry below `switches:`. All of a lab's are connected; where there are several ways, a spanning tree
// has one of them in use.
struct SwitchSpec {
  std::string name;
  std::vector<std::size_t> uplinks;  // the switches that its trunks lead to, each once
  LinkRules link;                    // of each of these trunks
  StormRules storm;
};

// One entry below `vlans:`. In a lab without them, the one network that `network:` describes: it has no name.
struct VlanSpec {
  std::string name;
  std::uint16_t id = 1;  // IEEE 802.1Q's number
  Ipv4Subnet subnet;
  Place subnet_at;
};

// One entry below `inject:`: a file or folder that a machine is given before its system starts, or a Debian
// package that is installed in it then.
struct Injection {
  std::string from;  // a path here, as seen from where the program runs
  std::string to;    // absolute; with a slash at its end the name stays the same; empty: `from` is a package
  Place at;
  friend bool operator==(const Injection&, const Injection&) = default;
};

// One entry below `machines:`, or one line of the table that it names.
struct MachineGroup {
  std::string name;
  Place at;
  std::optional<std::uint32_t> count;  // without it the group is one machine of the group's name
  RoleNames roles;                     // at least one
  std::uint32_t turn = 0;  // 0: whenever the boot server is ready; 1: after the groups of turn 0; and so on
  std::string backend;
  std::string uri;  // which libvirt, of its machines; empty: the backend's own choice
  Bytes memory;
  bool management = true;
  std::size_t switch_index = 0;  // where it is plugged in, in Lab::switches
  std::size_t vlan_index = 0;    // in Lab::vlans; a boot server is in all of them
  LinkRules link;
  Duration boot_timeout{0};
  backends::Hardware hardware;  // of machines with firmware
  RootKind root = RootKind::nbd;
  Changes changes = Changes::memory;
  bool san_boot = false;  // firmware starts the medium by `root`'s protocol
  std::vector<Injection> inject;
  std::optional<MacBytes> mac;  // from a table of machines; otherwise as the plan has it
  std::optional<Ipv4> address;  // likewise
  Place mac_at, address_at;
};

struct Lab {
  std::string filename;  // for errors
  std::string name;
  std::string image;
  std::string domain;
  std::vector<SwitchSpec> switches;  // at least one
  std::vector<VlanSpec> vlans;       // at least one
  bool tagged = false;               // the file has `vlans:`: trunks and the boot server's port carry tags
  std::vector<MachineGroup> groups;  // all in the order of the file
  std::vector<Role> roles;           // of all groups, each once, by name
  std::vector<std::string> authorized_keys;  // lines of authorized_keys, checked
  std::vector<Injection> inject;             // to all machines
  // In virtual time, what the machines' clocks show as the run begins: seconds since 1970. None: the image's
  // own date.
  std::optional<std::int64_t> clock;
  Place clock_at;
};

// The most that a lab may have.
inline constexpr std::uint32_t kMachinesMax = 4096;
inline constexpr std::size_t kSwitchesMax = 256;
inline constexpr std::size_t kVlansMax = 16;
inline constexpr std::size_t kInjectionsMax = 256;

struct YamlNode;

// Reads a file that a lab file names, by its path as it stands there: a table of machines, public keys.
using ReadSideFile = std::function<Result<std::string>(const std::string& path)>;
// What a lab file may speak of and does not hold.
struct Beside {
  RoleFinder roles = shipped_role;
  ReadSideFile read{};
};
// The roles in its folder, and files there or in the user's home ("~/…").
Beside beside(std::string_view lab_file);

// Reads a lab file. The Error is of kind usage and has a line for each problem of the file, at most
// Problems::kLimit: "lab.yaml:7:5: unknown key 'memmory' in machine group 'n'; did you mean 'memory'?".
// Without what lies beside it, a file knows the shipped roles, and may name no others.
Result<Lab> parse_lab(std::string_view text, std::string_view filename, const Beside& around = {});
// The same of a lab that stands within another file.
Result<Lab> parse_lab(const YamlNode& tree, std::string_view filename, const Beside& around = {});

}  // namespace rookery::vboot
