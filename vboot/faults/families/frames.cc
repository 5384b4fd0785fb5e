// Faults of the frames on a cable: netsim's effects, by a rule at each end of the cable.
#include <fmt/format.h>

#include "vboot/faults/fault_words.h"
#include "vboot/faults/in_force.h"
#include "vboot/faults/kind.h"

namespace rookery::vboot {
namespace {

using netsim::Distribution;

constexpr std::array<std::string_view, 3> kDistributions{"uniform", "normal", "pareto"};
constexpr std::array<std::string_view, 2> kChecksums{"stale", "valid"};

// --- words

FaultEffect read_burst(FaultWords& words, const std::string& value) {
  netsim::BurstLoss burst{.begin = words.chance("burst", value), .end = 0};
  const auto recover = words.take("recover");
  if (!recover)
    words.note("burst needs recover=: the chance at each frame that a burst ends, like recover=20%");
  burst.end = words.chance("recover", recover.value_or("1%"));
  if (const auto said = words.take("outside")) burst.loss_outside = words.chance("outside", *said);
  if (const auto said = words.take("inside")) burst.loss_inside = words.chance("inside", *said);
  return burst;
}
void tell_burst(const FaultSpec& fault, FaultPairs& words) {
  const auto& burst = std::get<netsim::BurstLoss>(fault.effect);
  words.emplace_back("burst", share_text(burst.begin));
  words.emplace_back("recover", share_text(burst.end));
  if (burst.loss_outside != 0) words.emplace_back("outside", share_text(burst.loss_outside));
  if (burst.loss_inside != 1) words.emplace_back("inside", share_text(burst.loss_inside));
}

FaultEffect read_jitter(FaultWords& words, const std::string& value) {
  netsim::Jitter jitter{.mean = words.time("jitter", value)};
  if (const auto said = words.take("distribution"))
    jitter.distribution = static_cast<Distribution>(words.choice("distribution", *said, kDistributions));
  return jitter;
}
void tell_jitter(const FaultSpec& fault, FaultPairs& words) {
  const auto& jitter = std::get<netsim::Jitter>(fault.effect);
  words.emplace_back("jitter", time_text(jitter.mean));
  if (jitter.distribution != Distribution::uniform)
    words.emplace_back("distribution", kDistributions[static_cast<std::size_t>(jitter.distribution)]);
}

FaultEffect read_rate(FaultWords& words, const std::string& value) {
  netsim::RateLimit limit;
  limit.rate.bits_per_second = words.quantity("rate", parse_bit_rate(value)).bits_per_second;
  if (limit.rate.bits_per_second == 0) words.note("rate: nothing at all gets through at 0; say 'down'");
  if (const auto said = words.take("queue")) limit.queue = words.quantity("queue", parse_size(*said));
  return limit;
}
void tell_rate(const FaultSpec& fault, FaultPairs& words) {
  const auto& limit = std::get<netsim::RateLimit>(fault.effect);
  words.emplace_back("rate", rate_text(BitRate{limit.rate.bits_per_second}));
  if (limit.queue != netsim::RateLimit{}.queue) words.emplace_back("queue", size_text(limit.queue));
}

FaultEffect read_reorder(FaultWords& words, const std::string& /*value*/) {
  netsim::Reorder reorder;
  if (const auto said = words.take("by")) reorder.by = words.time("by", *said);
  return reorder;
}
void tell_reorder(const FaultSpec& fault, FaultPairs& words) {
  const auto& reorder = std::get<netsim::Reorder>(fault.effect);
  words.emplace_back("reorder", share_text(fault.limits.chance));
  if (reorder.by != netsim::Reorder{}.by) words.emplace_back("by", time_text(reorder.by));
}

FaultEffect read_corrupt(FaultWords& words, const std::string& /*value*/) {
  const auto said = words.take("checksum");
  return netsim::Corrupt{said && words.choice("checksum", *said, kChecksums) == 1};
}
void tell_corrupt(const FaultSpec& fault, FaultPairs& words) {
  words.emplace_back("corrupt", share_text(fault.limits.chance));
  if (std::get<netsim::Corrupt>(fault.effect).checksum_valid) words.emplace_back("checksum", "valid");
}

// --- what it does

netsim::FrameEffect frame_effect(const FaultEffect& effect) {
  return std::visit(
      [](const auto& one) -> netsim::FrameEffect {
        if constexpr (std::is_constructible_v<netsim::FrameEffect, decltype(one)>) return one;
        bug("a fault of frames that is none");
      },
      effect);
}

class FrameFault final : public FaultInForce {
 public:
  Status find(const FaultGround& ground) override {
    ROOKERY_TRY(ground.find_cables(spec.on, cables));
    if (spec.match.empty()) return {};
    auto filter = netsim::FrameFilter::compile(spec.match, ground.reach().address_of);
    if (!filter) return tl::unexpected<Error>(std::move(filter.error()).while_doing("fault"));
    filter_ = std::move(*filter);
    return {};
  }

  Status begin(FaultGround& ground) override {
    for (const std::size_t cable : cables) {
      for (const FaultDirection way : {FaultDirection::up, FaultDirection::down}) {
        if (spec.direction == FaultDirection::both || spec.direction == way) set_rule(ground, cable, way);
      }
    }
    return {};
  }

  void undo(FaultGround& ground) override {
    for (const std::size_t cable : cables) {
      ground.cable(cable).up->clear_rule(spec.name);
      ground.cable(cable).down->clear_rule(spec.name);
    }
  }
  void leave(FaultGround& ground) override { undo(ground); }

  netsim::FaultCounters frames(const FaultGround& ground) const override {
    netsim::FaultCounters sum;
    for (const std::size_t cable : cables) {
      for (const netsim::FaultPoint* point : {ground.cable(cable).up, ground.cable(cable).down}) {
        const netsim::FaultCounters counters = point->counters(spec.name);
        sum.seen += counters.seen;
        sum.hit += counters.hit;
      }
    }
    return sum;
  }

 private:
  // Each draws from a stream of its own; a fault of the same name later from another.
  void set_rule(FaultGround& ground, std::size_t index, FaultDirection way) {
    const Cable& cable = ground.cable(index);
    const std::string_view word = way == FaultDirection::up ? "up" : "down";
    std::string stream = fmt::format("fault/{}/{}/{}", cable.name, word, spec.name);
    if (turn > 1) stream += fmt::format("#{}", turn);
    ++rules_;
    (way == FaultDirection::up ? cable.up : cable.down)
        ->set_rule(spec.name, {frame_effect(spec.effect), spec.limits, filter_},
                   Random(ground.seed(), stream),
                   {[this, &ground, &cable, word](const netsim::Frame& frame) {
                      ground.board().tell_hit(*this, cable.name, word, frame);
                    },
                    [this, &ground] {
                      if (++spent_ == rules_) ground.board().end_soon(*this, "count");
                    }});
  }

  std::shared_ptr<const netsim::FrameFilter> filter_;
  std::size_t rules_ = 0, spent_ = 0;  // in all cables and directions
};

// --- the table

template <typename Effect>
FaultEffect read_nothing_more(FaultWords& /*words*/, const std::string& /*value*/) {
  return Effect{};
}

constexpr std::array kKinds{
    FaultKind{.word = "loss",
              .effect = effect_of<netsim::Loss>(),
              .read = read_nothing_more<netsim::Loss>,
              .tell = [](const FaultSpec& fault,
                         FaultPairs& words) { words.emplace_back("loss", share_text(fault.limits.chance)); },
              .make = make_fault<FrameFault>,
              .takes_limits = true,
              .value_is_chance = true,
              .takes_direction = true},
    FaultKind{.word = "burst",
              .effect = effect_of<netsim::BurstLoss>(),
              .read = read_burst,
              .tell = tell_burst,
              .make = make_fault<FrameFault>,
              .more = {"recover", "outside", "inside"},
              .takes_limits = true,
              .takes_direction = true},
    FaultKind{.word = "delay",
              .effect = effect_of<netsim::Delay>(),
              .read = [](FaultWords& words, const std::string& value) -> FaultEffect {
                return netsim::Delay{words.time("delay", value)};
              },
              .tell =
                  [](const FaultSpec& fault, FaultPairs& words) {
                    words.emplace_back("delay", time_text(std::get<netsim::Delay>(fault.effect).by));
                  },
              .make = make_fault<FrameFault>,
              .takes_limits = true,
              .takes_direction = true,
              .only_delays = true},
    FaultKind{.word = "jitter",
              .effect = effect_of<netsim::Jitter>(),
              .read = read_jitter,
              .tell = tell_jitter,
              .make = make_fault<FrameFault>,
              .more = {"distribution"},
              .takes_limits = true,
              .takes_direction = true,
              .only_delays = true},
    FaultKind{.word = "rate",
              .effect = effect_of<netsim::RateLimit>(),
              .read = read_rate,
              .tell = tell_rate,
              .make = make_fault<FrameFault>,
              .takes_limits = true,
              .takes_direction = true,
              .only_delays = true},
    FaultKind{
        .word = "duplicate",
        .effect = effect_of<netsim::Duplicate>(),
        .read = read_nothing_more<netsim::Duplicate>,
        .tell = [](const FaultSpec& fault,
                   FaultPairs& words) { words.emplace_back("duplicate", share_text(fault.limits.chance)); },
        .make = make_fault<FrameFault>,
        .takes_limits = true,
        .value_is_chance = true,
        .takes_direction = true},
    FaultKind{.word = "reorder",
              .effect = effect_of<netsim::Reorder>(),
              .read = read_reorder,
              .tell = tell_reorder,
              .make = make_fault<FrameFault>,
              .more = {"by"},
              .takes_limits = true,
              .value_is_chance = true,
              .takes_direction = true},
    FaultKind{.word = "corrupt",
              .effect = effect_of<netsim::Corrupt>(),
              .read = read_corrupt,
              .tell = tell_corrupt,
              .make = make_fault<FrameFault>,
              .more = {"checksum"},
              .takes_limits = true,
              .value_is_chance = true,
              .takes_direction = true}};

}  // namespace

std::span<const FaultKind> frame_kinds() {
  return kKinds;
}

}  // namespace rookery::vboot
