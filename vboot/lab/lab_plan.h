// What a lab will be, down to every machine's name and addresses: the same lab, options and build give the
// same plan, to the byte. A plain value, made before anything is started.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vboot/lab/lab.h"
#include "vboot/lab/problems.h"

namespace rookery::vboot {

// Where a machine's first code comes from.
enum class BootSource { medium, network };

struct MachinePlan {
  std::string name;
  std::uint32_t index = 0;  // in the order of the file, from 0
  RoleNames roles;          // at least one, in the order in which they start
  std::uint32_t turn = 0;   // it is started when all of lower turns are ready, or have failed
  std::string backend;
  std::string uri;  // which libvirt; empty: the backend's own choice
  Bytes memory;
  MacBytes data_mac{};                     // 52:54:00 and the index
  std::optional<MacBytes> management_mac;  // 0a:52:4b and the index; none without a management NIC
  std::size_t switch_index = 0;            // in LabPlan::switches
  std::size_t vlan_index = 0;              // in LabPlan::vlans; the boot server is in all of them
  Ipv4 address;                            // the boot server's in the first VLAN
  LinkRules link;
  BootSource boot = BootSource::network;
  Duration boot_timeout{0};
  backends::Hardware hardware;
  RootKind root = RootKind::nbd;
  bool san_boot = false;
  Changes changes = Changes::memory;
  // In User-Mode Linux: runs the kernel that has iSCSI and NFS (others have modules for it).
  bool storage_kernel = false;
  std::vector<Injection> inject;  // what the lab gives to all, and then its group's own
};

// A run of addresses, both ends in it.
struct AddressRange {
  Ipv4 first, last;
  constexpr std::uint32_t size() const { return last.value - first.value + 1; }
};

// One broadcast domain. A lab without VLANs is one of these, with the number that untagged frames have.
struct VlanPlan {
  std::string name;
  std::uint16_t id = 1;
  Ipv4Subnet subnet;
  Ipv4 server;          // the boot server's address in it
  AddressRange guests;  // for machines that are not in the lab
};

// A real network that the lab's switch is joined to (docs/uplink.md).
struct UplinkPlan {
  std::string interface;         // of the host
  std::size_t switch_index = 0;  // the boot server's
  std::optional<std::uint16_t>
      vlan;  // whose frames have no tag on the wire; without it all do, as on a trunk
  // Beside a DHCP server of that network's own: the boot server then has a second interface, alone with the
  // wire in a VLAN of their own (`vlan`), under this MAC address, and there answers for network boot only.
  struct Proxy {
    MacBytes mac{};
    std::string address;  // "192.168.7.2/24"; empty: by that network's DHCP
  };
  std::optional<Proxy> proxy;
};

struct LabPlan {
  std::string name;
  std::string image;
  std::uint64_t seed = 0;
  std::string domain;
  std::vector<SwitchSpec> switches;  // at least one; one tree
  std::vector<VlanPlan> vlans;       // at least one; guest-1 has the first guest address of the first
  bool tagged = false;  // trunks and the boot server's port carry tags; otherwise there is one VLAN, without
  std::vector<MachinePlan> machines;
  std::vector<Role> roles;  // of all machines, each once, by name
  std::string filename;     // the lab file's, for errors
  std::vector<std::string> authorized_keys;
  std::optional<std::int64_t> clock{};  // as in Lab; clock_at_start() has the default
  Place clock_at{};
  std::optional<UplinkPlan> uplink{};  // asked for on the command line; see uplink.h

  const MachinePlan* find(std::string_view machine) const;  // nullptr if there is none
  const MachinePlan& boot_server() const;                   // there is one in every plan
  const Role& role(std::string_view called) const;          // one that a machine has
  bool gives() const;  // keys or files to any machine: each of them waits for what it gets
};

struct PlanOptions {
  std::optional<std::uint32_t> nodes;  // the count of the one client group that has a count
  std::uint64_t seed = 1;
};

// What only a plan finds, added to problems that are known; of a lab that is good but for its tables of
// machines.
void find_more_problems(const Lab& lab, Problems& problems);
// Errors are of kind usage, with a line for each problem, as those of parse_lab.
Result<LabPlan> plan_lab(const Lab& lab, const PlanOptions& options);

}  // namespace rookery::vboot
