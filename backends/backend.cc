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

std::string_view Capabilities::why_not(std::string_view what) const {
  for (const Lack& lack : lacks) {
    if (lack.what == what) return lack.why;
  }
  return "";
}

}  // namespace rookery::backends
