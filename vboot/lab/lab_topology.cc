// What must hold between the switches, the VLANs and the machines of a file, beyond each of them alone.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "vboot/lab/lab_words.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

template <typename T>
std::vector<std::string_view> names_of(const std::vector<T>& named) {
  std::vector<std::string_view> names;
  for (const T& one : named) names.push_back(one.name);
  return names;
}

bool has(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Adds a problem unless one of `names` is mentioned.
void check_mention(const Mention& mention, std::string_view what, std::string_view plural,
                   const std::vector<std::string_view>& names, Problems& problems) {
  if (has(names, mention.name)) return;
  if (names.empty()) {
    problems.add(mention.at,
                 fmt::format("unknown {} '{}'; the lab has no '{}:'", what, mention.name, plural));
    return;
  }
  problems.add(mention.at,
               fmt::format("unknown {} '{}'{}", what, mention.name, suggestion(mention.name, names, plural)));
}

// Each switch must reach every other, by its own uplinks or theirs; how many ways there are does not matter.
void check_connected(const std::vector<SwitchWords>& switches, Problems& problems) {
  std::vector<std::size_t> part(switches.size());  // the first switch of the part that each is in
  for (std::size_t i = 0; i < part.size(); ++i) part[i] = i;
  std::set<std::size_t> in_doubt;  // switches with an uplink to nowhere: told already
  for (std::size_t i = 0; i < switches.size(); ++i) {
    for (const Mention& uplink : switches[i].uplinks) {
      const auto to = std::find_if(switches.begin(), switches.end(),
                                   [&](const SwitchWords& s) { return s.name == uplink.name; });
      if (to == switches.end() || &*to == &switches[i]) {
        in_doubt.insert(i);
        continue;
      }
      const std::size_t one = part[i], other = part[static_cast<std::size_t>(to - switches.begin())];
      std::replace(part.begin(), part.end(), std::max(one, other), std::min(one, other));
    }
  }
  for (std::size_t i = 1; i < switches.size(); ++i) {
    const bool doubtful =
        std::any_of(in_doubt.begin(), in_doubt.end(), [&](std::size_t d) { return part[d] == i; });
    if (part[i] != i || doubtful) continue;
    problems.add(switches[i].at,
                 fmt::format("switches '{0}' and '{1}' are not connected: each but one needs an uplink, like "
                             "'{1}: {{uplink: {0}}}'",
                             switches[0].name, switches[i].name));
  }
}

void check_uplinks(const SwitchWords& said, const std::vector<std::string_view>& names, Problems& problems) {
  for (std::size_t i = 0; i < said.uplinks.size(); ++i) {
    const Mention& uplink = said.uplinks[i];
    check_mention(uplink, "switch", "switches", names, problems);
    if (uplink.name == said.name)
      problems.add(uplink.at, fmt::format("switch '{}' is its own uplink", said.name));
    const auto before = said.uplinks.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::any_of(said.uplinks.begin(), before, [&](const Mention& m) { return m.name == uplink.name; }))
      problems.add(uplink.at,
                   fmt::format("switch '{}' has '{}' as its uplink twice", said.name, uplink.name));
  }
}

void check_switches(const LabWords& words, Problems& problems) {
  const auto names = names_of(words.switches);
  for (const SwitchWords& said : words.switches) {
    check_uplinks(said, names, problems);
    if (said.link_at && said.uplinks.empty()) {
      problems.add(*said.link_at,
                   fmt::format("switch '{}' has a link and no uplink that it would describe", said.name));
    }
  }
  check_connected(words.switches, problems);
}

bool overlap(Ipv4Subnet a, Ipv4Subnet b) {
  return a.network <= b.broadcast() && b.network <= a.broadcast();
}

void check_vlans(const LabWords& words, Problems& problems) {
  if (words.vlans_at && words.subnet) {
    problems.add(words.subnet_at, "a lab with 'vlans' has a subnet in each of them, and none in 'network'");
  }
  for (std::size_t i = 0; i < words.vlans.size(); ++i) {
    const VlanWords& said = words.vlans[i];
    for (std::size_t k = 0; k < i; ++k) {
      const VlanWords& other = words.vlans[k];
      if (said.id && said.id == other.id) {
        problems.add(said.id_at,
                     fmt::format("VLANs '{}' and '{}' have the same id {}", other.name, said.name, *said.id));
      }
      if (said.subnet && other.subnet && overlap(*said.subnet, *other.subnet)) {
        problems.add(said.subnet_at,
                     fmt::format("network {} of VLAN '{}' and network {} of VLAN '{}' overlap",
                                 to_text(*other.subnet), other.name, to_text(*said.subnet), said.name));
      }
    }
  }
}

void check_group(const GroupWords& said, const LabWords& words, Problems& problems) {
  const auto switches = names_of(words.switches), vlans = names_of(words.vlans);
  const std::string& name = said.group.name;
  if (!is_name(name, 32, "-")) return;  // a problem already
  if (said.plugged_into) {
    check_mention(*said.plugged_into, "switch", "switches", switches, problems);
  } else if (switches.size() > 1) {
    problems.add(said.group.at,
                 fmt::format("machine group '{}' needs a switch: {}", name, fmt::join(switches, ", ")));
  }
  if (serves_boot(said)) {
    if (said.vlan) {
      problems.add(said.vlan->at, "a boot server is in every VLAN, with tags; 'vlan' is for clients");
    }
  } else if (said.vlan) {
    check_mention(*said.vlan, "VLAN", "vlans", vlans, problems);
  } else if (vlans.size() > 1 && !said.roles.empty()) {
    problems.add(said.group.at,
                 fmt::format("machine group '{}' needs a vlan: {}", name, fmt::join(vlans, ", ")));
  }
}

}  // namespace

void check_topology(const LabWords& words, Problems& problems) {
  check_switches(words, problems);
  check_vlans(words, problems);
  for (const GroupWords& said : words.groups) check_group(said, words, problems);
}

}  // namespace rookery::vboot
