// Faults of a cable itself: pulled, pulled now and then, or with less room in its queue.
#include <fmt/format.h>

#include <algorithm>

#include "vboot/faults/fault_words.h"
#include "vboot/faults/in_force.h"
#include "vboot/faults/kind.h"

namespace rookery::vboot {
namespace {

using Way = FaultDirection;

FaultEffect read_flap(FaultWords& words, const std::string& value) {
  Flap flap{.period = words.time("flap", value)};
  if (flap.period < std::chrono::microseconds(100)) words.note("flap: expected at least 100us");
  if (const auto said = words.take("up")) flap.up = words.chance("up", *said);
  return flap;
}
void tell_flap(const FaultSpec& fault, FaultPairs& words) {
  const auto& flap = std::get<Flap>(fault.effect);
  words.emplace_back("flap", time_text(flap.period));
  if (flap.up != Flap{}.up) words.emplace_back("up", share_text(flap.up));
}

class CableFault : public FaultInForce {
 public:
  Status find(const FaultGround& ground) override { return ground.find_cables(spec.on, cables); }
};

class DownFault final : public CableFault {
 public:
  Status begin(FaultGround& ground) override {
    for (const std::size_t cable : cables) ground.pull(cable, spec.direction, 1);
    return {};
  }
  void undo(FaultGround& ground) override {
    for (const std::size_t cable : cables) ground.pull(cable, spec.direction, -1);
  }
};

class FlapFault final : public CableFault {
 public:
  Status begin(FaultGround& ground) override {
    turn_to(ground, true);
    return {};
  }
  void undo(FaultGround& ground) override {
    ground.loop().cancel(next_);
    if (!pulled_) return;
    for (const std::size_t cable : cables) ground.pull(cable, Way::both, -1);
  }
  void leave(FaultGround& ground) override { ground.loop().cancel(next_); }

 private:
  void turn_to(FaultGround& ground, bool down) {
    pulled_ = down;
    for (const std::size_t cable : cables) ground.pull(cable, Way::both, down ? 1 : -1);
    const auto& rule = std::get<Flap>(spec.effect);
    const auto up_time =
        Duration(static_cast<Duration::rep>(static_cast<double>(rule.period.count()) * rule.up));
    next_ = ground.loop().after(down ? rule.period - up_time : up_time,
                                [this, &ground, down] { turn_to(ground, !down); });
  }

  bool pulled_ = false;  // just now
  EventId next_;
};

class QueueFault final : public CableFault {
 public:
  Status find(const FaultGround& ground) override {
    ROOKERY_TRY(CableFault::find(ground));
    for (const std::size_t cable : cables) {
      if (ground.state(cable).up_rules.rate) continue;
      return fail(ErrorKind::usage,
                  fmt::format("fault: the cable '{}' has no rate, so nothing waits in it; say rate= too",
                              ground.cable(cable).name));
    }
    return {};
  }
  Status begin(FaultGround& ground) override {
    limit(ground);
    return {};
  }
  void undo(FaultGround& ground) override { limit(ground); }

 private:
  // On every cable the smallest of all limits in force, and of the cable's own.
  static void limit(FaultGround& ground) {
    for (std::size_t i = 0; i < ground.reach().cables.size(); ++i) {
      netsim::LinkRules up = ground.state(i).up_rules, down = ground.state(i).down_rules;
      for (const auto& [name, fault] : ground.in_force()) {
        const auto* limit = std::get_if<QueueLimit>(&fault->spec.effect);
        if (limit == nullptr ||
            std::find(fault->cables.begin(), fault->cables.end(), i) == fault->cables.end())
          continue;
        if (fault->spec.direction != Way::down) up.queue = std::min(up.queue, limit->queue);
        if (fault->spec.direction != Way::up) down.queue = std::min(down.queue, limit->queue);
      }
      ground.cable(i).up_link->set_rules(up);
      ground.cable(i).down_link->set_rules(down);
    }
  }
};

constexpr std::array kKinds{
    FaultKind{.word = "down",
              .effect = effect_of<Down>(),
              .read = read_bare<Down>,
              .tell = tell_bare,
              .make = make_fault<DownFault>,
              .takes_direction = true,
              .in_the_way = [](const FaultSpec& fault) -> std::string_view {
                return fault.direction == Way::up     ? "sends nothing"
                       : fault.direction == Way::down ? "hears nothing"
                                                      : "cable out";
              },
              .stopping = {"sends nothing", "hears nothing", "cable out"},
              .hinders = Hinders::link},
    FaultKind{.word = "flap",
              .effect = effect_of<Flap>(),
              .read = read_flap,
              .tell = tell_flap,
              .make = make_fault<FlapFault>,
              .more = {"up"},
              .in_the_way = [](const FaultSpec&) -> std::string_view { return "cable flaps"; },
              .hinders = Hinders::link},
    FaultKind{.word = "queue",
              .effect = effect_of<QueueLimit>(),
              .read = [](FaultWords& words, const std::string& value) -> FaultEffect {
                return QueueLimit{words.quantity("queue", parse_size(value))};
              },
              .tell =
                  [](const FaultSpec& fault, FaultPairs& words) {
                    words.emplace_back("queue", size_text(std::get<QueueLimit>(fault.effect).queue));
                  },
              .make = make_fault<QueueFault>,
              .takes_direction = true}};

}  // namespace

std::span<const FaultKind> cable_kinds() {
  return kKinds;
}

}  // namespace rookery::vboot
