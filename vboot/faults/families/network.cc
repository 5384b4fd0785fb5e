// Faults of the network as a whole: machines that do not hear each other.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "vboot/faults/fault_words.h"
#include "vboot/faults/in_force.h"
#include "vboot/faults/kind.h"

namespace rookery::vboot {
namespace {

FaultEffect read_partition(FaultWords& words, const std::string& value) {
  Partition partition;
  for (const std::string_view group : split_at(value, '/'))
    partition.groups.push_back(words.places("partition", group));
  if (partition.groups.size() < 2 || partition.groups.size() > FaultWords::kNamesMost)
    words.note("partition: expected groups with '/' between them, like partition=server,n1/n2,n3");
  return partition;
}
void tell_partition(const FaultSpec& fault, FaultPairs& words) {
  std::vector<std::string> groups;
  for (const auto& group : std::get<Partition>(fault.effect).groups) groups.push_back(list_text(group));
  words.emplace_back("partition", fmt::format("{}", fmt::join(groups, "/")));
}

FaultEffect read_cut(FaultWords& words, const std::string& value) {
  const auto to = words.take("to");
  if (!to) words.note("cut needs to=: who does not hear it any more, like cut=n5 to=server");
  return OneWayCut{words.places("cut", value), words.places("to", to.value_or("x"))};
}
void tell_cut(const FaultSpec& fault, FaultPairs& words) {
  const auto& cut = std::get<OneWayCut>(fault.effect);
  words.emplace_back("cut", list_text(cut.from));
  words.emplace_back("to", list_text(cut.to));
}

std::vector<std::vector<std::string>> groups_of(const FaultEffect& effect) {
  if (const auto* partition = std::get_if<Partition>(&effect)) return partition->groups;
  const auto& cut = std::get<OneWayCut>(effect);
  return {cut.from, cut.to};
}

std::vector<std::string> machines_named(const FaultSpec& fault) {
  std::vector<std::string> names;
  for (const auto& group : groups_of(fault.effect)) names.insert(names.end(), group.begin(), group.end());
  return names;
}

bool partition_separates(const FaultSpec& fault, std::string_view one, std::string_view other) {
  const auto& groups = std::get<Partition>(fault.effect).groups;
  const auto group_of = [&](std::string_view machine) {
    return std::find_if(groups.begin(), groups.end(),
                        [&](const auto& group) { return any_fits(group, machine); });
  };
  const auto a = group_of(one), b = group_of(other);
  return a != groups.end() && b != groups.end() && a != b;
}

bool cut_separates(const FaultSpec& fault, std::string_view one, std::string_view other) {
  const auto& cut = std::get<OneWayCut>(fault.effect);
  return (any_fits(cut.from, one) && any_fits(cut.to, other)) ||
         (any_fits(cut.from, other) && any_fits(cut.to, one));
}

class SeparationFault final : public FaultInForce {
 public:
  Status find(const FaultGround& ground) override {
    const std::vector<std::string>& names = ground.reach().machines;
    for (const auto& group : groups_of(spec.effect))
      ROOKERY_TRY(ground.find_named(group, names, "machine", groups_.emplace_back()));
    for (auto group = groups_.begin(); group != groups_.end(); ++group) {
      for (auto before = groups_.begin(); before != group; ++before) {
        for (const std::size_t machine : *group) {
          if (std::find(before->begin(), before->end(), machine) == before->end()) continue;
          return fail(ErrorKind::usage, fmt::format("fault: '{}' is on both sides", names[machine]));
        }
      }
      machines.insert(machines.end(), group->begin(), group->end());
    }
    return {};
  }

  // Of a partition each group says and hears its own number; of a cut the first only says, the second only
  // hears.
  Status begin(FaultGround& ground) override {
    const bool both_ways = std::holds_alternative<Partition>(spec.effect);
    netsim::Separation::Groups numbers;
    numbers.says.resize(ground.reach().machines.size() + 1);
    numbers.hears = numbers.says;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      for (const std::size_t machine : groups_[i]) {
        const auto number = static_cast<std::uint16_t>(i + 1);
        if (both_ways || i == 0) numbers.says[machine + 1] = number;
        if (both_ways || i == 1) numbers.hears[machine + 1] = number;
      }
    }
    ground.separation().set(
        spec.name, std::move(numbers), [this, &ground](std::uint16_t station, const netsim::Frame& frame) {
          ++refused_.seen;
          ++refused_.hit;
          ground.board().tell_hit(*this, ground.reach().machines[station - 1u], "down", frame);
        });
    for (const Cable& cable : ground.reach().cables) {
      if (!cable.is_trunk()) cable.down->set_separation(&ground.separation());
    }
    return {};
  }

  void undo(FaultGround& ground) override {
    ground.separation().clear(spec.name);
    if (!ground.separation().empty()) return;
    for (const Cable& cable : ground.reach().cables) cable.down->set_separation(nullptr);
  }

  netsim::FaultCounters frames(const FaultGround&) const override { return refused_; }

 private:
  std::vector<std::vector<std::size_t>> groups_;
  netsim::FaultCounters refused_;
};

std::string_view in_the_way(const FaultSpec& /*fault*/) {
  return "cut off from some";
}

constexpr std::array kKinds{FaultKind{.word = "partition",
                                      .effect = effect_of<Partition>(),
                                      .read = read_partition,
                                      .tell = tell_partition,
                                      .make = make_fault<SeparationFault>,
                                      .machines_named = machines_named,
                                      .in_the_way = in_the_way,
                                      .hinders = Hinders::hearing,
                                      .separates = partition_separates},
                            FaultKind{.word = "cut",
                                      .effect = effect_of<OneWayCut>(),
                                      .read = read_cut,
                                      .tell = tell_cut,
                                      .make = make_fault<SeparationFault>,
                                      .more = {"to"},
                                      .machines_named = machines_named,
                                      .in_the_way = in_the_way,
                                      .hinders = Hinders::hearing,
                                      .separates = cut_separates}};

}  // namespace

std::span<const FaultKind> network_kinds() {
  return kKinds;
}

}  // namespace rookery::vboot
