// Faults of machines: their power, their processors and their clocks. A backend may not be able to do one, so
// these alone can turn out to be impossible when they begin.
#include <algorithm>

#include "vboot/faults/fault_words.h"
#include "vboot/faults/in_force.h"
#include "vboot/faults/kind.h"

namespace rookery::vboot {
namespace {

class MachineFault : public FaultInForce {
 public:
  Status find(const FaultGround& ground) override {
    return ground.find_named(spec.on, ground.reach().machines, "machine", machines);
  }
  bool may_fail() const override { return true; }

  // What is not possible on one of them is undone on those before it, where it can be.
  Status begin(FaultGround& ground) override {
    for (std::size_t i = 0; i < machines.size(); ++i) {
      if (Status done = strike(*ground.reach().deeds, ground.reach().machines[machines[i]]); !done) {
        machines.resize(i);
        return done;
      }
    }
    return {};
  }

  void undo(FaultGround& ground) override {
    for (const std::size_t machine : machines)
      release(*ground.reach().deeds, ground.reach().machines[machine], same_on(ground, machine));
  }

 protected:
  virtual Status strike(MachineFaults& deeds, const std::string& machine) = 0;
  // As far as the other fault of this kind, if there is one, does not do the same to it. An error says that
  // the machine is gone meanwhile, which is as good.
  virtual void release(MachineFaults& /*deeds*/, const std::string& /*machine*/,
                       const FaultInForce* /*other*/) {}

 private:
  // Another fault of this kind that is in force on the machine; of several the one that was set last.
  const FaultInForce* same_on(const FaultGround& ground, std::size_t machine) const {
    const FaultInForce* found = nullptr;
    for (const auto& [name, other] : ground.in_force()) {
      if (other.get() == this || other->spec.effect.index() != spec.effect.index()) continue;
      if (std::find(other->machines.begin(), other->machines.end(), machine) == other->machines.end())
        continue;
      if (found == nullptr || found->began <= other->began) found = other.get();
    }
    return found;
  }
};

class PowerCutFault final : public MachineFault {
  // Without a time the power stays off until somebody switches it on.
  bool is_done() const override { return !spec.time; }
  Status strike(MachineFaults& deeds, const std::string& machine) override {
    return deeds.power_cut(machine);
  }
  void release(MachineFaults& deeds, const std::string& machine, const FaultInForce* other) override {
    if (other == nullptr) (void)deeds.power_on(machine);
  }
};

class ResetFault final : public MachineFault {
  bool is_done() const override { return true; }
  Status strike(MachineFaults& deeds, const std::string& machine) override { return deeds.reset(machine); }
};

class FreezeFault final : public MachineFault {
  Status strike(MachineFaults& deeds, const std::string& machine) override {
    ++settling->left;
    return deeds.freeze(machine, [of = settling] { one_settled(*of); });
  }
  void release(MachineFaults& deeds, const std::string& machine, const FaultInForce* other) override {
    if (other == nullptr) (void)deeds.thaw(machine);
  }
};

// A machine that is thawed is no longer a matter of the faults that froze it.
class ThawFault final : public MachineFault {
  bool is_done() const override { return true; }
  Status begin(FaultGround& ground) override {
    ROOKERY_TRY(MachineFault::begin(ground));
    for (const std::size_t machine : machines) {
      for (const auto& [name, fault] : ground.in_force()) {
        if (!freezes(*fault) || std::erase(fault->machines, machine) == 0) continue;
        if (fault->machines.empty()) ground.board().end_soon(*fault, "cleared");
      }
    }
    return {};
  }
  // Not all could be thawed: what a fault in force holds frozen stands still again.
  void undo(FaultGround& ground) override {
    for (const std::size_t machine : machines) {
      const bool is_held =
          std::any_of(ground.in_force().begin(), ground.in_force().end(), [&](const auto& named) {
            const auto& held = named.second->machines;
            return freezes(*named.second) && std::find(held.begin(), held.end(), machine) != held.end();
          });
      if (is_held) (void)ground.reach().deeds->freeze(ground.reach().machines[machine], [] {});
    }
  }
  Status strike(MachineFaults& deeds, const std::string& machine) override { return deeds.thaw(machine); }

  static bool freezes(const FaultInForce& fault) { return std::holds_alternative<Freeze>(fault.spec.effect); }
};

class SlowFault final : public MachineFault {
  static Duration gap_of(const FaultSpec& fault) { return std::get<Slow>(fault.effect).gap; }
  Status strike(MachineFaults& deeds, const std::string& machine) override {
    return deeds.slow(machine, gap_of(spec));
  }
  void release(MachineFaults& deeds, const std::string& machine, const FaultInForce* other) override {
    (void)deeds.slow(machine, other == nullptr ? Duration{0} : gap_of(other->spec));
  }
};

class ClockStepFault final : public MachineFault {
  bool is_done() const override { return true; }
  Status strike(MachineFaults& deeds, const std::string& machine) override {
    return deeds.step_clock(machine, std::get<ClockStep>(spec.effect).by);
  }
};

constexpr std::array kKinds{
    FaultKind{.word = "power-cut",
              .effect = effect_of<PowerCut>(),
              .read = read_bare<PowerCut>,
              .tell = tell_bare,
              .make = make_fault<PowerCutFault>,
              .in_the_way = [](const FaultSpec&) -> std::string_view { return "plug pulled"; },
              .stopping = {"plug pulled"},
              .hinders = Hinders::power},
    FaultKind{.word = "reset",
              .effect = effect_of<Reset>(),
              .read = read_bare<Reset>,
              .tell = tell_bare,
              .make = make_fault<ResetFault>,
              .is_at_once = true},
    FaultKind{.word = "freeze",
              .effect = effect_of<Freeze>(),
              .read = read_bare<Freeze>,
              .tell = tell_bare,
              .make = make_fault<FreezeFault>,
              .in_the_way = [](const FaultSpec&) -> std::string_view { return "frozen"; },
              .stopping = {"frozen"},
              .hinders = Hinders::processor},
    FaultKind{.word = "thaw",
              .effect = effect_of<Thaw>(),
              .read = read_bare<Thaw>,
              .tell = tell_bare,
              .make = make_fault<ThawFault>,
              .is_at_once = true},
    FaultKind{.word = "slow",
              .effect = effect_of<Slow>(),
              .read = [](FaultWords& words, const std::string& value) -> FaultEffect {
                return Slow{words.time("slow", value)};
              },
              .tell =
                  [](const FaultSpec& fault, FaultPairs& words) {
                    words.emplace_back("slow", time_text(std::get<Slow>(fault.effect).gap));
                  },
              .make = make_fault<SlowFault>,
              .in_the_way = [](const FaultSpec&) -> std::string_view { return "slowed"; }},
    FaultKind{.word = "clock-step",
              .effect = effect_of<ClockStep>(),
              .read = [](FaultWords& words, const std::string& value) -> FaultEffect {
                return ClockStep{words.signed_time("clock-step", value)};
              },
              .tell =
                  [](const FaultSpec& fault, FaultPairs& words) {
                    words.emplace_back("clock-step", time_text(std::get<ClockStep>(fault.effect).by));
                  },
              .make = make_fault<ClockStepFault>,
              .is_at_once = true}};

}  // namespace

std::span<const FaultKind> machine_kinds() {
  return kKinds;
}

}  // namespace rookery::vboot
