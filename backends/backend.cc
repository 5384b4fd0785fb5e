#include "backends/backend.h"

namespace rookery::backends {

std::string_view to_string(MachineState state) {
  switch (state) {
    case MachineState::off:
      return "off";
    case MachineState::running:
      return "running";
    case MachineState::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace rookery::backends
