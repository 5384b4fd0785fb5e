#include "vboot/faults/board.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "vboot/faults/in_force.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kNamesRemembered = 65'536;  // of faults that were once in force

// What it does to a machine that it strikes, for who looks at the machine.
std::string_view word_of(const FaultSpec& spec) {
  if (is<Freeze>(spec)) return "frozen";
  if (is<Slow>(spec)) return "slowed";
  if (is<PowerCut>(spec)) return "plug pulled";
  if (is<SwitchRestart>(spec)) return "switch restarts";
  if (is<Blocking>(spec)) return "port blocked";
  if (is<Flap>(spec)) return "cable flaps";
  if (is<Partition>(spec) || is<OneWayCut>(spec)) return "cut off from some";
  if (!is<Down>(spec)) return effect_word(spec.effect);  // of frames: loss, delay, …
  return spec.direction == FaultDirection::up     ? "sends nothing"
         : spec.direction == FaultDirection::down ? "hears nothing"
                                                  : "cable out";
}

bool is_of_cables(const FaultEffect& effect) {
  return if_of_frames(effect, [](const auto&) {}) || std::holds_alternative<Down>(effect) ||
         std::holds_alternative<Flap>(effect) || std::holds_alternative<QueueLimit>(effect) ||
         std::holds_alternative<Blocking>(effect);
}

}  // namespace

FaultBoard::FaultBoard(EventLoop& loop, std::uint64_t seed, FaultReach reach)
    : loop_(loop), seed_(seed), reach_(std::move(reach)) {
  for (const Cable& cable : reach_.cables) {
    CableState& state = cables_.emplace_back();
    state.up_rules = cable.up_link->rules();
    state.down_rules = cable.down_link->rules();
  }
}

FaultBoard::~FaultBoard() {
  for (const auto& [name, fault] : in_force_) {
    fault->settling->then = nullptr;
    loop_.cancel(fault->ends);
    loop_.cancel(fault->next);
    for (const auto& [cable, event] : fault->blocked) loop_.cancel(event);
    for (const auto& [cable, event] : fault->hellos) loop_.cancel(event);
    for (const std::size_t cable : fault->cables) {
      reach_.cables[cable].up->clear_rule(name);
      reach_.cables[cable].down->clear_rule(name);
    }
  }
  for (const Cable& cable : reach_.cables) cable.down->set_separation(nullptr);
}

// --- where
// ---------------------------------------------------------------------------------------------------

Status FaultBoard::find_named(const std::vector<std::string>& patterns, const std::vector<std::string>& names,
                              std::string_view what, std::vector<std::size_t>& found) const {
  for (const std::string& pattern : patterns) {
    const std::size_t before = found.size();
    bool any = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!fits(pattern, names[i])) continue;
      any = true;
      if (std::find(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(before), i) ==
          found.begin() + static_cast<std::ptrdiff_t>(before)) {
        found.push_back(i);
      }
    }
    if (any) continue;
    const std::vector<std::string_view> all(names.begin(), names.end());
    const std::string_view nearest = nearest_word(pattern, all);
    return fail(ErrorKind::usage,
                fmt::format("fault: no {} '{}' in this lab{}", what, pattern,
                            nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
  }
  return {};
}

// By the names of machines, of trunks, or of switches, which stand for all their trunks upwards.
Status FaultBoard::find_cables(const FaultSpec& spec, InForce& fault) const {
  std::vector<std::string> names;
  for (const Cable& cable : reach_.cables) {
    names.push_back(cable.name);
    if (cable.is_trunk()) names.push_back(cable.name.substr(0, cable.name.find(':')));
  }
  std::vector<std::size_t> said;
  ROOKERY_TRY(find_named(spec.on, names, "machine or trunk", said));
  for (std::size_t i = 0, name = 0; i < reach_.cables.size(); ++i) {
    const std::size_t of_it = reach_.cables[i].is_trunk() ? 2 : 1;
    const bool meant =
        std::any_of(said.begin(), said.end(), [&](std::size_t s) { return s >= name && s < name + of_it; });
    if (meant) fault.cables.push_back(i);
    name += of_it;
  }
  return {};
}

// All that can be wrong, before anything is changed.
Status FaultBoard::look(const FaultSpec& spec, InForce& fault) const {
  if (is_of_cables(spec.effect)) {
    ROOKERY_TRY(find_cables(spec, fault));
  } else if (is<SwitchRestart>(spec) != nullptr) {
    ROOKERY_TRY(find_named(spec.on, reach_.switches, "switch", fault.switches));
  } else if (const auto* partition = is<Partition>(spec)) {
    for (const auto& group : partition->groups)
      ROOKERY_TRY(find_named(group, reach_.machines, "machine", fault.groups.emplace_back()));
  } else if (const auto* cut = is<OneWayCut>(spec)) {
    ROOKERY_TRY(find_named(cut->from, reach_.machines, "machine", fault.groups.emplace_back()));
    ROOKERY_TRY(find_named(cut->to, reach_.machines, "machine", fault.groups.emplace_back()));
  } else {
    ROOKERY_TRY(find_named(spec.on, reach_.machines, "machine", fault.machines));
  }
  for (std::size_t a = 0; a < fault.groups.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      for (const std::size_t machine : fault.groups[a]) {
        if (std::find(fault.groups[b].begin(), fault.groups[b].end(), machine) == fault.groups[b].end())
          continue;
        return fail(ErrorKind::usage, fmt::format("fault: '{}' is on both sides", reach_.machines[machine]));
      }
    }
  }
  for (const std::size_t cable : fault.cables) {
    if (is<Blocking>(spec) != nullptr && reach_.cables[cable].is_trunk()) {
      return fail(ErrorKind::usage, fmt::format("fault: blocking is of a machine's port; '{}' is a trunk",
                                                reach_.cables[cable].name));
    }
    if (is<QueueLimit>(spec) != nullptr && !cables_[cable].up_rules.rate) {
      return fail(ErrorKind::usage,
                  fmt::format("fault: the cable '{}' has no rate, so nothing waits in it; say rate= too",
                              reach_.cables[cable].name));
    }
  }
  if (!spec.match.empty()) {
    auto filter = netsim::FrameFilter::compile(spec.match, reach_.address_of);
    if (!filter) return tl::unexpected<Error>(std::move(filter.error()).while_doing("fault"));
    fault.filter = std::move(*filter);
  }
  return {};
}

// --- beginning and ending
// ------------------------------------------------------------------------------------

Status FaultBoard::set(FaultSpec spec, Action settled) {
  auto made = std::make_unique<InForce>();
  ROOKERY_TRY(look(spec, *made));
  const bool is_new = !in_force_.contains(spec.name);
  if ((is_new && in_force_.size() >= kFaultsMost) ||
      (!begun_.contains(spec.name) && begun_.size() >= kNamesRemembered)) {
    return fail(ErrorKind::usage,
                fmt::format("fault: {} are in force, and no more can be", in_force_.size()));
  }
  const auto known = begun_.find(spec.name);
  made->turn = (known == begun_.end() ? 0 : known->second) + 1;
  made->began = loop_.now();
  made->spec = std::move(spec);
  const auto settling = std::make_shared<InForce::Settling>(InForce::Settling{std::move(settled)});
  made->settling = settling;
  InForce& fault = *made;
  const std::string name = fault.spec.name;
  // Only what is done to machines may turn out to be impossible: then the old one of this name stays in
  // force.
  const bool may_fail = !fault.machines.empty();
  if (!is_new && may_fail) {
    if (Status begun = begin(fault); !begun) {
      settling->then = nullptr;
      undo(fault);
      return begun;
    }
    const std::unique_ptr<InForce> old = std::exchange(in_force_[name], std::move(made));
    over(*old, "replaced");
  } else {
    if (!is_new) end(name, "replaced");
    in_force_[name] = std::move(made);
  }
  begun_[name] = fault.turn;
  for (FaultEvents* listener : listeners_) listener->fault_began(fault.spec);
  if (is_new || !may_fail) {
    if (Status begun = begin(fault); !begun) {
      settling->then = nullptr;
      end(name, "not possible");
      return begun;
    }
  }
  const bool power_stays_off = is<PowerCut>(fault.spec) != nullptr && !fault.spec.time;
  if (is<Reset>(fault.spec) || is<Thaw>(fault.spec) || is<ClockStep>(fault.spec) || power_stays_off) {
    fault.machines.clear();  // there is nothing to undo
    end(name, "done");
    InForce::one_settled(*settling);
    return {};
  }
  std::optional<Duration> time = fault.spec.time;
  if (const auto* restart = is<SwitchRestart>(fault.spec)) time = restart->ports_down;
  if (time) fault.ends = loop_.after(*time, [this, name] { end(name, "time"); });
  InForce::one_settled(*settling);
  return {};
}

Status FaultBoard::begin(InForce& fault) {
  const FaultSpec& spec = fault.spec;
  if (if_of_frames(spec.effect, [&](const netsim::FrameEffect& effect) { set_rules(fault, effect); }))
    return {};
  MachineFaults& deeds = *reach_.deeds;
  if (is<Down>(spec)) {
    for (const std::size_t cable : fault.cables) pull(cable, spec.direction, 1);
  } else if (const auto* rule = is<Flap>(spec)) {
    flap(fault, *rule, true);
  } else if (is<QueueLimit>(spec)) {
    limit_queues();
  } else if (is<Blocking>(spec)) {
    for (const std::size_t cable : fault.cables) block(fault, cable);
  } else if (is<Partition>(spec) || is<OneWayCut>(spec)) {
    netsim::Separation::Groups groups;
    groups.says.resize(reach_.machines.size() + 1);
    groups.hears = groups.says;
    for (std::size_t i = 0; i < fault.groups.size(); ++i) {
      for (const std::size_t machine : fault.groups[i]) {
        const auto number = static_cast<std::uint16_t>(i + 1);
        if (is<Partition>(spec) || i == 0) groups.says[machine + 1] = number;
        if (is<Partition>(spec) || i == 1) groups.hears[machine + 1] = number;
      }
    }
    separate(fault, std::move(groups));
  } else if (is<SwitchRestart>(spec)) {
    for (std::size_t i = 0; i < reach_.cables.size(); ++i) {
      const auto& ends = reach_.cables[i].ends;
      const bool there = std::any_of(fault.switches.begin(), fault.switches.end(), [&](std::size_t s) {
        return std::find(ends.begin(), ends.end(), s) != ends.end();
      });
      if (!there) continue;
      fault.cables.push_back(i);
      pull(i, Way::both, 1);
    }
    for (const std::size_t at : fault.switches) reach_.restart_switch(at);
  } else if (is<PowerCut>(spec)) {
    return on_machines(fault, [&](std::string_view machine) { return deeds.power_cut(machine); });
  } else if (is<Reset>(spec)) {
    return on_machines(fault, [&](std::string_view machine) { return deeds.reset(machine); });
  } else if (is<Freeze>(spec)) {
    return on_machines(fault, [&](std::string_view machine) {
      ++fault.settling->left;
      return deeds.freeze(machine, [settling = fault.settling] { InForce::one_settled(*settling); });
    });
  } else if (is<Thaw>(spec)) {
    const Status thawed = on_machines(fault, [&](std::string_view machine) { return deeds.thaw(machine); });
    for (const std::size_t machine : fault.machines) thaw(machine);
    return thawed;
  } else if (const auto* slow = is<Slow>(spec)) {
    return on_machines(fault, [&](std::string_view machine) { return deeds.slow(machine, slow->gap); });
  } else if (const auto* step = is<ClockStep>(spec)) {
    return on_machines(fault, [&](std::string_view machine) { return deeds.step_clock(machine, step->by); });
  }
  return {};
}

// What is not possible on one of them is undone on those before it, where it can be.
Status FaultBoard::on_machines(InForce& fault, const std::function<Status(std::string_view)>& deed) {
  for (std::size_t i = 0; i < fault.machines.size(); ++i) {
    if (Status done = deed(reach_.machines[fault.machines[i]]); !done) {
      fault.machines.resize(i);
      return done;
    }
  }
  return {};
}

void FaultBoard::undo(InForce& fault) {
  const FaultSpec& spec = fault.spec;
  if (if_of_frames(spec.effect, [](const auto&) {})) {
    for (const std::size_t cable : fault.cables) {
      reach_.cables[cable].up->clear_rule(spec.name);
      reach_.cables[cable].down->clear_rule(spec.name);
    }
  } else if (is<Down>(spec) || is<SwitchRestart>(spec)) {
    for (const std::size_t cable : fault.cables) pull(cable, spec.direction, -1);
  } else if (is<Flap>(spec)) {
    if (fault.pulled) {
      for (const std::size_t cable : fault.cables) pull(cable, Way::both, -1);
    }
  } else if (is<QueueLimit>(spec)) {
    limit_queues();
  } else if (is<Blocking>(spec)) {
    for (const std::size_t cable : fault.cables) unblock(fault, cable, false);
  } else if (is<Partition>(spec) || is<OneWayCut>(spec)) {
    separation_.clear(spec.name);
    if (!separation_.empty()) return;
    for (const Cable& cable : reach_.cables) cable.down->set_separation(nullptr);
  }
  // Of machines, as far as no other fault has the same done to them. An error says that the machine is gone
  // meanwhile, which is as good.
  for (const std::size_t machine : fault.machines) {
    const std::string& name = reach_.machines[machine];
    const InForce* other = same_on(fault, machine);
    if (is<PowerCut>(spec) && other == nullptr) (void)reach_.deeds->power_on(name);
    if (is<Freeze>(spec) && other == nullptr) (void)reach_.deeds->thaw(name);
    if (is<Slow>(spec))
      (void)reach_.deeds->slow(name, other == nullptr ? Duration{0} : is<Slow>(other->spec)->gap);
  }
}

// Another fault of that kind that is in force on the machine; of several the one that was set last.
const FaultBoard::InForce* FaultBoard::same_on(const InForce& fault, std::size_t machine) const {
  const InForce* found = nullptr;
  for (const auto& [name, other] : in_force_) {
    if (other.get() == &fault || other->spec.effect.index() != fault.spec.effect.index()) continue;
    if (std::find(other->machines.begin(), other->machines.end(), machine) == other->machines.end()) continue;
    if (found == nullptr || found->began <= other->began) found = other.get();
  }
  return found;
}

void FaultBoard::end(const std::string& name, std::string_view why) {
  const auto found = in_force_.find(name);
  if (found == in_force_.end()) return;
  const std::unique_ptr<InForce> fault = std::move(found->second);
  in_force_.erase(found);
  over(*fault, why);
}

// Of one that is no longer among those in force.
void FaultBoard::over(InForce& fault, std::string_view why) {
  loop_.cancel(fault.ends);
  loop_.cancel(fault.next);
  undo(fault);
  for (FaultEvents* listener : listeners_) listener->fault_ended(fault.spec, why);
}

Result<std::size_t> FaultBoard::clear(std::string_view what) {
  std::vector<std::string> names;
  for (const auto& [name, fault] : in_force_) {
    const std::string place = fmt::format("{}", fmt::join(fault->spec.on, ","));
    if (what == "all" || fits(what, name) || (!place.empty() && place == what)) names.push_back(name);
  }
  for (const std::string& name : names) end(name, "cleared");
  if (!names.empty() || what == "all") return names.size();
  std::vector<std::string_view> known;
  for (const auto& [name, fault] : in_force_) known.push_back(name);
  return fail(ErrorKind::usage,
              fmt::format("no fault is called '{}' or was set on it{}", what,
                          known.empty() ? "; none is in force" : suggestion(what, known, "faults in force")));
}

bool FaultBoard::stops(std::string_view word) {
  constexpr std::array<std::string_view, 7> kStopping{"frozen",       "plug pulled",   "switch restarts",
                                                      "port blocked", "sends nothing", "hears nothing",
                                                      "cable out"};
  return std::find(kStopping.begin(), kStopping.end(), word) != kStopping.end();
}

// Once each, however many faults of a kind there are.
std::vector<std::vector<std::string>> FaultBoard::in_the_way() const {
  std::vector<std::vector<std::string>> ways;
  if (in_force_.empty()) return ways;
  ways.resize(reach_.machines.size());
  const auto add = [&](std::size_t machine, std::string_view word) {
    if (machine >= ways.size()) return;  // the cables of machines come first
    auto& words = ways[machine];
    if (std::find(words.begin(), words.end(), word) == words.end()) words.emplace_back(word);
  };
  for (const auto& [name, fault] : in_force_) {
    const std::string_view word = word_of(fault->spec);
    for (const std::size_t machine : fault->machines) add(machine, word);
    for (const auto& group : fault->groups) {
      for (const std::size_t machine : group) add(machine, word);
    }
    for (const std::size_t cable : fault->cables) {
      if (!is<Blocking>(fault->spec) || fault->blocked.contains(cable)) add(cable, word);
    }
  }
  return ways;
}

std::vector<FaultState> FaultBoard::in_force() const {
  std::vector<FaultState> states;
  for (const auto& [name, fault] : in_force_) {
    FaultState state{&fault->spec, fault->began, fault->refused};
    for (const std::size_t cable : fault->cables) {
      for (const netsim::FaultPoint* point : {reach_.cables[cable].up, reach_.cables[cable].down}) {
        const netsim::FaultCounters counters = point->counters(name);
        state.frames.seen += counters.seen;
        state.frames.hit += counters.hit;
      }
    }
    states.push_back(state);
  }
  return states;
}

}  // namespace rookery::vboot
