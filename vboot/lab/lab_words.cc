#include "vboot/lab/lab_words.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::vboot {
namespace {

constexpr std::string_view kDefaultImage = "debian-12";
constexpr std::string_view kDefaultBackend = "uml";
constexpr Ipv4Subnet kDefaultSubnet{Ipv4{10u << 24 | 77u << 16}, 16};
constexpr Duration kDefaultBootTimeout = std::chrono::seconds(60);
constexpr Bytes kDefaultClientMemory = mebibytes(64);
// Machines with firmware and a distribution's kernel take more of both.
constexpr Duration kDefaultFirmwareBootTimeout = std::chrono::seconds(300);
constexpr Bytes kDefaultFirmwareMemory = mebibytes(512);
constexpr Bytes kDefaultServerMemory = mebibytes(384);
// The least with which these were measured to become ready in User-Mode Linux, rounded up by a little (a
// client with 20 MiB dies while it unpacks its second stage, a boot server with 200 cannot start nbdkit).
constexpr Bytes kLeastClientMemory = mebibytes(24);
constexpr Bytes kLeastServerMemory = mebibytes(208);

LinkRules laid_over(const LinkWords& group, const LinkWords& lab) {
  LinkRules rules;
  rules.rate = group.rate ? group.rate : lab.rate;
  rules.delay = group.delay.value_or(lab.delay.value_or(rules.delay));
  rules.queue = group.queue.value_or(lab.queue.value_or(rules.queue));
  return rules;
}

StormRules laid_over(const StormWords& own, const StormWords& lab) {
  StormRules rules;
  rules.dhcp_snooping = own.dhcp_snooping.value_or(lab.dhcp_snooping.value_or(rules.dhcp_snooping));
  rules.arp_suppression = own.arp_suppression.value_or(lab.arp_suppression.value_or(rules.arp_suppression));
  rules.mld_snooping = own.mld_snooping.value_or(lab.mld_snooping.value_or(rules.mld_snooping));
  return rules;
}

bool has_firmware(std::string_view backend) {
  return backend == "qemu" || backend == "libvirt" || backend == "xen";
}

// By name in a list that has it.
template <typename T>
std::size_t index_of(const std::vector<T>& named, std::string_view name) {
  const auto found = std::find_if(named.begin(), named.end(), [&](const T& one) { return one.name == name; });
  if (found == named.end()) bug("a name that was not checked");
  return static_cast<std::size_t>(found - named.begin());
}

std::vector<SwitchSpec> switches_of(const LabWords& words) {
  if (words.switches.empty()) return {SwitchSpec{"switch", {}, {}, laid_over({}, words.storm)}};
  std::vector<SwitchSpec> switches;
  for (const SwitchWords& said : words.switches) {
    std::vector<std::size_t> uplinks;
    for (const Mention& uplink : said.uplinks) uplinks.push_back(index_of(words.switches, uplink.name));
    switches.push_back({said.name, std::move(uplinks), laid_over(said.link, words.link),
                        laid_over(said.storm, words.storm)});
  }
  return switches;
}

std::vector<VlanSpec> vlans_of(const LabWords& words) {
  constexpr std::uint16_t kUntagged = 1;  // IEEE 802.1Q-2018 table 9-2
  if (words.vlans.empty()) return {{"", kUntagged, words.subnet.value_or(kDefaultSubnet), words.subnet_at}};
  std::vector<VlanSpec> vlans;
  for (const VlanWords& said : words.vlans)
    vlans.push_back({said.name, *said.id, *said.subnet, said.subnet_at});
  return vlans;
}

}  // namespace

Lab with_defaults(LabWords words, std::string_view filename) {
  Lab lab;
  lab.filename = filename;
  lab.name = words.name.value_or("");
  lab.image = words.image.value_or(std::string(kDefaultImage));
  lab.domain = words.domain.value_or(lab.name + ".internal");
  lab.switches = switches_of(words);
  lab.vlans = vlans_of(words);
  lab.tagged = !words.vlans.empty();
  lab.roles = std::move(words.roles);
  lab.authorized_keys = std::move(words.authorized_keys);
  lab.inject = std::move(words.inject);
  lab.clock = words.clock;
  lab.clock_at = words.clock_at;
  const std::string backend = words.backend.value_or(std::string(kDefaultBackend));
  for (GroupWords& said : words.groups) {
    MachineGroup group = std::move(said.group);
    for (const Mention& role : said.roles) group.roles.push_back(role.name);
    group.backend = said.backend.value_or(backend);
    if (group.backend == "libvirt") group.uri = said.uri.value_or(words.uri.value_or(""));
    const bool firmware = has_firmware(group.backend);
    group.memory = said.memory.value_or(firmware                   ? kDefaultFirmwareMemory
                                        : serves_boot(group.roles) ? kDefaultServerMemory
                                                                   : kDefaultClientMemory);
    group.boot_timeout = said.boot_timeout.value_or(
        words.boot_timeout.value_or(firmware ? kDefaultFirmwareBootTimeout : kDefaultBootTimeout));
    if (said.plugged_into) group.switch_index = index_of(lab.switches, said.plugged_into->name);
    if (said.vlan) group.vlan_index = index_of(lab.vlans, said.vlan->name);
    group.link = laid_over(said.link, words.link);
    lab.groups.push_back(std::move(group));
  }
  return lab;
}

void check_memory(const LabWords& words, Problems& problems) {
  for (const GroupWords& said : words.groups) {
    if (!said.memory || said.roles.empty()) continue;
    if (said.backend.value_or(words.backend.value_or(std::string(kDefaultBackend))) != "uml") continue;
    const bool serves = serves_boot(said);
    const Bytes least = serves ? kLeastServerMemory : kLeastClientMemory;
    if (said.memory->count >= least.count) continue;
    problems.add(said.memory_at,
                 fmt::format("{} is too little for a {}, which needs {} to become ready",
                             to_text(*said.memory), serves ? "boot server" : "client", to_text(least)));
  }
}

void check_hardware(const LabWords& words, Problems& problems) {
  for (const GroupWords& said : words.groups) {
    const std::string backend = said.backend.value_or(words.backend.value_or(std::string(kDefaultBackend)));
    if (said.hardware_at && !has_firmware(backend)) {
      problems.add(
          *said.hardware_at,
          fmt::format("machines of the backend {} have neither firmware nor a choice of hardware", backend));
    } else if (said.wire_at && backend != "qemu") {
      problems.add(*said.wire_at,
                   fmt::format("only QEMU's machines have a choice of 'wire', not those of {}", backend));
    } else if (said.wire_at && said.group.hardware.wire == backends::Wire::vhost_user &&
               said.group.hardware.nic != backends::NicModel::virtio) {
      problems.add(*said.wire_at, "only a virtio NIC is reached by vhost-user");
    }
    if (said.uri && backend != "libvirt")
      problems.add(said.uri_at,
                   fmt::format("only machines of the backend libvirt have a URI, not those of {}", backend));
    if (said.disk_at && !said.roles.empty() && !serves_boot(said))
      problems.add(*said.disk_at, "a client has no disk: it boots from the network");
  }
}

// libvirt within our own process keeps all of this host's QEMU to itself, with one root.
void check_uris(const LabWords& words, Problems& problems) {
  constexpr std::string_view kEmbedded = "qemu:///embed";  // and what is taken for none
  const GroupWords* first = nullptr;
  std::string its;
  for (const GroupWords& said : words.groups) {
    if (said.backend.value_or(words.backend.value_or("")) != "libvirt") continue;
    const std::string uri = said.uri.value_or(words.uri.value_or(std::string(kEmbedded)));
    if (!uri.starts_with("qemu") || uri.find(":///") == std::string::npos) continue;  // elsewhere
    if (first == nullptr) {
      first = &said;
      its = uri;
    }
    if (uri == its || !(uri.starts_with(kEmbedded) || its.starts_with(kEmbedded))) continue;
    problems.add(
        said.uri ? said.uri_at : first->uri_at,
        fmt::format("machines of {} and of {} cannot be in one lab: within one process libvirt has one of "
                    "them; give all of them one URI",
                    its, uri));
  }
}

void check_roots(const LabWords& words, Problems& problems) {
  for (const GroupWords& said : words.groups) {
    const MachineGroup& group = said.group;
    if (serves_boot(said) && (said.root_at || said.boot_at || said.changes_at)) {
      problems.add(said.root_at   ? *said.root_at
                   : said.boot_at ? *said.boot_at
                                  : *said.changes_at,
                   "a boot server starts from its medium: 'root', 'boot' and 'changes' are for clients");
      continue;
    }
    if (group.changes != Changes::memory && (group.root != RootKind::iscsi || group.san_boot)) {
      problems.add(*said.changes_at, "changes on a disk need 'root: iscsi' and a boot by the script");
    }
    if (!group.san_boot) continue;
    const std::string backend = said.backend.value_or(words.backend.value_or(std::string(kDefaultBackend)));
    if (!has_firmware(backend)) {
      problems.add(
          *said.boot_at,
          fmt::format("'boot: san' is for machines with firmware, which those of the backend {} have not",
                      backend));
    } else if (group.root != RootKind::iscsi && group.root != RootKind::aoe) {
      problems.add(*said.boot_at,
                   "'boot: san' needs 'root: iscsi' or 'root: aoe': the disk that firmware starts "
                   "from");
    }
  }
}

// One for now: who serves whom, with several, is the share's business (requirements V1, V5).
void check_boot_servers(const LabWords& words, Place file, Problems& problems) {
  std::uint32_t servers = 0;
  for (const GroupWords& said : words.groups) {
    if (!serves_boot(said)) continue;
    servers += said.group.count.value_or(1);
    if (servers > 1) {
      problems.add(said.group.at, fmt::format("a lab has exactly one boot server for now; with {} it has {}",
                                              said.group.name, servers));
    }
  }
  // Not said of a lab whose roles are misspelt: one of them may be meant.
  const bool all_roles_known = std::all_of(words.groups.begin(), words.groups.end(),
                                           [](const GroupWords& g) { return !g.roles.empty(); });
  if (servers == 0 && all_roles_known && !words.groups.empty()) {
    problems.add(file, "a lab needs a boot server: 'server: {role: boot-server}' below 'machines:'");
  }
}

}  // namespace rookery::vboot
