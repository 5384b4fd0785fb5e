#include "vboot/lab/lab_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "vboot/lab/problems.h"

namespace rookery::vboot {
namespace {

// QEMU's and KVM's customary prefix, and one of our own in the locally administered range (IEEE 802 bit U/L).
constexpr std::array<std::uint8_t, 3> kDataMacPrefix{0x52, 0x54, 0x00};
constexpr std::array<std::uint8_t, 3> kManagementMacPrefix{0x0a, 0x52, 0x4b};

constexpr std::uint32_t kGuestsMost = 1024;       // the top quarter of the subnet, but no more than this
constexpr std::uint32_t kRoomyClientsFrom = 257;  // in a /22 or larger: 10.77.1.1, which reads well
constexpr std::uint32_t kRoomySize = 1024;

MacBytes mac(const std::array<std::uint8_t, 3>& prefix, std::uint32_t index) {
  return {prefix[0],
          prefix[1],
          prefix[2],
          static_cast<std::uint8_t>(index >> 16),
          static_cast<std::uint8_t>(index >> 8),
          static_cast<std::uint8_t>(index)};
}

// How a subnet is shared out: the network's own address, the boot server, clients, guests, broadcast.
struct Layout {
  Ipv4 server, first_client, last_client;
  AddressRange guests;

  explicit Layout(Ipv4Subnet subnet) {
    const std::uint32_t size = subnet.size();
    const std::uint32_t guests_size = std::min(size / 4, kGuestsMost);
    server = subnet.network + 1;
    first_client = subnet.network + (size >= kRoomySize ? kRoomyClientsFrom : 2);
    guests.first = subnet.network + (size - guests_size);
    guests.last = subnet.network + (size - 2);
    last_client = Ipv4{guests.first.value - 1};
  }
  std::uint32_t room() const { return last_client.value - first_client.value + 1; }
};

std::string no_room(const VlanSpec& vlan, std::uint32_t clients) {
  const Layout layout(vlan.subnet);
  std::string hint;
  for (unsigned prefix = vlan.subnet.prefix; prefix-- > 8;) {
    if (Layout(Ipv4Subnet{{}, prefix}).room() < clients) continue;
    hint = fmt::format("; a /{} is large enough", prefix);
    break;
  }
  return fmt::format(
      "network {} has room for {} clients ({} to {}; of its {} addresses {} to {} are for guests), but {} "
      "has "
      "{}{}",
      to_text(vlan.subnet), layout.room(), to_text(layout.first_client), to_text(layout.last_client),
      vlan.subnet.size(), to_text(layout.guests.first), to_text(layout.guests.last),
      vlan.name.empty() ? "the lab" : fmt::format("VLAN '{}'", vlan.name), clients, hint);
}

// The names that the boot server gives to machines that are not in the lab.
bool is_guest_name(std::string_view name) {
  constexpr std::string_view kPrefix = "guest-";
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
         std::all_of(name.begin() + kPrefix.size(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The groups with the counts that they will have.
Result<std::vector<MachineGroup>> with_nodes(const Lab& lab, const PlanOptions& options) {
  std::vector<MachineGroup> groups = lab.groups;
  if (!options.nodes) return groups;
  if (*options.nodes < 1 || *options.nodes > kMachinesMax) {
    return fail(ErrorKind::usage,
                fmt::format("expected --nodes 1 to {}, found {}", kMachinesMax, *options.nodes));
  }
  std::vector<std::string> counted;
  for (MachineGroup& group : groups) {
    if (serves_boot(group.roles) || !group.count) continue;
    counted.push_back(group.name);
    group.count = *options.nodes;
  }
  if (counted.size() == 1) return groups;
  if (counted.empty()) {
    return fail(
        ErrorKind::usage,
        at_place(lab.filename, {}, "--nodes needs a group of clients with a 'count', and there is none"));
  }
  return fail(ErrorKind::usage,
              at_place(lab.filename, {},
                       fmt::format("--nodes needs one group of clients with a 'count', and there "
                                   "are {}: {}",
                                   counted.size(), fmt::join(counted, ", "))));
}

// Makes the machines one by one; every name once.
class Planner {
 public:
  Planner(const Lab& lab, Problems& problems) : lab_(lab), clients_(lab.vlans.size()), problems_(problems) {
    for (const VlanSpec& vlan : lab.vlans) layouts_.emplace_back(vlan.subnet);
    for (const MachineGroup& group : lab.groups) {
      if (group.address) given_.insert(group.address->value);
    }
  }

  void add_group(const MachineGroup& group) {
    if (!group.count) return add(group, group.name);
    for (std::uint32_t i = 1; i <= *group.count; ++i) add(group, fmt::format("{}{}", group.name, i));
  }
  // To be asked when all machines are made.
  void check_room() const {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (clients_[i] > layouts_[i].room())
        problems_.add(lab_.vlans[i].subnet_at, no_room(lab_.vlans[i], clients_[i]));
    }
  }
  std::vector<VlanPlan> vlans() const {
    std::vector<VlanPlan> vlans;
    for (std::size_t i = 0; i < layouts_.size(); ++i) {
      const VlanSpec& vlan = lab_.vlans[i];
      vlans.push_back({vlan.name, vlan.id, vlan.subnet, layouts_[i].server, layouts_[i].guests});
    }
    return vlans;
  }
  // NFS has a server in the boot server's kernel; all other roots have programs.
  std::vector<MachinePlan> take() {
    const auto on_nfs = [](const MachinePlan& machine) { return machine.root == RootKind::nfs; };
    const bool serves_nfs = std::any_of(machines_.begin(), machines_.end(), on_nfs);
    for (MachinePlan& machine : machines_) {
      machine.storage_kernel =
          serves_boot(machine.roles) ? serves_nfs : on_nfs(machine) || machine.root == RootKind::iscsi;
      for (const Role& role : lab_.roles) {
        if (role.storage_kernel && has_role(machine.roles, role.name)) machine.storage_kernel = true;
      }
    }
    return std::move(machines_);
  }

 private:
  void add(const MachineGroup& group, std::string name) {
    if (machines_.size() == kMachinesMax) {
      if (!full_) problems_.add(group.at, fmt::format("more than {} machines", kMachinesMax));
      full_ = true;
      return;
    }
    if (name == "localhost") {
      problems_.add(group.at, "machine name 'localhost' is taken: every machine calls itself that");
    } else if (is_guest_name(name)) {
      problems_.add(group.at,
                    fmt::format("machine name '{}' is taken: guest-1, guest-2 and so on are the names of "
                                "machines that the lab does not list",
                                name));
    }
    if (auto [other, is_new] = owners_.emplace(name, group.name); !is_new) {
      problems_.add(group.at,
                    fmt::format("two machines are called '{}': one of group '{}' and one of group '{}'", name,
                                other->second, group.name));
    }
    MachinePlan machine;
    machine.index = static_cast<std::uint32_t>(machines_.size());
    machine.name = std::move(name);
    machine.roles = group.roles;
    machine.turn = group.turn;
    machine.backend = group.backend;
    machine.uri = group.uri;
    machine.memory = group.memory;
    machine.data_mac = group.mac.value_or(mac(kDataMacPrefix, machine.index));
    if (auto [other, is_new] = macs_.emplace(machine.data_mac, machine.name); !is_new) {
      problems_.add(group.mac ? group.mac_at : group.at,
                    fmt::format("two machines have the MAC address {}: {} and {}", to_text(machine.data_mac),
                                other->second, machine.name));
    }
    machine.inject = lab_.inject;
    machine.inject.insert(machine.inject.end(), group.inject.begin(), group.inject.end());
    if (!group.management && !group.inject.empty()) {
      problems_.add(
          group.inject.front().at,
          fmt::format("'{}' has no management NIC, by which it could be given anything", machine.name));
    }
    if (group.management) machine.management_mac = mac(kManagementMacPrefix, machine.index);
    machine.link = group.link;
    machine.boot_timeout = group.boot_timeout;
    machine.hardware = group.hardware;
    machine.root = group.root;
    machine.san_boot = group.san_boot;
    machine.changes = group.changes;
    const bool serves = serves_boot(group.roles);
    machine.boot = serves ? BootSource::medium : BootSource::network;
    machine.switch_index = group.switch_index;
    machine.vlan_index = serves ? 0 : group.vlan_index;
    const Layout& layout = layouts_[machine.vlan_index];
    if (serves) {
      machine.address = layout.server;
    } else if (!group.address) {
      machine.address = next_address(machine.vlan_index);
    } else {
      machine.address = *group.address;
    }
    if (group.address) check_address(group, machine);
    machines_.push_back(std::move(machine));
  }

  // The next that no table of machines gives to somebody.
  Ipv4 next_address(std::size_t vlan) {
    Ipv4 address;
    do {
      address = layouts_[vlan].first_client + clients_[vlan]++;
    } while (given_.count(address.value) != 0);
    return address;
  }

  void check_address(const MachineGroup& group, const MachinePlan& machine) {
    const VlanSpec& vlan = lab_.vlans[machine.vlan_index];
    const Layout& layout = layouts_[machine.vlan_index];
    const Ipv4 address = *group.address;
    const auto refuse = [&](std::string_view why) {
      problems_.add(group.address_at,
                    fmt::format("'{}' cannot have the address {}: {}", machine.name, to_text(address), why));
    };
    if (serves_boot(group.roles)) {
      if (address != layout.server)
        refuse(fmt::format("the boot server has the first of its network, {}", to_text(layout.server)));
      return;
    }
    if (address <= vlan.subnet.network || address >= vlan.subnet.broadcast())
      return refuse(fmt::format("its network is {}", to_text(vlan.subnet)));
    if (address == layout.server) return refuse("that is the boot server's");
    if (address >= layout.guests.first)
      return refuse(
          fmt::format("{} to {} are for guests", to_text(layout.guests.first), to_text(layout.guests.last)));
    if (auto [other, is_new] = owners_of_addresses_.emplace(address.value, machine.name); !is_new)
      refuse("it is " + other->second + "'s");
  }

  const Lab& lab_;
  std::set<std::uint32_t> given_;                             // addresses, by tables of machines
  std::map<std::uint32_t, std::string> owners_of_addresses_;  // of these
  std::map<MacBytes, std::string> macs_;                      // to machine name
  std::vector<Layout> layouts_;                               // of each VLAN
  std::vector<std::uint32_t> clients_;                        // in each VLAN
  Problems& problems_;
  std::vector<MachinePlan> machines_;
  std::map<std::string, std::string> owners_;  // machine name to group name
  bool full_ = false;
};

}  // namespace

const MachinePlan* LabPlan::find(std::string_view machine) const {
  auto found =
      std::find_if(machines.begin(), machines.end(), [&](const auto& m) { return m.name == machine; });
  return found == machines.end() ? nullptr : &*found;
}

bool LabPlan::gives() const {
  return !authorized_keys.empty() ||
         std::any_of(machines.begin(), machines.end(), [](const auto& m) { return !m.inject.empty(); });
}

const MachinePlan& LabPlan::boot_server() const {
  for (const MachinePlan& machine : machines) {
    if (serves_boot(machine.roles)) return machine;
  }
  bug("a plan without a boot server");
}

const Role& LabPlan::role(std::string_view called) const {
  for (const Role& role : roles) {
    if (role.name == called) return role;
  }
  bug("a role that no machine has");
}

void find_more_problems(const Lab& lab, Problems& problems) {
  Planner planner(lab, problems);
  for (const MachineGroup& group : lab.groups) planner.add_group(group);
  planner.check_room();
}

Result<LabPlan> plan_lab(const Lab& lab, const PlanOptions& options) {
  auto groups = with_nodes(lab, options);
  if (!groups) return tl::unexpected(groups.error());
  Problems problems(lab.filename);
  Planner planner(lab, problems);
  for (const MachineGroup& group : *groups) planner.add_group(group);
  planner.check_room();
  if (!problems.empty()) return tl::unexpected(problems.to_error());
  return LabPlan{
      lab.name,       lab.image, options.seed, lab.domain,          lab.switches, planner.vlans(), lab.tagged,
      planner.take(), lab.roles, lab.filename, lab.authorized_keys, lab.clock,    lab.clock_at};
}

}  // namespace rookery::vboot
