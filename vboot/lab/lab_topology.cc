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

// One tree, so that there is one way for every frame. Follows each switch's uplinks; a loop is told once.
void check_tree(const std::vector<SwitchWords>& switches, Problems& problems) {
  const auto uplink_of = [&](const SwitchWords& from) -> const SwitchWords* {
    if (!from.uplink) return nullptr;
    const auto to = std::find_if(switches.begin(), switches.end(),
                                 [&](const SwitchWords& s) { return s.name == from.uplink->name; });
    return to == switches.end() ? nullptr : &*to;
  };
  std::set<const SwitchWords*> known;  // membership only
  const SwitchWords* top = nullptr;
  for (const SwitchWords& start : switches) {
    std::vector<std::string_view> way;
    std::set<const SwitchWords*> passed;  // membership only
    const SwitchWords* at = &start;
    for (; at != nullptr && !known.contains(at) && passed.insert(at).second; at = uplink_of(*at)) {
      way.push_back(at->name);
    }
    if (at != nullptr && passed.contains(at)) {
      way.erase(way.begin(), std::find(way.begin(), way.end(), at->name));
      problems.add(
          at->uplink->at,
          fmt::format("the uplinks make a loop: {}, {}; the switches of a lab must be a tree, for none "
                      "of them speaks a spanning tree protocol yet",
                      fmt::join(way, ", "), at->name));
    }
    known.insert(passed.begin(), passed.end());
    if (start.uplink) continue;
    if (top != nullptr) {
      problems.add(
          start.at,
          fmt::format("switches '{0}' and '{1}' are not connected: each but one needs an uplink, like "
                      "'{1}: {{uplink: {0}}}'",
                      top->name, start.name));
    } else {
      top = &start;
    }
  }
}

void check_switches(const LabWords& words, Problems& problems) {
  const auto names = names_of(words.switches);
  for (const SwitchWords& said : words.switches) {
    if (said.uplink) check_mention(*said.uplink, "switch", "switches", names, problems);
    if (said.link_at && !said.uplink) {
      problems.add(*said.link_at,
                   fmt::format("switch '{}' has a link and no uplink that it would describe", said.name));
    }
  }
  check_tree(words.switches, problems);
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
  if (said.role == Role::boot_server) {
    if (said.vlan) {
      problems.add(said.vlan->at, "a boot server is in every VLAN, with tags; 'vlan' is for clients");
    }
  } else if (said.vlan) {
    check_mention(*said.vlan, "VLAN", "vlans", vlans, problems);
  } else if (vlans.size() > 1 && said.role) {
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
