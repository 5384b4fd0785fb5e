// Which roles a lab's machines have, who provides what they need, and in which order they start for it.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "vboot/lab/lab_words.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

using RolesByName = std::map<std::string, Role, std::less<>>;

void find_role(const Mention& mention, const LabWords& words, const RoleFinder& finder, RolesByName& known,
               Problems& problems) {
  if (known.contains(mention.name)) return;
  auto found = finder(words.roles_folder, mention.name);
  if (!found) {
    problems.add(mention.at, found.error().message);
  } else if (!*found) {
    problems.add(mention.at,
                 fmt::format("expected a role, found '{}'{}", mention.name,
                             suggestion(mention.name, shipped_role_names(), "those that are shipped")));
  } else {
    known.emplace(mention.name, std::move(**found));
  }
}

// What the roles of one group add up to.
struct Services {
  std::vector<std::string_view> needs, provides;

  Services(const GroupWords& said, const RolesByName& known) {
    for (const Mention& mention : said.roles) {
      const auto role = known.find(mention.name);
      if (role == known.end()) continue;
      needs.insert(needs.end(), role->second.needs.begin(), role->second.needs.end());
      provides.insert(provides.end(), role->second.provides.begin(), role->second.provides.end());
    }
  }
  bool provide(std::string_view service) const {
    return std::find(provides.begin(), provides.end(), service) != provides.end();
  }
};

void check_group(const GroupWords& said, const RolesByName& known, Problems& problems) {
  for (std::size_t i = 0; i < said.roles.size(); ++i) {
    const Mention& mention = said.roles[i];
    for (std::size_t k = 0; k < i; ++k) {
      if (said.roles[k].name == mention.name)
        problems.add(mention.at, fmt::format("role '{}' is given twice", mention.name));
    }
    const auto role = known.find(mention.name);
    if (role == known.end() || said.group.management || mention.name == kBootServer) continue;
    if (role->second.start || !role->second.files.empty() || !role->second.packages.empty()) {
      problems.add(mention.at,
                   fmt::format("what role '{}' brings comes by the management NIC, and the machines of '{}' "
                               "have none; leave out 'management: false'",
                               mention.name, said.group.name));
    }
  }
}

// The first to last of a circle of groups, or none.
class Turns {
 public:
  Turns(std::vector<GroupWords>& groups, const std::vector<std::vector<std::size_t>>& waits_for)
      : groups_(groups), waits_for_(waits_for), state_(groups.size(), State::unseen) {}

  // True if the group has its turn; false if it is in a circle, which `path` then ends with.
  bool settle(std::size_t group, std::vector<std::size_t>& path) {
    path.push_back(group);
    if (state_[group] == State::open) return false;
    if (state_[group] == State::unseen) {
      state_[group] = State::open;
      for (const std::size_t other : waits_for_[group]) {
        if (!settle(other, path)) return false;
        groups_[group].group.turn = std::max(groups_[group].group.turn, groups_[other].group.turn + 1);
      }
      state_[group] = State::settled;
    }
    path.pop_back();
    return true;
  }

 private:
  enum class State { unseen, open, settled };
  std::vector<GroupWords>& groups_;
  const std::vector<std::vector<std::size_t>>& waits_for_;
  std::vector<State> state_;
};

// In the same VLAN, or in all of them.
bool can_reach(const GroupWords& one, const GroupWords& other) {
  if (serves_boot(one) || serves_boot(other)) return true;
  return (one.vlan ? one.vlan->name : "") == (other.vlan ? other.vlan->name : "");
}

void give_turns(LabWords& words, const RolesByName& known, Problems& problems) {
  std::vector<Services> services;
  for (const GroupWords& said : words.groups) services.emplace_back(said, known);
  std::vector<std::vector<std::size_t>> waits_for(words.groups.size());
  for (std::size_t i = 0; i < words.groups.size(); ++i) {
    for (const std::string_view service : services[i].needs) {
      if (services[i].provide(service)) continue;  // its peers, who do not wait for each other
      bool anybody = false;
      for (std::size_t k = 0; k < words.groups.size(); ++k) {
        if (!services[k].provide(service) || !can_reach(words.groups[i], words.groups[k])) continue;
        anybody = true;
        waits_for[i].push_back(k);
      }
      if (anybody) continue;
      problems.add(
          words.groups[i].roles.front().at,
          fmt::format("machine group '{}' needs '{}', which no machine{} provides; give some machine a "
                      "role that does",
                      words.groups[i].group.name, service,
                      words.groups[i].vlan ? fmt::format(" in VLAN '{}'", words.groups[i].vlan->name) : ""));
    }
  }
  Turns turns(words.groups, waits_for);
  for (std::size_t i = 0; i < words.groups.size(); ++i) {
    std::vector<std::size_t> path;
    if (turns.settle(i, path)) continue;
    const auto first = std::find(path.begin(), path.end(), path.back());
    std::vector<std::string_view> circle;
    for (auto group = first; group != path.end(); ++group) circle.push_back(words.groups[*group].group.name);
    problems.add(words.groups[path.back()].roles.front().at,
                 fmt::format("these groups need each other in a circle, and none could start first: {}",
                             fmt::join(circle, " needs ")));
    return;
  }
}

}  // namespace

bool serves_boot(const GroupWords& said) {
  return std::any_of(said.roles.begin(), said.roles.end(),
                     [](const Mention& role) { return role.name == kBootServer; });
}

bool find_roles(LabWords& words, const RoleFinder& finder, Problems& problems) {
  RolesByName known;
  bool all_known = true;
  for (const GroupWords& said : words.groups) {
    for (const Mention& mention : said.roles) {
      find_role(mention, words, finder, known, problems);
      all_known = all_known && known.contains(mention.name);
    }
    check_group(said, known, problems);
  }
  // A role that is not known may be the one that provides.
  if (all_known) give_turns(words, known, problems);
  for (auto& [name, role] : known) words.roles.push_back(std::move(role));
  return all_known;
}

}  // namespace rookery::vboot
