// Machines without a hypervisor: each runs a script of ours on the event loop, under any pacer. For tests of
// what is above the backends, and for sweeps over thousands of machines in which no guest matters.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "backends/backend.h"

namespace rookery::backends {

// What a scripted guest does, one step after another, beginning at its start.
struct FakeStep {
  Duration after{0};  // from the step before
  struct Print {
    std::string text;
  };
  struct Send {  // a frame out of its first NIC
    ByteBuffer frame;
  };
  struct PowerOff {};
  struct Reset {};  // by the guest
  struct Crash {
    std::string reason;
  };
  struct Echo {};  // from now on console input is printed, and frames that come in are sent back
  std::variant<Print, Send, PowerOff, Reset, Crash, Echo> what;
};
using FakeScript = std::vector<FakeStep>;

class FakeBackend final : public Backend {
 public:
  // `scripts` by what MachineSpec::kernel names; a machine without one does nothing until it is switched off.
  FakeBackend(EventLoop& loop, std::map<std::string, FakeScript> scripts)
      : loop_(loop), scripts_(std::move(scripts)) {}

  std::string_view name() const override { return "fake"; }
  Result<Capabilities> probe(const Hardware& hardware) override;
  Result<std::unique_ptr<Machine>> create(MachineSpec spec, MachineEvents& events) override;

 private:
  EventLoop& loop_;
  std::map<std::string, FakeScript> scripts_;
};

}  // namespace rookery::backends
