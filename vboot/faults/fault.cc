#include "vboot/faults/fault.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "vboot/faults/fault_words.h"
#include "vboot/faults/kind.h"

namespace rookery::vboot {
namespace {

constexpr std::array<std::string_view, 3> kDirections{"both", "up", "down"};

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorKind::usage, std::move(message));
}

// What the fault is, without its values and how long: the same again is a change of it, and all else beside
// it.
std::string made_name(const FaultSpec& fault) {
  const FaultKind& kind = kind_of(fault.effect);
  if (kind.machines_named != nullptr) {
    FaultSpec who = fault;
    who.time.reset();
    return fmt::format("{}.{}", kind.word, to_hex(blake2b(as_bytes(to_text(who)))).substr(0, 4));
  }
  std::string name = fmt::format("{}.", fmt::join(fault.on, ","));
  if (fault.direction != FaultDirection::both)
    name += fmt::format("{}.", kDirections[static_cast<std::size_t>(fault.direction)]);
  name += kind.word;
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
  return kind_of(effect).word;
}

namespace {

Result<FaultSpec> read_fault(std::span<const std::string> given) {
  FaultWords words(given);
  FaultSpec fault;
  std::string value;
  const FaultKind& kind = words.take_effect(value);
  const auto on = words.take("on");
  if (on) fault.on = words.places("on", *on);
  if (words.problem().empty()) {
    if (kind.value_is_chance) fault.limits.chance = words.chance(kind.word, value);
    fault.effect = kind.read(words, value);
    if (kind.takes_limits) read_limits(words, fault);
    if (kind.takes_limits && !kind.value_is_chance) {
      if (const auto said = words.take("chance")) fault.limits.chance = words.chance("chance", *said);
    }
    if (kind.takes_direction) {
      if (const auto said = words.take("direction"))
        fault.direction = static_cast<FaultDirection>(words.choice("direction", *said, kDirections));
    }
    if (!kind.is_at_once) {
      if (const auto said = words.take("for")) fault.time = words.time("for", *said);
    }
    const auto name = words.take("name");
    words.nothing_left(kind.word);
    if (kind.machines_named != nullptr) {
      if (on) words.note(fmt::format("'{}' names its machines itself; leave '{:.64}' away", kind.word, *on));
    } else if (!on) {
      words.note(fmt::format("where? Name a machine, a switch or a trunk, as in 'n5 {}{}{}'", kind.word,
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
