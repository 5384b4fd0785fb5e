// The programs of rookery-guest. Each is entered once by main and does not come back, unless with an exit
// code.
#pragma once

#include "guest/program/management.h"

namespace rookery::guest {

[[noreturn]] void stage_one();
[[noreturn]] void stage_two();
// Serves the supervisor until the machine goes off; exits cleanly if there is no management NIC.
[[noreturn]] void agent_main();
[[noreturn]] void serve(Management management);

}  // namespace rookery::guest
