#include "vboot/run/machine/power_state.h"

#include <utility>

namespace rookery::vboot {
namespace {

using backends::MachineState;

// On its way to a system, a machine that resets itself begins anew: its boot script says so, or firmware
// that nobody speaks for. A kernel that panicked resets it, too, and is none of these.
bool comes_back(std::string_view reason, const PowerState::Boot& boot) {
  if (boot.settled || reason != backends::kResetByGuest) return false;
  return boot.restart_said || (boot.is_firmware && !boot.has_panicked);
}

}  // namespace

PowerState::Deed PowerState::wished(Wish wish, MachineState state) {
  const bool is_switch = wish == Wish::on || (wish == Wish::reset && state != MachineState::running);
  if (!is_switch) return Deed::pass_on;
  on_again_ = leaving_ == Leaving::cut;
  return on_again_ ? Deed::wait : Deed::start;
}

bool PowerState::taken(Wish wish, MachineState state) {
  on_again_ = false;
  if (state != MachineState::running) return false;
  leaving_ = wish == Wish::reset ? Leaving::reset : Leaving::cut;
  return true;
}

void PowerState::goes_back(MachineState state) {
  if (state == MachineState::running) leaving_ = Leaving::reset;
  on_again_ = false;
}

PowerState::End PowerState::ended(MachineState state, std::string_view reason, const Boot& boot) {
  if (state == MachineState::failed) return End::died;
  if (comes_back(reason, boot)) {
    on_again_ = true;
    return End::restarts;
  }
  const bool was_wished = reason == "power cut" || reason == "reset" || reason == backends::kRestored;
  if (!boot.settled && !was_wished) return End::too_soon;
  // A system that restarts itself once it was ready wants to come back, as on any machine.
  if (boot.arrived && reason == backends::kResetByGuest) on_again_ = true;
  return End::off;
}

bool PowerState::starts_again(MachineState state) {
  return std::exchange(on_again_, false) && state != MachineState::running;
}

}  // namespace rookery::vboot
