// A lab file is read in two steps: yaml_tree.h makes a small tree of it, and the readers below turn each map
// of that tree into a struct by a table of its keys. A reader never stops at a problem: it notes it and goes
// on, so that one run shows all of them.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "vboot/lab/lab.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/lab/lab_words.h"
#include "vboot/lab/node_reader.h"
#include "vboot/lab/side_files.h"
#include "vboot/lab/side_reader.h"

namespace rookery::vboot {
namespace {

// Reads the nodes of one file into structs; the problems go to the list that it borrows.
class Reader final : SideReader {
 public:
  Reader(Problems& problems, std::string_view filename, const ReadSideFile& read)
      : SideReader(problems, filename, read) {}

  LabWords lab(const YamlNode& root) {
    LabWords words;
    map(root, "the lab file",
        {{"lab", [&](const YamlNode& v) { words.name = name(v, "a lab name", "classroom", 32, "-"); }},
         {"image",
          [&](const YamlNode& v) { words.image = name(v, "an image name", "debian-12", 64, "-._"); }},
         {"network", [&](const YamlNode& v) { network(v, words); }},
         {"switches", [&](const YamlNode& v) { switches(v, words.switches); }},
         {"vlans",
          [&](const YamlNode& v) {
            words.vlans_at = v.at;
            vlans(v, words.vlans);
          }},
         {"machines", [&](const YamlNode& v) { machines(v, words.groups); }},
         {"roles", [&](const YamlNode& v) { roles_folder(v, words.roles_folder); }},
         {"link", [&](const YamlNode& v) { words.link = link(v, "the lab's link"); }},
         {"backend", [&](const YamlNode& v) { words.backend = backend(v); }},
         {"uri", [&](const YamlNode& v) { words.uri = uri(v); }},
         {"boot_timeout", [&](const YamlNode& v) { words.boot_timeout = boot_timeout(v); }},
         {"clock",
          [&](const YamlNode& v) {
            words.clock = clock(v);
            words.clock_at = v.at;
          }},
         {"authorized_keys", [&](const YamlNode& v) { words.authorized_keys = authorized_keys(v); }},
         {"inject", [&](const YamlNode& v) { words.inject = inject(v); }}});
    if (root.kind == YamlNode::Kind::map) {
      require(root, "lab", "a lab needs a name: 'lab: classroom'");
      require(root, "machines", "a lab needs 'machines:', a map of machine groups");
    }
    return words;
  }

 private:
  void roles_folder(const YamlNode& node, std::string& folder) {
    if (node.kind == YamlNode::Kind::scalar && !node.text.empty() && node.text.size() <= 1024 &&
        node.text.find('\0') == std::string::npos) {
      folder = node.text;
    } else {
      problems_.add(node.at,
                    fmt::format("expected the path of a folder with roles, found {}", describe(node)));
    }
  }

  void network(const YamlNode& node, LabWords& words) {
    map(node, "the network",
        {{"subnet",
          [&](const YamlNode& v) {
            words.subnet = quantity(v, parse_subnet);
            words.subnet_at = v.at;
          }},
         {"domain",
          [&](const YamlNode& v) {
            if (v.kind == YamlNode::Kind::scalar && is_domain(v.text)) {
              words.domain = v.text;
            } else {
              problems_.add(v.at,
                            fmt::format("expected a domain in lower case like 'classroom.internal', found {}",
                                        describe(v)));
            }
          }},
         {"dhcp_snooping", [&](const YamlNode& v) { words.storm.dhcp_snooping = boolean(v); }},
         {"arp_suppression", [&](const YamlNode& v) { words.storm.arp_suppression = boolean(v); }},
         {"mld_snooping", [&](const YamlNode& v) { words.storm.mld_snooping = boolean(v); }}});
  }

  void machines(const YamlNode& node, std::vector<GroupWords>& groups) {
    bool full = false;
    entries(node, "machines", "machine groups", kMachinesMax, [&](const YamlNode& key, const YamlNode& v) {
      if (full) return;
      std::vector<HostRow> rows;
      const GroupWords words = group(key, v, rows);
      full = groups.size() + rows.size() > kMachinesMax;
      if (full) return problems_.add(key.at, fmt::format("more than {} machines", kMachinesMax));
      if (!words.from_at) groups.push_back(words);
      for (HostRow& row : rows) groups.push_back(machine_of(words, std::move(row)));
    });
  }

  // A line of a table is a group of one machine, with what the table's entry says of all of them.
  static GroupWords machine_of(const GroupWords& of_all, HostRow row) {
    GroupWords words = of_all;
    MachineGroup& machine = words.group;
    machine.name = std::move(row.name);
    machine.at = row.at;
    machine.mac = row.mac;
    machine.mac_at = row.mac_at;
    machine.address = row.address;
    machine.address_at = row.address_at;
    if (row.role) words.roles = {{std::move(*row.role), row.role_at}};
    return words;
  }

  void switches(const YamlNode& node, std::vector<SwitchWords>& found) {
    entries(node, "switches", "switches", kSwitchesMax, [&](const YamlNode& key, const YamlNode& value) {
      const auto named = name(key, "a switch name", "east", 32, "-");
      if (!named) return;
      SwitchWords& words = found.emplace_back();
      words.name = *named;
      words.at = key.at;
      const std::string where = fmt::format("switch {}", describe(key));
      // 'core:' alone says as much as 'core: {}': a switch needs to say nothing.
      if (value.kind == YamlNode::Kind::nothing) return;
      map(value, where,
          {{"uplink", [&](const YamlNode& v) { words.uplinks = mentions(v); }},
           {"link",
            [&](const YamlNode& v) {
              words.link_at = v.at;
              words.link = link(v, where + "'s link");
            }},
           {"dhcp_snooping", [&](const YamlNode& v) { words.storm.dhcp_snooping = boolean(v); }},
           {"arp_suppression", [&](const YamlNode& v) { words.storm.arp_suppression = boolean(v); }},
           {"mld_snooping", [&](const YamlNode& v) { words.storm.mld_snooping = boolean(v); }}});
    });
  }

  void vlans(const YamlNode& node, std::vector<VlanWords>& found) {
    entries(node, "vlans", "VLANs", kVlansMax, [&](const YamlNode& key, const YamlNode& value) {
      const auto named = name(key, "a VLAN name", "students", 32, "-");
      if (!named) return;
      VlanWords& words = found.emplace_back();
      words.name = *named;
      words.at = key.at;
      const std::string where = fmt::format("VLAN {}", describe(key));
      map(value, where,
          {{"id",
            [&](const YamlNode& v) {
              words.id = vlan_id(v);
              words.id_at = v.at;
            }},
           {"subnet", [&](const YamlNode& v) {
              words.subnet = quantity(v, parse_subnet);
              words.subnet_at = v.at;
            }}});
      if (value.kind != YamlNode::Kind::map) return;
      require(value, "id", fmt::format("{} needs an id: 'id: 10'", where));
      require(value, "subnet", fmt::format("{} needs a subnet: 'subnet: 10.78.0.0/16'", where));
    });
  }

  // A switch, or a list of them.
  std::vector<Mention> mentions(const YamlNode& node) {
    std::vector<Mention> found;
    const bool is_list = node.kind == YamlNode::Kind::list && !node.items.empty();
    for (const YamlNode& item : is_list ? std::span(node.items) : std::span(&node, 1)) {
      if (auto one = mention(item, "the name of a switch")) found.push_back(std::move(*one));
    }
    return found;
  }

  std::optional<Mention> mention(const YamlNode& node, std::string_view what) {
    if (node.kind == YamlNode::Kind::scalar && is_name(node.text, 32, "-"))
      return Mention{node.text, node.at};
    problems_.add(node.at, fmt::format("expected {}, found {}", what, describe(node)));
    return std::nullopt;
  }

  GroupWords group(const YamlNode& key, const YamlNode& node, std::vector<HostRow>& rows) {
    GroupWords words;
    MachineGroup& group = words.group;
    group.name = key.text;
    group.at = key.at;
    if (!is_name(key.text, 32, "-")) {
      problems_.add(key.at,
                    fmt::format("expected a machine name like 'server' or 'n' (a-z, 0-9 and '-', first a "
                                "letter, at most 32), found {}",
                                describe(key)));
    }
    const std::string where = fmt::format("machine group {}", describe(key));
    bool role_given = false;
    map(node, where,
        {{"role",
          [&](const YamlNode& v) {
            role_given = true;
            role(v, words.roles);
          }},
         {"roles",
          [&](const YamlNode& v) {
            if (role_given) problems_.add(v.at, fmt::format("{} has both 'role' and 'roles'", where));
            role_given = true;
            roles(v, words.roles);
          }},
         {"count", [&](const YamlNode& v) { group.count = count(v); }},
         {"from", [&](const YamlNode& v) { hosts(v, words, rows); }},
         {"inject", [&](const YamlNode& v) { group.inject = inject(v); }},
         {"memory",
          [&](const YamlNode& v) {
            words.memory_at = v.at;
            words.memory = within(v, quantity(v, parse_size), mebibytes(16), mebibytes(1 << 20));
          }},
         {"backend", [&](const YamlNode& v) { words.backend = backend(v); }},
         {"uri",
          [&](const YamlNode& v) {
            words.uri = uri(v);
            words.uri_at = v.at;
          }},
         {"management", [&](const YamlNode& v) { group.management = boolean(v); }},
         {"switch", [&](const YamlNode& v) { words.plugged_into = mention(v, "the name of a switch"); }},
         {"vlan", [&](const YamlNode& v) { words.vlan = mention(v, "the name of a VLAN"); }},
         {"link", [&](const YamlNode& v) { words.link = link(v, where + "'s link"); }},
         {"boot_timeout", [&](const YamlNode& v) { words.boot_timeout = boot_timeout(v); }},
         {"firmware",
          [&](const YamlNode& v) {
            hardware(words, v, group.hardware.firmware, kFirmwareWords, "firmware");
          }},
         {"chipset",
          [&](const YamlNode& v) { hardware(words, v, group.hardware.chipset, kChipsetWords, "a chipset"); }},
         {"nic",
          [&](const YamlNode& v) { hardware(words, v, group.hardware.nic, kNicWords, "a NIC model"); }},
         {"disk",
          [&](const YamlNode& v) {
            words.disk_at = v.at;
            hardware(words, v, group.hardware.disk, kDiskWords, "a disk");
          }},
         {"graphics",
          [&](const YamlNode& v) {
            hardware(words, v, group.hardware.graphics, kGraphicsWords, "graphics");
          }},
         {"wire",
          [&](const YamlNode& v) {
            words.wire_at = v.at;
            hardware(words, v, group.hardware.wire, kWireWords, "a way for the NIC's cable");
          }},
         {"root",
          [&](const YamlNode& v) {
            words.root_at = v.at;
            choose(v, group.root, kRootWords, "a way to the root");
          }},
         {"changes",
          [&](const YamlNode& v) {
            words.changes_at = v.at;
            choose(v, group.changes, kChangesWords, "a place for changes");
          }},
         {"boot",
          [&](const YamlNode& v) {
            words.boot_at = v.at;
            choose(v, group.san_boot, kBootWords, "what firmware starts");
          }},
         {"qemu_args", [&](const YamlNode& v) { qemu_arguments(words, v); }}});
    if (words.from_at && group.count)
      problems_.add(*words.from_at,
                    fmt::format("{} has both 'count' and 'from'; its table says how many", where));
    const bool in_table = words.from_at && std::all_of(rows.begin(), rows.end(), [](const HostRow& row) {
                            return row.role.has_value();
                          });
    if (node.kind == YamlNode::Kind::map && !role_given && !in_table) {
      problems_.add(key.at, fmt::format("{} needs a role: {}", where, fmt::join(shipped_role_names(), ", ")));
    }
    if (!group.count && !words.from_at && group.name.ends_with('-')) {
      problems_.add(key.at, fmt::format("machine name {} must not end with '-' (RFC 1123)", describe(key)));
    }
    return words;
  }

  // `choose`: one of the words, which are in the order of the enumeration.
  template <typename Choice>
  void hardware(GroupWords& words, const YamlNode& node, Choice& choice,
                std::span<const std::string_view> known, std::string_view what) {
    if (!words.hardware_at) words.hardware_at = node.at;
    choose(node, choice, known, what);
  }
  template <typename Choice>
  void choose(const YamlNode& node, Choice& choice, std::span<const std::string_view> known,
              std::string_view what) {
    const auto found = std::find(known.begin(), known.end(), node.text);
    if (found == known.end()) return word(node, what, known, "words");
    choice = static_cast<Choice>(found - known.begin());
  }
  // A list of words for the hypervisor's program, taken as they are.
  void qemu_arguments(GroupWords& words, const YamlNode& node) {
    constexpr std::size_t kMost = 256;
    if (!words.hardware_at) words.hardware_at = node.at;
    if (node.kind != YamlNode::Kind::list || node.items.size() > kMost) {
      problems_.add(node.at, fmt::format("expected a list of at most {} arguments like "
                                         "['-device', 'virtio-vga'], found {}",
                                         kMost, describe(node)));
      return;
    }
    for (const YamlNode& item : node.items) {
      if (item.kind == YamlNode::Kind::scalar && !item.text.empty()) {
        words.group.hardware.more_arguments.push_back(item.text);
      } else {
        problems_.add(item.at, fmt::format("expected an argument, found {}", describe(item)));
      }
    }
  }

  LinkWords link(const YamlNode& node, std::string_view where) {
    LinkWords words;
    map(node, where,
        {{"rate",
          [&](const YamlNode& v) {
            words.rate = within(v, quantity(v, parse_bit_rate), BitRate{1000}, BitRate{400'000'000'000});
          }},
         {"delay",
          [&](const YamlNode& v) {
            words.delay =
                within(v, quantity(v, parse_duration), Duration(0), Duration(std::chrono::seconds(60)));
          }},
         // A queue must hold at least one frame, and with segmentation offload a frame may be 64 KiB and
         // headers.
         {"queue", [&](const YamlNode& v) {
            words.queue = within(v, quantity(v, parse_size), Bytes{68u << 10}, mebibytes(1024));
          }}});
    return words;
  }

  // Which roles there are is find_roles()'s to say.
  void role(const YamlNode& node, std::vector<Mention>& found) {
    if (node.kind == YamlNode::Kind::scalar && is_name(node.text, RoleLimits::kName, "-")) {
      found.push_back({node.text, node.at});
    } else {
      word(node, "a role", shipped_role_names(), "roles");
    }
  }
  void roles(const YamlNode& node, std::vector<Mention>& found) {
    if (node.kind != YamlNode::Kind::list || node.items.empty() ||
        node.items.size() > RoleLimits::kPerMachine) {
      problems_.add(node.at,
                    fmt::format("expected a list of 1 to {} roles like '[client, nfs-client]', found {}",
                                RoleLimits::kPerMachine, describe(node)));
      return;
    }
    for (const YamlNode& item : node.items) role(item, found);
  }
  std::optional<std::string> backend(const YamlNode& node) {
    const bool known =
        std::find(kBackendWords.begin(), kBackendWords.end(), node.text) != kBackendWords.end();
    if (known) return node.text;
    word(node, "a backend", kBackendWords, "backends");
    return std::nullopt;
  }
  // Its driver is looked at here; the rest is libvirt's.
  std::optional<std::string> uri(const YamlNode& node) {
    constexpr std::size_t kLongest = 1024;
    const std::size_t colon = node.text.find("://");
    if (node.kind != YamlNode::Kind::scalar || colon == std::string::npos || node.text.size() > kLongest) {
      problems_.add(node.at,
                    fmt::format("expected a URI of libvirt like qemu:///session, found {}", describe(node)));
      return std::nullopt;
    }
    YamlNode driver = node;
    driver.text = node.text.substr(0, std::min(colon, node.text.find('+')));
    if (std::find(kUriDrivers.begin(), kUriDrivers.end(), driver.text) != kUriDrivers.end()) return node.text;
    word(driver, "a driver of libvirt", kUriDrivers, "drivers");
    return std::nullopt;
  }
  std::optional<std::uint32_t> count(const YamlNode& node) {
    // 1 if it is none, so that nothing is said of the group's name, which has no number without a count.
    return number(node, "a count", kMachinesMax).value_or(1);
  }
  std::optional<std::uint16_t> vlan_id(const YamlNode& node) {
    constexpr std::uint32_t kLastVlan = 4094;  // IEEE 802.1Q-2018 table 9-2: 4095 is reserved
    const auto id = number(node, "a VLAN id", kLastVlan);
    if (!id) return std::nullopt;
    return static_cast<std::uint16_t>(*id);
  }

  std::optional<std::int64_t> clock(const YamlNode& node) {
    const auto seconds = node.kind == YamlNode::Kind::scalar ? parse_clock(node.text) : std::nullopt;
    if (!seconds)
      problems_.add(node.at, fmt::format("expected a day like '2027-03-01' or a time of one like '2027-03-01 "
                                         "14:30:00' (UTC, 1970 to 2199), found {}",
                                         describe(node)));
    return seconds;
  }
  std::optional<Duration> boot_timeout(const YamlNode& v) {
    return within(v, quantity(v, parse_duration), Duration(std::chrono::seconds(1)),
                  Duration(std::chrono::hours(24)));
  }
};

}  // namespace

Beside beside(std::string_view lab_file) {
  return {roles_beside(lab_file), [lab_file = std::string(lab_file)](const std::string& path) {
            return read_file(beside_lab_file(lab_file, path), kSideFileMost);
          }};
}

Result<Lab> parse_lab(std::string_view text, std::string_view filename, const Beside& around) {
  auto tree = parse_yaml(text, filename);
  if (!tree) return tl::unexpected(tree.error());
  return parse_lab(*tree, filename, around);
}

Result<Lab> parse_lab(const YamlNode& tree, std::string_view filename, const Beside& around) {
  Problems problems(filename);
  LabWords words = Reader(problems, filename, around.read).lab(tree);
  // One that is not known may be meant to be the boot server.
  if (find_roles(words, around.roles, problems)) check_boot_servers(words, tree.at, problems);
  check_memory(words, problems);
  check_hardware(words, problems);
  check_uris(words, problems);
  check_roots(words, problems);
  check_topology(words, problems);
  // What is wrong with a table is said all at once: also what only a plan finds, such as an address that two
  // of its lines have.
  if (problems.only_beside()) find_more_problems(with_defaults(words, filename), problems);
  if (!problems.empty()) return tl::unexpected(problems.to_error());
  return with_defaults(std::move(words), filename);
}

}  // namespace rookery::vboot
