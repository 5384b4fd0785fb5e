// The public reference controller's workload: N bare kernels on one switch boot, ping each other three times,
// sleep for half a minute and power off, all in virtual time. One line of JSON.
//
//   bench_pings KERNEL INITRAMFS N [--one-by-one]
#include <fmt/format.h>

#include <chrono>
#include <deque>

#include "backends/uml/uml_backend.h"
#include "base/file.h"
#include "netsim/link.h"
#include "netsim/ports/vhost_net.h"
#include "netsim/switch.h"

namespace rookery {
namespace {

constexpr Duration kCable = std::chrono::microseconds(100);

LockstepRules rules_of(bool side_by_side) {
  LockstepRules rules;
  rules.side_by_side = side_by_side;
  rules.lookahead = kCable;
  return rules;
}

struct Guest final : backends::MachineEvents {
  Guest(EventLoop& loop, netsim::Switch& to, backends::Backend& backend, backends::MachineSpec spec,
        unsigned own, unsigned neighbour)
      : lane(Lane::make(loop, spec.name)) {
    const std::array<std::uint8_t, 6> mac{0x02,
                                          0,
                                          static_cast<std::uint8_t>(neighbour >> 8),
                                          static_cast<std::uint8_t>(neighbour),
                                          static_cast<std::uint8_t>(own >> 8),
                                          static_cast<std::uint8_t>(own)};
    std::filesystem::create_directories(spec.folder);
    nic = netsim::VhostNetPort::listen(loop, spec.folder / "net0", *netsim::MacAddress::from_bytes(mac), {},
                                       lane.get())
              .value();
    down = std::make_unique<netsim::Link>(loop, netsim::LinkRules{.rate = {}, .delay = kCable}, *nic);
    nic->connect(to.attach(spec.name, *down));  // the lane is the cable's other direction
    spec.nics.push_back({mac, "net0", nullptr});
    spec.lane = lane.get();
    machine = backend.create(std::move(spec), *this).value();
  }
  void state_changed(backends::Machine&, backends::MachineState, const std::string&) override {
    ended = true;
  }
  void console_output(backends::Machine&, std::string_view bytes) override { console += bytes; }

  std::unique_ptr<Lane> lane;
  std::unique_ptr<netsim::VhostNetPort> nic;
  std::unique_ptr<netsim::Link> down;
  std::unique_ptr<backends::Machine> machine;
  std::string console;
  bool ended = false;
};

int run(const char* kernel, const char* initramfs, unsigned count, bool side_by_side) {
  const auto begin = std::chrono::steady_clock::now();
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-bench-").value();
  const auto memory = TemporaryFolder::make("/dev/shm", "rookery-bench-").value();
  EventLoop loop(std::make_unique<LockstepPacer>(rules_of(side_by_side), [](const auto& who) {
    fmt::print(stderr, "{} never yields\n", who.front());
    std::exit(3);
  }));
  backends::UmlBackend backend(loop);
  std::deque<Guest> guests;
  netsim::Switch hub(loop, {});
  for (unsigned i = 1; i <= count; ++i) {
    backends::MachineSpec spec;
    spec.name = "g" + std::to_string(i);
    spec.memory = mebibytes(24);
    spec.folder = folder.path() / spec.name;
    spec.memory_folder = memory.path();
    spec.kernel = kernel;
    spec.initramfs = initramfs;
    spec.command_line = "quiet panic=-1";
    spec.seed = i;
    guests.emplace_back(loop, hub, backend, std::move(spec), i, i % count + 1);
    if (!guests.back().machine->start()) return 4;
  }
  const auto all_ended = [&] {
    return std::all_of(guests.begin(), guests.end(), [](const Guest& guest) { return guest.ended; });
  };
  loop.run_until(all_ended, std::chrono::minutes(5));
  unsigned answered = 0;
  for (const Guest& guest : guests) answered += guest.console.find("answered") != std::string::npos ? 1 : 0;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  fmt::print(R"({{"machines": {}, "answered": {}, "virtual_s": {:.3f}, "seconds": {:.3f}}})"
             "\n",
             count, answered, seconds(loop.now()), took.count());
  return answered == count ? 0 : 1;
}

}  // namespace
}  // namespace rookery

int main(int argc, char** argv) {
  const bool one_by_one = argc == 5 && std::string_view(argv[4]) == "--one-by-one";
  if (argc != 4 && !one_by_one) return 2;
  return rookery::run(argv[1], argv[2], static_cast<unsigned>(std::atoi(argv[3])), !one_by_one);
}
