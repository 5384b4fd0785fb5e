// What becomes of one machine's power: what a wish of somebody's or an end of the machine's leads to. A plain
// value of the machine's Node, which tells it what happens and does what it says; it does nothing itself.
//
// A machine whose power was cut or that was reset is off for everybody from that moment on, though its end is
// still to come from the backend, in the loop. Who wants it on before that end has it on after it.
#pragma once

#include <cstdint>
#include <string_view>

#include "backends/backend.h"

namespace rookery::vboot {

class PowerState {
 public:
  enum class Wish : std::uint8_t { on, cut, reset };
  enum class Deed : std::uint8_t {
    start,   // the machine, now
    wait,    // nothing now: it starts after its end
    pass_on  // the wish, to the machine
  };
  // How far its boot had come when the machine went off.
  struct Boot {
    bool settled = false;       // ready, failed or off
    bool arrived = false;       // ready, or at the last stage that can be seen
    bool restart_said = false;  // its boot script says that it restarts
    bool is_firmware = false;   // nothing that comes after a kernel was seen, and nobody speaks for it
    bool has_panicked = false;  // its console says so
  };
  enum class End : std::uint8_t {
    died,      // by a fault of its own: the boot has failed
    too_soon,  // nobody wanted it, and it was not ready: likewise
    restarts,  // it is on its way and begins anew by itself
    off        // nothing to tell but that it is off
  };

  Deed wished(Wish wish, backends::MachineState state);
  // The machine, which was in that state, has taken the wish to be cut or reset. True: it ends for it; one
  // that was off already stays so.
  bool taken(Wish wish, backends::MachineState state);
  // The machine goes back to a snapshot; `state`: after it was asked to.
  void goes_back(backends::MachineState state);
  // The machine has told of another state: what it was leaving for is there.
  void changed() { leaving_ = Leaving::no; }
  // Of one that is not running any more, and why.
  End ended(backends::MachineState state, std::string_view reason, const Boot& boot);
  // Asked after an end: whether it is to be started again, in a turn of the loop that is to come.
  bool comes_on_again() const { return on_again_; }
  // Asked in that turn, once: whether it still is. Meanwhile somebody may have started it, or cut its power.
  bool starts_again(backends::MachineState state);

  // From the wish to be off until its end: what it says does not count.
  bool is_leaving() const { return leaving_ != Leaving::no; }
  bool is_on(backends::MachineState state) const {
    return state == backends::MachineState::running && !is_leaving();
  }

 private:
  enum class Leaving : std::uint8_t { no, cut, reset };

  Leaving leaving_ = Leaving::no;  // its power was cut, and its end is to come
  bool on_again_ = false;          // after that end, in a turn of its own
};

}  // namespace rookery::vboot
