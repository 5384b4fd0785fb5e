#include "vboot/faults/board.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "netsim/faults/bpdu.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kNamesRemembered = 65'536;  // of faults that were once in force

// The alternatives that are netsim's own, handed over as such.
template <typename Then>
bool if_of_frames(const FaultEffect& effect, Then then) {
  return std::visit(
      [&](const auto& one) {
        if constexpr (std::is_constructible_v<netsim::FrameEffect, decltype(one)>) {
          then(netsim::FrameEffect(one));
          return true;
        } else {
          return false;
        }
      },
      effect);
}

template <typename T>
const T* is(const FaultSpec& spec) {
  return std::get_if<T>(&spec.effect);
}

bool is_of_cables(const FaultEffect& effect) {
  return if_of_frames(effect, [](const auto&) {}) || std::holds_alternative<Down>(effect) ||
         std::holds_alternative<Flap>(effect) || std::holds_alternative<QueueLimit>(effect) ||
         std::holds_alternative<Blocking>(effect);
}

}  // namespace

struct FaultBoard::InForce {
  FaultSpec spec;
  unsigned turn = 1;  // the how-manieth of this name
  Time began{};
  std::vector<std::size_t> cables, machines, switches;  // places in the reach
  std::vector<std::vector<std::size_t>> groups;         // of machines: Partition, OneWayCut
  std::shared_ptr<const netsim::FrameFilter> filter;
  std::size_t rules = 0, spent = 0;  // of frames; in all cables and directions
  netsim::FaultCounters refused;     // by separation
  bool pulled = false;               // Flap: just now
  EventId ends, next;
  std::map<std::size_t, EventId> blocked;  // Blocking: cable, and when its port forwards
  std::map<std::size_t, EventId> hellos;
  struct Settling {
    Action then;
    std::size_t left = 1;  // machines that do not stand still yet, and set() itself
  };
  std::shared_ptr<Settling> settling;
  static void one_settled(Settling& of) {
    if (--of.left == 0 && of.then) std::exchange(of.then, nullptr)();
  }
};

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
  if (!is_new) end(spec.name, "replaced");
  made->turn = ++begun_[spec.name];
  made->began = loop_.now();
  made->spec = std::move(spec);
  const auto settling = std::make_shared<InForce::Settling>(InForce::Settling{std::move(settled)});
  made->settling = settling;
  InForce& fault = *made;
  const std::string name = fault.spec.name;
  in_force_[name] = std::move(made);
  for (FaultEvents* listener : listeners_) listener->fault_began(fault.spec);
  if (Status begun = begin(fault); !begun) {
    settling->then = nullptr;
    end(name, "not possible");
    return begun;
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
    for (const std::size_t machine : fault.machines) thaw(machine);
    return on_machines(fault, [&](std::string_view machine) { return deeds.thaw(machine); });
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
  // Of machines: an error says that the machine is gone meanwhile, which is as good.
  for (const std::size_t machine : fault.machines) {
    const std::string& name = reach_.machines[machine];
    if (is<PowerCut>(spec)) (void)reach_.deeds->power_on(name);
    if (is<Freeze>(spec)) (void)reach_.deeds->thaw(name);
    if (is<Slow>(spec)) (void)reach_.deeds->slow(name, Duration{0});
  }
}

void FaultBoard::end(const std::string& name, std::string_view why) {
  const auto found = in_force_.find(name);
  if (found == in_force_.end()) return;
  const std::unique_ptr<InForce> fault = std::move(found->second);
  in_force_.erase(found);
  loop_.cancel(fault->ends);
  loop_.cancel(fault->next);
  undo(*fault);
  for (FaultEvents* listener : listeners_) listener->fault_ended(fault->spec, why);
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

// --- each kind
// -----------------------------------------------------------------------------------------------

void FaultBoard::set_rules(InForce& fault, const netsim::FrameEffect& effect) {
  const FaultSpec& spec = fault.spec;
  for (const std::size_t index : fault.cables) {
    const Cable& cable = reach_.cables[index];
    for (const Way way : {Way::up, Way::down}) {
      if (spec.direction != Way::both && spec.direction != way) continue;
      const std::string_view word = way == Way::up ? "up" : "down";
      std::string stream = fmt::format("fault/{}/{}/{}", cable.name, word, spec.name);
      if (fault.turn > 1) stream += fmt::format("#{}", fault.turn);
      ++fault.rules;
      (way == Way::up ? cable.up : cable.down)
          ->set_rule(spec.name, {effect, spec.limits, fault.filter}, Random(seed_, stream),
                     {[this, &fault, &cable, word](const netsim::Frame& frame) {
                        tell_hit(fault, cable.name, word, frame);
                      },
                      [this, &fault] {
                        if (++fault.spent == fault.rules) end_soon(fault, "count");
                      }});
    }
  }
}

void FaultBoard::end_soon(const InForce& fault, std::string_view why) {
  loop_.soon([this, name = fault.spec.name, turn = fault.turn, why] {
    const auto found = in_force_.find(name);
    if (found != in_force_.end() && found->second->turn == turn) end(name, why);
  });
}

void FaultBoard::tell_hit(const InForce& fault, std::string_view cable, std::string_view direction,
                          const netsim::Frame& frame) {
  for (FaultEvents* listener : listeners_) listener->fault_hit(fault.spec, cable, direction, frame);
}

// Both ways: the cable is out, and the switches see it. One way: they do not.
void FaultBoard::pull(std::size_t index, Way way, int by) {
  const Cable& cable = reach_.cables[index];
  CableState& state = cables_[index];
  const bool was_out = state.pulled > 0;
  (way == Way::both ? state.pulled : way == Way::up ? state.up_pulled : state.down_pulled) += by;
  const bool out = state.pulled > 0;
  const auto apply = [](netsim::FaultPoint& point, netsim::Link& link, bool down) {
    point.set_down(down);
    if (down) link.clear();
  };
  apply(*cable.up, *cable.up_link, out || state.up_pulled > 0);
  apply(*cable.down, *cable.down_link, out || state.down_pulled > 0);
  if (out == was_out) return;
  cable.plug(!out);
  if (!out) came_up(index);
}

void FaultBoard::flap(InForce& fault, const Flap& rule, bool down) {
  fault.pulled = down;
  for (const std::size_t cable : fault.cables) pull(cable, Way::both, down ? 1 : -1);
  const auto up_time =
      Duration(static_cast<Duration::rep>(static_cast<double>(rule.period.count()) * rule.up));
  fault.next = loop_.after(down ? rule.period - up_time : up_time,
                           [this, &fault, &rule, down] { flap(fault, rule, !down); });
}

// The smallest of all limits, and of the cable's own.
void FaultBoard::limit_queues() {
  for (std::size_t i = 0; i < reach_.cables.size(); ++i) {
    netsim::LinkRules up = cables_[i].up_rules, down = cables_[i].down_rules;
    for (const auto& [name, fault] : in_force_) {
      const auto* limit = is<QueueLimit>(fault->spec);
      if (limit == nullptr || std::find(fault->cables.begin(), fault->cables.end(), i) == fault->cables.end())
        continue;
      if (fault->spec.direction != Way::down) up.queue = std::min(up.queue, limit->queue);
      if (fault->spec.direction != Way::up) down.queue = std::min(down.queue, limit->queue);
    }
    reach_.cables[i].up_link->set_rules(up);
    reach_.cables[i].down_link->set_rules(down);
  }
}

void FaultBoard::came_up(std::size_t cable) {
  for (const auto& [name, fault] : in_force_) {
    if (!is<Blocking>(fault->spec)) continue;
    if (std::find(fault->cables.begin(), fault->cables.end(), cable) != fault->cables.end())
      block(*fault, cable);
  }
}

void FaultBoard::block(InForce& fault, std::size_t index) {
  unblock(fault, index, false);
  const Cable& cable = reach_.cables[index];
  const Blocking& rule = *is<Blocking>(fault.spec);
  if (++cables_[index].blocked == 1) cable.to->set_blocked(*cable.port, true);
  fault.blocked[index] = loop_.after(rule.time, [this, &fault, index] { unblock(fault, index, true); });
  if (rule.bpdus_visible) say_blocked(fault, index);
}

void FaultBoard::say_blocked(InForce& fault, std::size_t index) {
  const Cable& cable = reach_.cables[index];
  const auto bridge = static_cast<std::uint16_t>(cable.ends.front() + 1);
  const auto port = static_cast<std::uint16_t>(cable.port->number() + 1);
  const bool forwards = !fault.blocked.contains(index);
  if (netsim::Frame frame = netsim::port_state_bpdu(bridge, port, forwards))
    cable.down->send(std::move(frame));
  if (forwards) return;
  fault.hellos[index] = loop_.after(netsim::kHelloTime, [this, &fault, index] { say_blocked(fault, index); });
}

void FaultBoard::unblock(InForce& fault, std::size_t index, bool tell) {
  const auto found = fault.blocked.find(index);
  if (found == fault.blocked.end()) return;
  loop_.cancel(found->second);
  fault.blocked.erase(found);
  loop_.cancel(fault.hellos[index]);
  fault.hellos.erase(index);
  const Cable& cable = reach_.cables[index];
  if (--cables_[index].blocked == 0) cable.to->set_blocked(*cable.port, false);
  if (tell && is<Blocking>(fault.spec)->bpdus_visible) say_blocked(fault, index);
}

void FaultBoard::separate(InForce& fault, netsim::Separation::Groups groups) {
  separation_.set(fault.spec.name, std::move(groups),
                  [this, &fault](std::uint16_t station, const netsim::Frame& frame) {
                    ++fault.refused.seen;
                    ++fault.refused.hit;
                    tell_hit(fault, reach_.machines[station - 1u], "down", frame);
                  });
  for (const Cable& cable : reach_.cables) {
    if (!cable.is_trunk()) cable.down->set_separation(&separation_);
  }
}

// A machine that is thawed is no longer a matter of the fault that froze it.
void FaultBoard::thaw(std::size_t machine) {
  for (const auto& [name, fault] : in_force_) {
    if (!is<Freeze>(fault->spec) || std::erase(fault->machines, machine) == 0) continue;
    if (fault->machines.empty()) end_soon(*fault, "cleared");
  }
}

}  // namespace rookery::vboot
