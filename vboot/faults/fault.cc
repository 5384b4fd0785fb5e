#include "vboot/faults/fault.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "vboot/faults/fault_words.h"
#include "vboot/lab/quantity.h"

namespace rookery::vboot {
namespace {

using netsim::Distribution;

constexpr std::array<std::string_view, 3> kDirections{"both", "up", "down"};
constexpr std::array<std::string_view, 3> kDistributions{"uniform", "normal", "pareto"};
constexpr std::array<std::string_view, 2> kChecksums{"stale", "valid"};
constexpr std::array<std::string_view, 2> kBpdus{"silent", "visible"};

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorKind::usage, std::move(message));
}

void no_value(FaultWords& words, std::string_view key, std::string_view value) {
  if (!value.empty()) words.note(fmt::format("'{}' takes no value, found '{:.64}'", key, value));
}

FaultEffect read_cable_effect(FaultWords& words, std::string_view word, const std::string& value) {
  if (word == "burst") {
    netsim::BurstLoss burst{.begin = words.chance(word, value), .end = 0};
    const auto recover = words.take("recover");
    if (!recover)
      words.note("burst needs recover=: the chance at each frame that a burst ends, like recover=20%");
    burst.end = words.chance("recover", recover.value_or("1%"));
    if (const auto said = words.take("outside")) burst.loss_outside = words.chance("outside", *said);
    if (const auto said = words.take("inside")) burst.loss_inside = words.chance("inside", *said);
    return burst;
  }
  if (word == "delay") return netsim::Delay{words.time(word, value)};
  if (word == "jitter") {
    netsim::Jitter jitter{.mean = words.time(word, value)};
    if (const auto said = words.take("distribution"))
      jitter.distribution = static_cast<Distribution>(words.choice("distribution", *said, kDistributions));
    return jitter;
  }
  if (word == "rate") {
    netsim::RateLimit limit;
    limit.rate.bits_per_second = words.quantity(word, parse_bit_rate(value)).bits_per_second;
    if (limit.rate.bits_per_second == 0) words.note("rate: nothing at all gets through at 0; say 'down'");
    if (const auto said = words.take("queue")) limit.queue = words.quantity("queue", parse_size(*said));
    return limit;
  }
  if (word == "reorder") {
    netsim::Reorder reorder;
    if (const auto said = words.take("by")) reorder.by = words.time("by", *said);
    return reorder;
  }
  if (word == "corrupt") {
    const auto said = words.take("checksum");
    return netsim::Corrupt{said && words.choice("checksum", *said, kChecksums) == 1};
  }
  if (word == "duplicate") return netsim::Duplicate{};
  return netsim::Loss{};
}

FaultEffect read_other_effect(FaultWords& words, std::string_view word, const std::string& value) {
  if (word == "flap") {
    Flap flap{.period = words.time(word, value)};
    if (flap.period < std::chrono::microseconds(100)) words.note("flap: expected at least 100us");
    if (const auto said = words.take("up")) flap.up = words.chance("up", *said);
    return flap;
  }
  if (word == "queue") return QueueLimit{words.quantity(word, parse_size(value))};
  if (word == "blocking") {
    const auto said = words.take("bpdus");
    return Blocking{words.time(word, value), said && words.choice("bpdus", *said, kBpdus) == 1};
  }
  if (word == "partition") {
    Partition partition;
    for (const std::string_view group : split_at(value, '/'))
      partition.groups.push_back(words.places(word, group));
    if (partition.groups.size() < 2 || partition.groups.size() > FaultWords::kNamesMost)
      words.note("partition: expected groups with '/' between them, like partition=server,n1/n2,n3");
    return partition;
  }
  if (word == "cut") {
    const auto to = words.take("to");
    if (!to) words.note("cut needs to=: who does not hear it any more, like cut=n5 to=server");
    return OneWayCut{words.places(word, value), words.places("to", to.value_or("x"))};
  }
  if (word == "restart") return SwitchRestart{words.time(word, value)};
  if (word == "slow") return Slow{words.time(word, value)};
  if (word == "clock-step") return ClockStep{words.signed_time(word, value)};
  no_value(words, word, value);
  if (word == "power-cut") return PowerCut{};
  if (word == "reset") return Reset{};
  if (word == "freeze") return Freeze{};
  if (word == "thaw") return Thaw{};
  return Down{};
}

// Effects whose own number is their chance.
bool is_chance(std::string_view word) {
  return word == "loss" || word == "duplicate" || word == "reorder" || word == "corrupt";
}
bool is_everywhere(const FaultEffect& effect) {
  return std::holds_alternative<Partition>(effect) || std::holds_alternative<OneWayCut>(effect);
}
bool is_at_once(const FaultEffect& effect) {
  return std::holds_alternative<Reset>(effect) || std::holds_alternative<Thaw>(effect) ||
         std::holds_alternative<ClockStep>(effect) || std::holds_alternative<SwitchRestart>(effect);
}

// What the fault is, without its values and how long: the same again is a change of it, and all else beside
// it.
std::string made_name(const FaultSpec& fault) {
  const std::string_view word = effect_word(fault.effect);
  if (is_everywhere(fault.effect)) {
    FaultSpec who = fault;
    who.time.reset();
    return fmt::format("{}.{}", word, to_hex(blake2b(as_bytes(to_text(who)))).substr(0, 4));
  }
  std::string name = fmt::format("{}.", fmt::join(fault.on, ","));
  if (fault.direction != FaultDirection::both)
    name += fmt::format("{}.", kDirections[static_cast<std::size_t>(fault.direction)]);
  name += word;
  if (fault.match.empty() && fault.limits.skip == 0 && !fault.limits.count) return name;
  const std::string limits =
      fmt::format("{} {} {}", fault.match, fault.limits.skip, fault.limits.count.value_or(0));
  return fmt::format("{}.{}", name, to_hex(blake2b(as_bytes(limits))).substr(0, 4));
}

void read_limits(FaultWords& words, FaultSpec& fault) {
  if (const auto said = words.take("match")) fault.match = *said;
  if (const auto said = words.take("skip")) fault.limits.skip = words.number("skip", *said, 0);
  if (const auto said = words.take("count")) fault.limits.count = words.number("count", *said, 1);
}

}  // namespace

std::string_view effect_word(const FaultEffect& effect) {
  return kEffectWords[effect.index()];
}

namespace {

Result<FaultSpec> read_fault(std::span<const std::string> given) {
  FaultWords words(given);
  FaultSpec fault;
  std::string value;
  const std::string_view word = kEffectWords[words.take_effect(value)];
  const auto on = words.take("on");
  if (on) fault.on = words.places("on", *on);
  if (words.problem().empty()) {
    if (is_chance(word)) fault.limits.chance = words.chance(word, value);
    static_assert(std::is_same_v<std::variant_alternative_t<7, FaultEffect>, netsim::Corrupt>);
    const bool of_frames =
        std::find(kEffectWords.begin(), kEffectWords.begin() + 8, word) != kEffectWords.begin() + 8;
    fault.effect = of_frames ? read_cable_effect(words, word, value) : read_other_effect(words, word, value);
    if (of_frames) read_limits(words, fault);
    if (of_frames && !is_chance(word)) {
      if (const auto said = words.take("chance")) fault.limits.chance = words.chance("chance", *said);
    }
    if (of_frames || word == "down" || word == "queue") {
      if (const auto said = words.take("direction"))
        fault.direction = static_cast<FaultDirection>(words.choice("direction", *said, kDirections));
    }
    if (!is_at_once(fault.effect)) {
      if (const auto said = words.take("for")) fault.time = words.time("for", *said);
    }
    const auto name = words.take("name");
    words.nothing_left(word);
    if (is_everywhere(fault.effect)) {
      if (on) words.note(fmt::format("'{}' names its machines itself; leave '{:.64}' away", word, *on));
    } else if (!on) {
      words.note(fmt::format("where? Name a machine, a switch or a trunk, as in 'n5 {}{}{}'", word,
                             value.empty() ? "" : "=", value));
    }
    fault.name = name ? *name : made_name(fault);
    if (fault.name.size() > 8192 ||
        !std::all_of(fault.name.begin(), fault.name.end(), [](char c) { return c > ' ' && c <= '~'; })) {
      words.note("name: expected printable characters without spaces");
    }
  }
  if (!words.problem().empty()) return wrong("fault: " + words.problem());
  return fault;
}

}  // namespace

bool is_fault(std::span<const std::string> words) {
  return read_fault(words).has_value();
}

Result<FaultSpec> parse_fault(std::span<const std::string> given) {
  auto fault = read_fault(given);
  if (fault) return fault;
  // Words behind the place without '=' are those of another tool: its form is answered with ours.
  const bool has_bare = given.size() > 1 && std::any_of(given.begin() + 1, given.end(), [](const auto& word) {
                          return word.find('=') == std::string::npos;
                        });
  const std::string ours = in_our_words(given);
  if (ours.empty()) return fault;
  if (has_bare) return wrong("fault: a value stands behind '=', and a fault has one effect; say " + ours);
  return wrong(fault.error().message + "; say " + ours);
}

Result<FaultSpec> parse_fault(std::string_view line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (const char c : line) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        words.back() += c;
      }
      continue;
    }
    if (c == ' ' || c == '\t') {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == '\'' || c == '"') {
      quote = c;
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) return wrong(fmt::format("fault: a quote {} that is not closed", quote));
  return parse_fault(words);
}

}  // namespace rookery::vboot
