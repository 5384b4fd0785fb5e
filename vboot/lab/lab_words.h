// What a lab file says, as it says it: everything optional that has a default. Plain values between the
// file's reader (lab_parser.cc) and the Lab that comes of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/lab/lab.h"
#include "vboot/lab/problems.h"

namespace rookery::vboot {

// What a group says, before the lab's defaults are laid under it.
struct LinkWords {
  std::optional<BitRate> rate;
  std::optional<Duration> delay;
  std::optional<Bytes> queue;
};

// What the lab's network or a switch says of broadcast storms.
struct StormWords {
  std::optional<bool> dhcp_snooping, arp_suppression, mld_snooping;
};

// A name that stands for something described elsewhere in the file.
struct Mention {
  std::string name;
  Place at;
};

struct SwitchWords {
  std::string name;
  Place at;
  std::vector<Mention> uplinks;
  std::optional<Place> link_at;
  LinkWords link;
  StormWords storm;
};

struct VlanWords {
  std::string name;
  Place at;
  std::optional<std::uint16_t> id;
  Place id_at;
  std::optional<Ipv4Subnet> subnet;
  Place subnet_at;
};

struct GroupWords {
  MachineGroup group;
  std::optional<Mention> plugged_into, vlan;
  std::vector<Mention> roles;
  std::optional<Bytes> memory;
  Place memory_at;
  std::optional<std::string> backend;
  std::optional<Duration> boot_timeout;
  LinkWords link;
  std::optional<Place> from_at;      // its machines are lines of a table
  std::optional<Place> hardware_at;  // where the first word about it is
  std::optional<Place> disk_at, wire_at;
  std::optional<Place> root_at, boot_at, changes_at;
  std::optional<std::string> uri;
  Place uri_at;
};

struct LabWords {
  std::vector<GroupWords> groups;
  std::vector<SwitchWords> switches;
  std::vector<VlanWords> vlans;
  std::optional<Place> vlans_at;
  std::string roles_folder = "roles";  // beside the lab file
  std::vector<Role> roles;             // of all groups, by name: find_roles() puts them here
  std::optional<std::string> name, image, domain, backend, uri;
  std::optional<Ipv4Subnet> subnet;
  Place subnet_at;
  std::optional<std::int64_t> clock;
  Place clock_at;
  std::optional<Duration> boot_timeout;
  LinkWords link;
  StormWords storm;
  std::vector<std::string> authorized_keys;
  std::vector<Injection> inject;
};

// The lab with its defaults laid under what was said: a group's words over the lab's, those over ours. The
// words have no problems.
Lab with_defaults(LabWords words, std::string_view filename);

// Adds a problem for each group whose machines would have less memory than they need to become ready.
void check_memory(const LabWords& words, Problems& problems);

// Adds a problem for each group that chooses hardware which its backend's machines do not have.
void check_hardware(const LabWords& words, Problems& problems);
void check_uris(const LabWords& words, Problems& problems);

// Adds a problem for each group whose root, or whose firmware's disk, cannot be.
void check_roots(const LabWords& words, Problems& problems);

// Adds a problem, at the place of the group or of the file, unless there is exactly one boot server.
void check_boot_servers(const LabWords& words, Place file, Problems& problems);

// Looks up every role that is mentioned, gives each group its turn, and adds a problem for each role that is
// not there or not possible: what it needs and nobody provides, groups that wait for each other in a circle
// (lab_roles.cc). False if there is one that is not there.
bool find_roles(LabWords& words, const RoleFinder& finder, Problems& problems);
bool serves_boot(const GroupWords& said);

// Adds the problems of switches and VLANs, and of machines that are to be in them: unknown names, loops,
// numbers or networks that are given twice (lab_topology.cc).
void check_topology(const LabWords& words, Problems& problems);

}  // namespace rookery::vboot
