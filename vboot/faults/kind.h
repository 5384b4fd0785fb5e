// A kind of fault: its words, its text, what it does, and what is said of a machine that it strikes. Each is
// a row of its family's table (families/): frames, cables, network, switches, machines. Constant, and so
// without an owner.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "vboot/faults/fault.h"

namespace rookery::vboot {

class FaultInForce;
class FaultWords;

// Keys and values as they are said, the effect's own first; without a value: a word alone.
using FaultPairs = std::vector<std::pair<std::string_view, std::string>>;

// What a fault keeps a machine from, where `why` looks for it by its kind.
enum class Hinders : std::uint8_t {
  nothing,    // or only frames: it is told by those that it struck
  link,       // a cable is out, all the time or now and then
  port,       // a switch port does not forward
  switches,   // a switch is away with all its ports
  hearing,    // some machines do not hear others
  power,      // a machine is off
  processor,  // a machine stands still
};

struct FaultKind {
  std::string_view word;  // "loss", "power-cut"
  std::size_t effect;     // its alternative of FaultEffect

  // Takes its value and its further words; notes what is wrong with them.
  FaultEffect (*read)(FaultWords& words, const std::string& value);
  void (*tell)(const FaultSpec& fault, FaultPairs& words);
  std::unique_ptr<FaultInForce> (*make)();

  std::array<std::string_view, 3> more{};  // words that go with it alone; "": no more

  // Which words of all faults it takes.
  bool takes_limits = false;     // match, skip, count and chance
  bool value_is_chance = false;  // so that there is no "chance" beside it
  bool takes_direction = false;
  bool is_at_once = false;  // over by itself: it takes no "for"
  // Of kinds that name their machines themselves and take no place: these names; null: the place is "on".
  std::vector<std::string> (*machines_named)(const FaultSpec& fault) = nullptr;

  // What it is called behind the stage of a machine that it strikes ("cable out"); null: its word.
  std::string_view (*in_the_way)(const FaultSpec& fault) = nullptr;
  // Those of these words that say that it can do nothing, or that nothing of it gets through.
  std::array<std::string_view, 3> stopping{};
  bool only_delays = false;  // a frame that it strikes still arrives as it was sent
  Hinders hinders = Hinders::nothing;
  // Of Hinders::hearing: whether one of the two machines does not hear the other.
  bool (*separates)(const FaultSpec& fault, std::string_view one, std::string_view other) = nullptr;
};

template <typename Effect, std::size_t kAt = 0>
consteval std::size_t effect_of() {
  if constexpr (std::is_same_v<std::variant_alternative_t<kAt, FaultEffect>, Effect>) {
    return kAt;
  } else {
    return effect_of<Effect, kAt + 1>();
  }
}

// The families, each in its file.
std::span<const FaultKind> frame_kinds();
std::span<const FaultKind> cable_kinds();
std::span<const FaultKind> network_kinds();
std::span<const FaultKind> switch_kinds();
std::span<const FaultKind> machine_kinds();

// All, in the order of the alternatives of FaultEffect.
std::span<const FaultKind* const> fault_kinds();
const FaultKind& kind_of(const FaultEffect& effect);
// The words beside the effects' own that go with one kind or another, in the order of the families.
std::vector<std::string_view> further_words();

// Whether the fault hinders so; and, with a name, whether it was set on the machine of that name.
bool hinders(const FaultSpec& fault, Hinders how);
bool hinders(const FaultSpec& fault, Hinders how, std::string_view machine);
// Whether one of the two machines does not hear the other because of it.
bool separates(const FaultSpec& fault, std::string_view one, std::string_view other);
// Whether one of these names and patterns fits.
bool any_fits(const std::vector<std::string>& patterns, std::string_view name);

}  // namespace rookery::vboot
