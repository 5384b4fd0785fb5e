#include "vboot/faults/ground.h"

#include <fmt/format.h>

#include <algorithm>

#include "vboot/faults/in_force.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {

FaultGround::FaultGround(EventLoop& loop, std::uint64_t seed, FaultReach reach, const FaultsInForce& in_force,
                         Asks asks)
    : loop_(loop), seed_(seed), reach_(std::move(reach)), in_force_(in_force), asks_(std::move(asks)) {
  for (const Cable& cable : reach_.cables) {
    CableState& state = cables_.emplace_back();
    state.up_rules = cable.up_link->rules();
    state.down_rules = cable.down_link->rules();
  }
}

Status FaultGround::find_named(const std::vector<std::string>& patterns,
                               const std::vector<std::string>& names, std::string_view what,
                               std::vector<std::size_t>& found) const {
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

Status FaultGround::find_cables(const std::vector<std::string>& on, std::vector<std::size_t>& found) const {
  std::vector<std::string> names;
  for (const Cable& cable : reach_.cables) {
    names.push_back(cable.name);
    if (cable.is_trunk()) names.push_back(cable.name.substr(0, cable.name.find(':')));
  }
  std::vector<std::size_t> said;
  ROOKERY_TRY(find_named(on, names, "machine or trunk", said));
  for (std::size_t i = 0, name = 0; i < reach_.cables.size(); ++i) {
    const std::size_t of_it = reach_.cables[i].is_trunk() ? 2 : 1;
    const bool meant =
        std::any_of(said.begin(), said.end(), [&](std::size_t s) { return s >= name && s < name + of_it; });
    if (meant) found.push_back(i);
    name += of_it;
  }
  return {};
}

void FaultGround::pull(std::size_t index, Way way, int by) {
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

void FaultGround::came_up(std::size_t cable) {
  for (const auto& [name, fault] : in_force_) fault->came_up(*this, cable);
}

}  // namespace rookery::vboot
