#include "backends/fake/fake_backend.h"
#include "tests/contract/backend_contract.h"

namespace rookery::contract {
namespace {

using backends::FakeScript;
using backends::FakeStep;

constexpr Duration kStep = std::chrono::seconds(1);

std::string kernel_of(Guest guest) {
  switch (guest) {
    case Guest::prints_and_powers_off:
      return "prints";
    case Guest::crashes:
      return "crashes";
    case Guest::echoes:
      return "echoes";
    case Guest::reads_its_disk:
      break;  // it has none
  }
  return "";
}

std::map<std::string, FakeScript> scripts() {
  return {
      {"prints", {{kStep, FakeStep::Print{"hello from the guest\n"}}, {kStep, FakeStep::PowerOff{}}}},
      {"crashes",
       {{kStep, FakeStep::Print{"about to crash\n"}}, {kStep, FakeStep::Crash{"a scripted crash"}}}},
      {"echoes", {{kStep, FakeStep::Echo{}}, {kStep, FakeStep::Print{"listening\n"}}}},
  };
}

class FakeSubject final : public Subject {
 public:
  std::string name() const override { return "fake"; }
  std::optional<std::string> unavailable() override { return std::nullopt; }
  EventLoop& loop() override { return loop_; }
  backends::Backend& backend() override { return backend_; }
  backends::MachineSpec spec(const std::string& machine, Guest guest) override {
    backends::MachineSpec spec;
    spec.name = machine;
    spec.kernel = kernel_of(guest);
    return spec;
  }
  std::string remains() override { return ""; }

 private:
  EventLoop loop_{std::make_unique<VirtualPacer>()};
  backends::FakeBackend backend_{loop_, scripts()};
};

}  // namespace

std::unique_ptr<Subject> make_fake_subject() {
  return std::make_unique<FakeSubject>();
}

}  // namespace rookery::contract
