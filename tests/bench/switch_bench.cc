// Frames per second and core through the switch: 1,000 machines with random addresses, each on a port of its
// own, in two VLANs; every frame is made anew (one buffer from the pool, one copy), goes to a random machine
// of its VLAN, and may have to come by a tagged trunk between two switches, or by links with a rate.
#include <benchmark/benchmark.h>

#include <deque>
#include <memory>
#include <vector>

#include "base/loop/event_loop.h"
#include "base/random.h"
#include "netsim/link.h"
#include "netsim/switch.h"

namespace {

using namespace rookery;
using namespace rookery::netsim;

constexpr std::size_t kMachines = 1000;
constexpr std::size_t kPairs = 1 << 14;
constexpr std::uint16_t kVlans[] = {10, 20};
const SwitchRules kRules{
    .dhcp_snooping = true, .arp_suppression = true, .mld_snooping = true};  // as in a lab

struct Machine {
  MacAddress address;
  std::uint16_t vlan = 0;
  NullPort device;
  std::unique_ptr<Link> down;  // switch to device
  std::unique_ptr<Link> up;
  Port* network = nullptr;
};

struct Lab {
  Lab(std::size_t switch_count, const LinkRules& rules)
      : loop(std::make_unique<VirtualPacer>()), random(1, "bench") {
    for (std::size_t i = 0; i < switch_count; ++i) switches.push_back(std::make_unique<Switch>(loop, kRules));
    for (std::size_t i = 0; i < kMachines; ++i) add_machine(*switches[i % switch_count], rules);
    if (switch_count == 2) {
      there = std::make_unique<Link>(loop, LinkRules{});
      back = std::make_unique<Link>(loop, LinkRules{});
      const auto vlans = VlanMembership::trunk({kVlans[0], kVlans[1]});
      SwitchPort& first = switches[0]->attach("trunk", *there);
      SwitchPort& second = switches[1]->attach("trunk", *back);
      switches[0]->set_vlans(first, vlans);
      switches[1]->set_vlans(second, vlans);
      there->connect(second);
      back->connect(first);
    }
    for (Machine& machine : machines) {
      send(machine, MacAddress::broadcast(), 64);
      loop.run();
    }
    for (std::size_t i = 0; i < kPairs; ++i) {
      Machine* from = &machines[random.below(kMachines)];
      Machine* to = from;
      while (to == from || to->vlan != from->vlan) to = &machines[random.below(kMachines)];
      pairs.emplace_back(from, to);
    }
  }

  void add_machine(Switch& on, const LinkRules& rules) {
    Machine& machine = machines.emplace_back();
    machine.address = MacAddress::from_bits((random.next() & 0xfeff'ffff'ffff) | 0x0200'0000'0000);
    machine.vlan = kVlans[random.below(2)];
    machine.down = std::make_unique<Link>(loop, rules, machine.device);
    SwitchPort& port = on.attach("", *machine.down);
    on.set_vlans(port, VlanMembership::access(machine.vlan));
    machine.up = std::make_unique<Link>(loop, LinkRules{}, port);
    machine.network = machine.up.get();
  }

  void send(Machine& from, MacAddress to, std::size_t size) {
    FrameBuilder builder(size);
    const auto bytes = builder.bytes();
    std::memcpy(bytes.data() + kSmallestFrame, payload.data(), size - kSmallestFrame);
    to.write(bytes.data());
    from.address.write(bytes.data() + 6);
    bytes[12] = 0x08;
    bytes[13] = 0x00;
    from.network->send(std::move(builder).freeze());
  }

  std::uint64_t received() const {
    std::uint64_t sum = 0;
    for (const Machine& machine : machines) sum += machine.device.frames();
    return sum;
  }

  EventLoop loop;
  Random random;
  std::vector<std::unique_ptr<Switch>> switches;
  std::unique_ptr<Link> there;
  std::unique_ptr<Link> back;
  std::deque<Machine> machines;
  std::vector<std::pair<Machine*, Machine*>> pairs;
  ByteBuffer payload = ByteBuffer(2048, 0x5a);
};

// Frames come in bursts of 64, as they do from a machine's queue; the loop runs after each.
void run(benchmark::State& state, std::size_t switches, const LinkRules& rules) {
  Lab lab(switches, rules);
  const auto size = static_cast<std::size_t>(state.range(0));
  constexpr std::size_t kBurst = 64;
  const std::uint64_t before = lab.received();
  std::size_t next = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kBurst; ++i) {
      auto [from, to] = lab.pairs[next++ & (kPairs - 1)];
      lab.send(*from, to->address, size);
    }
    lab.loop.run();
  }
  const std::uint64_t frames = lab.received() - before;
  if (frames != state.iterations() * kBurst) state.SkipWithError("frames were lost or doubled");
  state.counters["frames/s"] = benchmark::Counter(static_cast<double>(frames), benchmark::Counter::kIsRate);
}

void one_switch(benchmark::State& state) {
  run(state, 1, {});
}
void one_switch_with_rate(benchmark::State& state) {
  run(state, 1, {gigabits_per_second(10), std::chrono::microseconds(5)});
}
void trunk(benchmark::State& state) {
  run(state, 2, {});
}
void trunk_with_rate(benchmark::State& state) {
  run(state, 2, {gigabits_per_second(10), std::chrono::microseconds(5)});
}

BENCHMARK(one_switch)->Arg(64)->Arg(1500);
BENCHMARK(one_switch_with_rate)->Arg(64)->Arg(1500);
BENCHMARK(trunk)->Arg(64)->Arg(1500);
BENCHMARK(trunk_with_rate)->Arg(64)->Arg(1500);

}  // namespace
