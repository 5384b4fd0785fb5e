// Faults of switches and their ports: a port that does not forward yet, a switch that restarts.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "netsim/faults/bpdu.h"
#include "vboot/faults/fault_words.h"
#include "vboot/faults/in_force.h"
#include "vboot/faults/kind.h"

namespace rookery::vboot {
namespace {

constexpr std::array<std::string_view, 2> kBpdus{"silent", "visible"};

FaultEffect read_blocking(FaultWords& words, const std::string& value) {
  const auto said = words.take("bpdus");
  return Blocking{words.time("blocking", value), said && words.choice("bpdus", *said, kBpdus) == 1};
}
void tell_blocking(const FaultSpec& fault, FaultPairs& words) {
  const auto& blocking = std::get<Blocking>(fault.effect);
  words.emplace_back("blocking", time_text(blocking.time));
  if (blocking.bpdus_visible) words.emplace_back("bpdus", "visible");
}

class BlockingFault final : public FaultInForce {
 public:
  Status find(const FaultGround& ground) override {
    ROOKERY_TRY(ground.find_cables(spec.on, cables));
    for (const std::size_t cable : cables) {
      if (!ground.cable(cable).is_trunk()) continue;
      return fail(ErrorKind::usage, fmt::format("fault: blocking is of a machine's port; '{}' is a trunk",
                                                ground.cable(cable).name));
    }
    return {};
  }
  Status begin(FaultGround& ground) override {
    for (const std::size_t cable : cables) block(ground, cable);
    return {};
  }
  void undo(FaultGround& ground) override {
    for (const std::size_t cable : cables) unblock(ground, cable, false);
  }
  void leave(FaultGround& ground) override {
    for (const auto& [cable, event] : blocked_) ground.loop().cancel(event);
    for (const auto& [cable, event] : hellos_) ground.loop().cancel(event);
  }
  bool strikes(std::size_t cable) const override { return blocked_.contains(cable); }
  void came_up(FaultGround& ground, std::size_t cable) override {
    if (std::find(cables.begin(), cables.end(), cable) != cables.end()) block(ground, cable);
  }

 private:
  const Blocking& rule() const { return std::get<Blocking>(spec.effect); }

  void block(FaultGround& ground, std::size_t index) {
    unblock(ground, index, false);
    const Cable& cable = ground.cable(index);
    if (++ground.state(index).blocked == 1) cable.to->set_blocked(*cable.port, true);
    blocked_[index] =
        ground.loop().after(rule().time, [this, &ground, index] { unblock(ground, index, true); });
    if (rule().bpdus_visible) say_blocked(ground, index);
  }

  void unblock(FaultGround& ground, std::size_t index, bool tell) {
    const auto found = blocked_.find(index);
    if (found == blocked_.end()) return;
    ground.loop().cancel(found->second);
    blocked_.erase(found);
    ground.loop().cancel(hellos_[index]);
    hellos_.erase(index);
    const Cable& cable = ground.cable(index);
    if (--ground.state(index).blocked == 0) cable.to->set_blocked(*cable.port, false);
    if (tell && rule().bpdus_visible) say_blocked(ground, index);
  }

  void say_blocked(FaultGround& ground, std::size_t index) {
    const Cable& cable = ground.cable(index);
    const auto bridge = static_cast<std::uint16_t>(cable.ends.front() + 1);
    const auto port = static_cast<std::uint16_t>(cable.port->number() + 1);
    const bool forwards = !blocked_.contains(index);
    if (netsim::Frame frame = netsim::port_state_bpdu(bridge, port, forwards))
      cable.down->send(std::move(frame));
    if (forwards) return;
    hellos_[index] =
        ground.loop().after(netsim::kHelloTime, [this, &ground, index] { say_blocked(ground, index); });
  }

  std::map<std::size_t, EventId> blocked_;  // by cable: when its port forwards
  std::map<std::size_t, EventId> hellos_;
};

// All cables of the switch are out for so long.
class RestartFault final : public FaultInForce {
 public:
  Status find(const FaultGround& ground) override {
    ROOKERY_TRY(ground.find_named(spec.on, ground.reach().switches, "switch", switches_));
    for (std::size_t i = 0; i < ground.reach().cables.size(); ++i) {
      const std::vector<std::size_t>& at = ground.cable(i).ends;
      const bool there = std::any_of(switches_.begin(), switches_.end(), [&](std::size_t one) {
        return std::find(at.begin(), at.end(), one) != at.end();
      });
      if (there) cables.push_back(i);
    }
    return {};
  }
  Status begin(FaultGround& ground) override {
    for (const std::size_t cable : cables) ground.pull(cable, FaultDirection::both, 1);
    for (const std::size_t one : switches_) ground.reach().restart_switch(one);
    return {};
  }
  void undo(FaultGround& ground) override {
    for (const std::size_t cable : cables) ground.pull(cable, FaultDirection::both, -1);
  }
  std::optional<Duration> time() const override { return std::get<SwitchRestart>(spec.effect).ports_down; }

 private:
  std::vector<std::size_t> switches_;
};

constexpr std::array kKinds{
    FaultKind{.word = "blocking",
              .effect = effect_of<Blocking>(),
              .read = read_blocking,
              .tell = tell_blocking,
              .make = make_fault<BlockingFault>,
              .more = {"bpdus"},
              .in_the_way = [](const FaultSpec&) -> std::string_view { return "port blocked"; },
              .stopping = {"port blocked"},
              .hinders = Hinders::port},
    FaultKind{.word = "restart",
              .effect = effect_of<SwitchRestart>(),
              .read = [](FaultWords& words, const std::string& value) -> FaultEffect {
                return SwitchRestart{words.time("restart", value)};
              },
              .tell =
                  [](const FaultSpec& fault, FaultPairs& words) {
                    words.emplace_back("restart",
                                       time_text(std::get<SwitchRestart>(fault.effect).ports_down));
                  },
              .make = make_fault<RestartFault>,
              .is_at_once = true,
              .in_the_way = [](const FaultSpec&) -> std::string_view { return "switch restarts"; },
              .stopping = {"switch restarts"},
              .hinders = Hinders::switches}};

}  // namespace

std::span<const FaultKind> switch_kinds() {
  return kKinds;
}

}  // namespace rookery::vboot
