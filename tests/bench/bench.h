// What the benchmarks that compare us with bare calls share: how they end without a figure, their clock, and
// who counts the ends of machines. Everything belongs to the program that includes it.
#pragma once

#include <errno.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "backends/backend.h"
#include "base/loop/host_clock.h"

namespace rookery {

[[noreturn]] inline void give_up(const std::string& why) {
  fmt::print(stderr, "{}: {}\n", ::program_invocation_short_name, why);
  std::exit(static_cast<int>(ErrorKind::infrastructure));
}

inline double since(Duration start) {
  return seconds(host_clock::monotonic() - start);
}

// A machine that fails ends the benchmark.
struct EndCounter final : backends::MachineEvents {
  unsigned ended = 0;
  void state_changed(backends::Machine& machine, backends::MachineState state,
                     const std::string& reason) override {
    if (state == backends::MachineState::failed) give_up(machine.name() + ": " + reason);
    ++ended;
  }
  void console_output(backends::Machine&, std::string_view) override {}
};

}  // namespace rookery
