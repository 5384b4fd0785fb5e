// What each kind of fault does to cables, switches and machines, and how that is undone.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "netsim/faults/bpdu.h"
#include "vboot/faults/board.h"
#include "vboot/faults/in_force.h"

namespace rookery::vboot {

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
