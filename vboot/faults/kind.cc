#include "vboot/faults/kind.h"

#include <algorithm>
#include <iterator>

#include "vboot/lab/name_patterns.h"

namespace rookery::vboot {
namespace {

using Kinds = std::array<const FaultKind*, std::variant_size_v<FaultEffect>>;

std::array<std::span<const FaultKind>, 5> families() {
  return {frame_kinds(), cable_kinds(), network_kinds(), switch_kinds(), machine_kinds()};
}

Kinds in_order() {
  Kinds kinds{};
  for (const auto family : families()) {
    for (const FaultKind& kind : family) {
      if (std::exchange(kinds.at(kind.effect), &kind) != nullptr) bug("an effect of two kinds of fault");
    }
  }
  if (std::find(kinds.begin(), kinds.end(), nullptr) != kinds.end()) bug("an effect of no kind of fault");
  return kinds;
}

}  // namespace

std::span<const FaultKind* const> fault_kinds() {
  static const Kinds kKinds = in_order();
  return kKinds;
}

const FaultKind& kind_of(const FaultEffect& effect) {
  return *fault_kinds()[effect.index()];
}

std::vector<std::string_view> further_words() {
  std::vector<std::string_view> words;
  for (const auto family : families()) {
    for (const FaultKind& kind : family) {
      std::copy_if(kind.more.begin(), kind.more.end(), std::back_inserter(words),
                   [](std::string_view word) { return !word.empty(); });
    }
  }
  return words;
}

bool any_fits(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return fits(pattern, name); });
}

bool hinders(const FaultSpec& fault, Hinders how) {
  return kind_of(fault.effect).hinders == how;
}
bool hinders(const FaultSpec& fault, Hinders how, std::string_view machine) {
  return hinders(fault, how) && any_fits(fault.on, machine);
}

bool separates(const FaultSpec& fault, std::string_view one, std::string_view other) {
  const FaultKind& kind = kind_of(fault.effect);
  return kind.separates != nullptr && kind.separates(fault, one, other);
}

}  // namespace rookery::vboot
