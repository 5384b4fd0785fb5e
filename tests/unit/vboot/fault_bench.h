// A board of faults over a switch with three machines that are plain ports: what is set and cleared strikes
// what was named, and nothing else.
#pragma once

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/faults/board.h"

namespace rookery::vboot::fault_bench {

using std::chrono::milliseconds;

struct Deeds final : MachineFaults {
  Status note(std::string_view what, std::string_view machine) {
    if (machine == refuses) return fail(ErrorKind::usage, "this machine cannot");
    said += fmt::format("{} {}; ", what, machine);
    return {};
  }
  Status power_cut(std::string_view machine) override { return note("cut", machine); }
  Status power_on(std::string_view machine) override { return note("on", machine); }
  Status reset(std::string_view machine) override { return note("reset", machine); }
  Status freeze(std::string_view machine, Action frozen) override {
    const Status done = note("freeze", machine);
    if (done) freezing.push_back(std::move(frozen));
    return done;
  }
  Status thaw(std::string_view machine) override { return note("thaw", machine); }
  Status slow(std::string_view machine, Duration gap) override {
    return note(fmt::format("slow {}", gap.count()), machine);
  }
  Status step_clock(std::string_view machine, Duration by) override {
    return note(fmt::format("step {}", by.count()), machine);
  }
  std::string said;
  std::string refuses;
  std::vector<Action> freezing;
};

struct Told final : FaultEvents {
  void fault_began(const FaultSpec& spec) override { said += "+" + spec.name + " "; }
  void fault_ended(const FaultSpec& spec, std::string_view why) override {
    said += fmt::format("-{}:{} ", spec.name, why);
  }
  void fault_hit(const FaultSpec&, std::string_view cable, std::string_view direction,
                 const netsim::Frame&) override {
    hits += fmt::format("{}:{} ", cable, direction);
  }
  std::string said, hits;
};

struct Machine final : netsim::Port {
  Machine(EventLoop& loop, std::uint16_t station)
      : up(loop, netsim::FaultPoint::Side::sends, station),
        down(loop, netsim::FaultPoint::Side::hears, station),
        up_link(loop, {netsim::gigabits_per_second(1)}),
        down_link(loop, {netsim::gigabits_per_second(1)}) {}
  void send(netsim::Frame frame) override { heard.push_back(std::move(frame)); }
  netsim::FaultPoint up, down;
  netsim::Link up_link, down_link;
  netsim::SwitchPort* port = nullptr;
  std::vector<netsim::Frame> heard;
};

struct Lab {
  // With `fast_server`, the cable of the server has no rate upwards.
  explicit Lab(std::uint64_t seed = 1, bool fast_server = false) {
    FaultReach reach;
    reach.machines = {"server", "n1", "n2"};
    reach.switches = {"core"};
    for (std::size_t i = 0; i < 3; ++i) {
      Machine& machine = machines.emplace_back(loop, static_cast<std::uint16_t>(i + 1));
      if (fast_server && i == 0) machine.up_link.set_rules({});
      machine.up.connect(machine.up_link);
      machine.down.connect(machine.down_link);
      machine.down_link.connect(machine);
      machine.port = &network.attach(reach.machines[i], machine.down);
      machine.up_link.connect(*machine.port);
      reach.cables.push_back({reach.machines[i],
                              {0},
                              &machine.up,
                              &machine.down,
                              &machine.up_link,
                              &machine.down_link,
                              [this, &machine](bool up) { network.set_link(*machine.port, up); },
                              &network,
                              machine.port});
    }
    reach.restart_switch = [this](std::size_t) { network.forget_everything(); };
    reach.deeds = &deeds;
    board.emplace(loop, seed, std::move(reach));
    board->listen(told);
  }
  void set(std::string_view line) {
    const auto fault = parse_fault(line);
    BOOST_REQUIRE_MESSAGE(fault, fault.error().message);
    const auto done = board->set(*fault);
    BOOST_REQUIRE_MESSAGE(done, done.error().message);
  }
  std::string refusal(std::string_view line) {
    const auto fault = parse_fault(line);
    BOOST_REQUIRE_MESSAGE(fault, fault.error().message);
    const auto done = board->set(*fault);
    BOOST_REQUIRE(!done);
    return done.error().message;
  }
  // A broadcast of each machine, and who heard whom: "0:12 1:02 2:01" is all.
  std::string talk() {
    for (Machine& machine : machines) machine.heard.clear();
    for (std::size_t i = 0; i < 3; ++i) say(i);
    run(milliseconds(1));
    std::string text;
    for (std::size_t i = 0; i < 3; ++i) {
      text += fmt::format("{}{}:", i == 0 ? "" : " ", i);
      for (const netsim::Frame& frame : machines[i].heard) text += static_cast<char>('0' + frame.bytes()[11]);
    }
    return text;
  }
  void say(std::size_t from) {
    ByteBuffer bytes(60, 0xff);
    for (std::size_t at = 6; at < 12; ++at)
      bytes[at] = at == 11 ? static_cast<std::uint8_t>(from) : at == 6 ? 2 : 0;
    bytes[12] = 0x88;
    bytes[13] = 0xb5;
    machines[from].up.send(netsim::Frame::copy(bytes));
  }
  // Lets time pass, whether there are events or not.
  void run(Duration time) {
    bool over = false;
    loop.after(time, [&] { over = true; });
    loop.run_until([&] { return over; }, std::chrono::hours(1));
  }
  std::string frames(std::string_view name) {
    for (const FaultState& state : board->in_force()) {
      if (state.spec->name == name) return fmt::format("{}/{}", state.frames.hit, state.frames.seen);
    }
    return "none";
  }

  EventLoop loop{std::make_unique<VirtualPacer>()};
  std::deque<Machine> machines;
  netsim::Switch network{loop, {}};
  Deeds deeds;
  Told told;
  std::optional<FaultBoard> board;
};

inline constexpr const char* kAll = "0:12 1:02 2:01";

}  // namespace rookery::vboot::fault_bench
