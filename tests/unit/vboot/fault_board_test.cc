// Faults in force, over a switch with three machines that are plain ports: what is set and cleared strikes
// what was named, and nothing else.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/test/unit_test.hpp>
#include <deque>

#include "vboot/faults/board.h"

using namespace rookery;
using namespace rookery::vboot;
using std::chrono::milliseconds;

namespace {

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

constexpr const char* kAll = "0:12 1:02 2:01";

}  // namespace

BOOST_AUTO_TEST_SUITE(fault_board_suite)

BOOST_AUTO_TEST_CASE(strikes_what_is_named_in_the_direction_that_is_named) {
  Lab lab;
  BOOST_TEST(lab.talk() == kAll);
  lab.set("n1 loss=100% direction=up");
  BOOST_TEST(lab.talk() == "0:2 1:02 2:0");
  lab.set("n2 loss=100% direction=down");
  BOOST_TEST(lab.talk() == "0:2 1:02 2:");
  BOOST_TEST(lab.told.hits.starts_with("n1:up n1:up n2:down "));
  BOOST_TEST(lab.board->clear("n1").value() == 1U);
  BOOST_TEST(lab.talk() == "0:12 1:02 2:");
  BOOST_TEST(lab.board->clear("all").value() == 1U);
  BOOST_TEST(lab.talk() == kAll);
  BOOST_TEST(lab.told.said == "+n1.up.loss +n2.down.loss -n1.up.loss:cleared -n2.down.loss:cleared ");
}

BOOST_AUTO_TEST_CASE(leaves_alone_what_it_does_not_name) {
  const auto losses = [](bool with_others) {
    Lab lab;
    lab.set("n1 loss=50% direction=up");
    for (int i = 0; i < 200; ++i) {
      if (with_others && i == 50) lab.set("n1 delay=1us");
      if (with_others && i == 90) lab.set("n2 loss=30%");
      if (with_others && i == 120) BOOST_TEST(lab.board->clear("n1.delay").value() == 1U);
      lab.say(1);
      lab.run(milliseconds(1));
    }
    BOOST_TEST(lab.frames("n1.up.loss").ends_with("/200"));
    return lab.machines[0].heard.size();
  };
  const std::size_t alone = losses(false);
  BOOST_TEST(alone > 70U);
  BOOST_TEST(alone < 130U);
  BOOST_TEST(losses(true) == alone);
}

BOOST_AUTO_TEST_CASE(draws_by_the_seed_the_cable_and_the_name_and_never_the_same_twice) {
  const auto decisions = [](std::uint64_t seed, std::string_view line, int times) {
    Lab lab(seed);
    std::string last;
    for (int n = 0; n < times; ++n) {
      lab.set(line);
      lab.machines[0].heard.clear();
      last.clear();
      for (int i = 0; i < 64; ++i) {
        const std::size_t before = lab.machines[0].heard.size();
        lab.say(1);
        lab.run(milliseconds(1));
        last += lab.machines[0].heard.size() > before ? '.' : 'x';
      }
    }
    return last;
  };
  const std::string first = decisions(1, "n1 loss=50%", 1);
  BOOST_TEST(decisions(1, "n1 loss=50%", 1) == first);
  BOOST_TEST(decisions(2, "n1 loss=50%", 1) != first);
  BOOST_TEST(decisions(1, "n1 loss=50% name=other", 1) != first);
  BOOST_TEST(decisions(1, "n1 loss=50%", 2) != first);
}

BOOST_AUTO_TEST_CASE(ends_a_fault_after_its_time_and_after_its_count) {
  Lab lab;
  lab.set("n1 loss=100% for=5ms");
  lab.set("n2 loss=100% direction=up skip=1 count=2");
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.run(milliseconds(10));
  BOOST_TEST(lab.told.said.find("-n1.loss:time") != std::string::npos);
  lab.talk();
  lab.talk();
  BOOST_TEST(lab.told.said.find(":count") != std::string::npos);
  BOOST_TEST(lab.talk() == kAll);
  BOOST_TEST(lab.board->in_force().empty());
}

BOOST_AUTO_TEST_CASE(takes_lists_and_patterns) {
  Lab lab;
  lab.set("n* loss=100% direction=down");
  BOOST_TEST(lab.talk() == "0:12 1: 2:");
  lab.board->clear("n*").value();
  lab.set("server,n2 loss=100% direction=down");
  BOOST_TEST(lab.talk() == "0: 1:02 2:");
}

BOOST_AUTO_TEST_CASE(parts_the_network_in_groups_and_one_way) {
  Lab lab;
  lab.set("partition=server,n1/n2");
  BOOST_TEST(lab.talk() == "0:1 1:0 2:");
  BOOST_TEST(lab.board->in_force().at(0).frames.hit == 4U);
  lab.set("cut=n1 to=server for=2ms");
  BOOST_TEST(lab.talk() == "0: 1:0 2:");
  lab.run(milliseconds(5));
  lab.board->clear("partition.*").value();
  BOOST_TEST(lab.talk() == kAll);
}

BOOST_AUTO_TEST_CASE(pulls_a_cable_as_often_as_it_was_pulled) {
  Lab lab;
  lab.set("n1 down");
  lab.set("n1 down name=again for=5ms");
  BOOST_TEST(!lab.machines[1].port->is_up());
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.board->clear("n1.down").value();
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.run(milliseconds(5));
  BOOST_TEST(lab.talk() == kAll);
  lab.set("n1 down direction=up");
  BOOST_TEST(lab.machines[1].port->is_up());
  BOOST_TEST(lab.talk() == "0:2 1:02 2:0");
}

BOOST_AUTO_TEST_CASE(flaps) {
  Lab lab;
  lab.set("n1 flap=20ms up=25%");
  std::string seen;
  for (int i = 0; i < 40; ++i) {
    seen += lab.machines[1].port->is_up() ? 'u' : 'd';
    lab.run(milliseconds(1));
  }
  BOOST_TEST(seen.starts_with("ddddddddddddddd"));
  BOOST_TEST(std::count(seen.begin(), seen.end(), 'u') == 10);
  lab.board->clear("n1").value();
  BOOST_TEST(lab.machines[1].port->is_up());
}

BOOST_AUTO_TEST_CASE(restarts_a_switch_with_all_its_cables) {
  Lab lab;
  lab.talk();
  BOOST_TEST(lab.network.table().size() == 3U);
  lab.set("core restart=10ms");
  BOOST_TEST(lab.network.table().size() == 0U);
  BOOST_TEST(lab.talk() == "0: 1: 2:");
  lab.run(milliseconds(10));
  BOOST_TEST(lab.talk() == kAll);
}

BOOST_AUTO_TEST_CASE(blocks_a_port_from_when_its_link_comes_up_silently_or_not) {
  Lab lab;
  lab.set("n1 blocking=5ms");
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.run(milliseconds(5));
  BOOST_TEST(lab.talk() == kAll);
  lab.board->machine_came_up(1);
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.run(milliseconds(5));
  lab.set("n1 down for=5ms");
  lab.run(milliseconds(6));
  BOOST_TEST(lab.talk() == "0:2 1: 2:0");
  lab.board->clear("all").value();
  BOOST_TEST(lab.talk() == kAll);

  lab.machines[2].heard.clear();
  lab.set("n2 blocking=5s bpdus=visible");
  lab.run(std::chrono::seconds(6));
  BOOST_REQUIRE(lab.machines[2].heard.size() == 4U);  // at 0, 2 and 4 s, and when it forwards
  const auto flags = [&](std::size_t i) { return lab.machines[2].heard[i].bytes()[21]; };
  BOOST_TEST((lab.machines[2].heard[0].destination().text() == "01:80:c2:00:00:00"));
  BOOST_TEST(flags(2) == 0x0c);  // designated, discarding
  BOOST_TEST(flags(3) == 0x3c);  // learning and forwarding besides
}

BOOST_AUTO_TEST_CASE(limits_a_queue_and_gives_back_the_cables_own) {
  Lab lab;
  const Bytes own = lab.machines[1].up_link.rules().queue;
  lab.set("n1 queue=10KiB direction=up");
  BOOST_TEST((lab.machines[1].up_link.rules().queue == Bytes{10'240}));
  BOOST_TEST((lab.machines[1].down_link.rules().queue == own));
  lab.board->clear("n1").value();
  BOOST_TEST((lab.machines[1].up_link.rules().queue == own));
}

BOOST_AUTO_TEST_CASE(does_to_machines_what_it_is_told_and_undoes_it) {
  Lab lab;
  lab.set("server power-cut for=30s");
  lab.set("n1 power-cut");
  lab.set("n1,n2 freeze for=3s");
  lab.set("n2 slow=10ms");
  lab.set("n2 clock-step=-2s");
  lab.set("n1 thaw");
  BOOST_TEST(lab.deeds.said ==
             "cut server; cut n1; freeze n1; freeze n2; slow 10000000 n2; step -2000000000 n2; thaw n1; ");
  lab.deeds.said.clear();
  lab.run(std::chrono::seconds(4));
  BOOST_TEST(lab.deeds.said == "thaw n2; ");
  lab.board->clear("n2").value();
  lab.board->clear("server").value();
  BOOST_TEST(lab.deeds.said == "thaw n2; slow 0 n2; on server; ");
}

BOOST_AUTO_TEST_CASE(says_when_what_it_freezes_stands_still) {
  Lab lab;
  int settled = 0;
  const auto set = [&](std::string_view line) {
    return lab.board->set(parse_fault(line).value(), [&] { ++settled; }).has_value();
  };
  BOOST_TEST(set("n1 down"));
  BOOST_TEST(settled == 1);
  BOOST_TEST(set("n1,n2 freeze"));
  BOOST_REQUIRE(lab.deeds.freezing.size() == 2u);
  lab.deeds.freezing[1]();
  BOOST_TEST(settled == 1);
  lab.deeds.freezing[0]();
  BOOST_TEST(settled == 2);
  lab.deeds.refuses = "n2";
  BOOST_TEST(!set("n1,n2 freeze"));
  lab.deeds.freezing[2]();
  BOOST_TEST(settled == 2);
}

BOOST_AUTO_TEST_CASE(undoes_what_is_not_possible_on_all) {
  Lab lab;
  lab.deeds.refuses = "n2";
  BOOST_TEST(lab.refusal("n* freeze") == "this machine cannot");
  BOOST_TEST(lab.deeds.said == "freeze n1; thaw n1; ");
  BOOST_TEST(lab.board->in_force().empty());
}

BOOST_AUTO_TEST_CASE(a_fault_that_cannot_be_leaves_the_one_of_its_name_in_force) {
  Lab lab;
  lab.set("n1 loss=100% direction=up name=x");
  BOOST_TEST(lab.talk() == "0:2 1:02 2:0");
  lab.deeds.refuses = "n2";
  BOOST_TEST(lab.refusal("n1,n2 freeze name=x") == "this machine cannot");
  BOOST_TEST(lab.deeds.said == "freeze n1; thaw n1; ");
  BOOST_TEST(lab.told.said == "+x ");
  BOOST_TEST(lab.frames("x") == "1/1");  // nor do its counters begin anew
  BOOST_TEST(lab.talk() == "0:2 1:02 2:0");

  // Of the same kind: what the old one does to a machine is not undone with the new one.
  lab.deeds.said.clear();
  lab.set("n1 freeze name=y for=5s");
  lab.set("n1 slow=10ms name=z");
  BOOST_TEST(lab.refusal("n1,n2 freeze name=y") == "this machine cannot");
  BOOST_TEST(lab.refusal("n1,n2 slow=50ms name=z") == "this machine cannot");
  BOOST_TEST(lab.deeds.said ==
             "freeze n1; slow 10000000 n1; freeze n1; slow 50000000 n1; slow 10000000 n1; ");
  lab.deeds.said.clear();
  lab.run(std::chrono::seconds(6));
  BOOST_TEST(lab.deeds.said == "thaw n1; ");  // the first one's time

  // One that can be replaces it, and what both do goes on.
  lab.deeds.said.clear();
  lab.set("n1,server slow=20ms name=z");
  BOOST_TEST(lab.deeds.said == "slow 20000000 n1; slow 20000000 server; slow 20000000 n1; ");
  lab.set("server slow=20ms name=z");
  BOOST_TEST(lab.deeds.said.ends_with("slow 20000000 server; slow 0 n1; slow 20000000 server; "));
  BOOST_TEST(lab.told.said.ends_with("-z:replaced +z "));
}

// One that cannot thaw all changes nothing: what was frozen stands still again, and is the first one's still.
BOOST_AUTO_TEST_CASE(a_thaw_that_cannot_be_leaves_frozen_what_was) {
  Lab lab;
  lab.set("n1 freeze for=5s");
  lab.deeds.refuses = "n2";
  lab.deeds.said.clear();
  BOOST_TEST(lab.refusal("server,n1,n2 thaw") == "this machine cannot");
  BOOST_TEST(lab.deeds.said == "thaw server; thaw n1; freeze n1; ");
  BOOST_TEST(lab.told.said == "+n1.freeze +server,n1,n2.thaw -server,n1,n2.thaw:not possible ");
  lab.run(std::chrono::seconds(6));
  BOOST_TEST(lab.deeds.said.ends_with("freeze n1; thaw n1; "));
  BOOST_TEST(lab.told.said.ends_with("-n1.freeze:time "));
}

// Of each family one that cannot be, in place of one of each that is.
BOOST_AUTO_TEST_CASE(a_fault_of_any_family_that_cannot_be_leaves_one_of_any_in_force) {
  struct Old {
    const char* words;
    std::string_view way;    // what it is to n1
    std::string_view heard;  // who hears whom meanwhile
  };
  const std::vector<Old> olds{{"n1 loss=100% for=1s", "loss", "0:2 1: 2:0"},
                              {"n1 down for=1s", "cable out", "0:2 1: 2:0"},
                              {"n1 queue=10KiB for=1s", "queue", kAll},
                              {"n1 blocking=1s for=1s", "port blocked", "0:2 1: 2:0"},
                              {"core restart=1s", "switch restarts", "0: 1: 2:"},
                              {"partition=n1/n2,server for=1s", "cut off from some", "0:2 1: 2:0"},
                              {"cut=n1 to=n2 for=1s", "cut off from some", "0:12 1:02 2:0"},
                              {"n1 power-cut for=1s", "plug pulled", kAll},
                              {"n1 freeze for=1s", "frozen", kAll},
                              {"n1 slow=1ms for=1s", "slowed", kAll}};
  struct Impossible {
    const char* words;
    const char* why;
  };
  const std::vector<Impossible> impossibles{
      {"n9 loss=1%", "fault: no machine or trunk 'n9' in this lab; did you mean 'n1'?"},
      {"n1 loss=1% match='udp prot 3'", "fault: match: 'prot' is neither"},
      {"n1,n9 down", "fault: no machine or trunk 'n9' in this lab"},
      {"n9 flap=10ms", "fault: no machine or trunk 'n9' in this lab"},
      {"server queue=10KiB", "fault: the cable 'server' has no rate"},
      {"n9 blocking=1s", "fault: no machine or trunk 'n9' in this lab"},
      {"edge restart=1s", "fault: no switch 'edge' in this lab"},
      {"partition=n1/n*", "fault: 'n1' is on both sides"},
      {"cut=n1 to=n1,n2", "fault: 'n1' is on both sides"},
      {"n1,n2 power-cut for=1s", "this machine cannot"},
      {"n1,n2 reset", "this machine cannot"},
      {"n1,n2 freeze", "this machine cannot"},
      {"n1,n2 thaw", "this machine cannot"},
      {"n1,n2 slow=5ms", "this machine cannot"},
      {"n1,n2 clock-step=2s", "this machine cannot"}};
  for (const Old& old : olds) {
    Lab lab(1, true);
    lab.set(fmt::format("{} name=x", old.words));
    lab.deeds.refuses = "n2";
    const FaultState before = lab.board->in_force().at(0);
    BOOST_TEST(lab.talk() == old.heard);
    const std::string frames = lab.frames("x");
    for (const Impossible& one : impossibles) {
      BOOST_TEST_CONTEXT(one.words << " in place of " << old.words) {
        BOOST_TEST(lab.refusal(fmt::format("{} name=x", one.words)).starts_with(one.why));
        const auto after = lab.board->in_force();
        BOOST_REQUIRE(after.size() == 1u);
        BOOST_TEST(after[0].spec == before.spec);  // the same fault, not another one of the same words
        BOOST_TEST((after[0].began == before.began));
        BOOST_TEST(lab.frames("x") == frames);
        BOOST_TEST(fmt::format("{}", fmt::join(lab.board->in_the_way().at(1), ",")) == old.way);
      }
    }
    BOOST_TEST(lab.told.said == "+x ");
    BOOST_TEST(lab.talk() == old.heard);
    lab.run(std::chrono::seconds(1));
    BOOST_TEST(lab.told.said == "+x -x:time ");
    BOOST_TEST(lab.talk() == kAll);
  }
}

BOOST_AUTO_TEST_CASE(the_end_of_one_fault_does_not_end_what_another_does_to_the_machine) {
  Lab lab;
  lab.set("n1 freeze name=a");
  lab.set("n1,n2 freeze name=b");
  lab.set("n1 slow=10ms name=c");
  lab.set("n1 slow=20ms name=d");
  lab.deeds.said.clear();
  lab.board->clear("b").value();
  BOOST_TEST(lab.deeds.said == "thaw n2; ");
  lab.board->clear("d").value();
  BOOST_TEST(lab.deeds.said == "thaw n2; slow 10000000 n1; ");
  lab.board->clear("all").value();
  BOOST_TEST(lab.deeds.said == "thaw n2; slow 10000000 n1; thaw n1; slow 0 n1; ");
}

BOOST_AUTO_TEST_CASE(says_what_is_in_a_machines_way) {
  Lab lab;
  const auto of = [&](std::size_t machine) {
    const auto ways = lab.board->in_the_way();
    return ways.empty() ? "nothing in force" : fmt::format("{}", fmt::join(ways.at(machine), ", "));
  };
  BOOST_TEST(of(0) == "nothing in force");
  lab.set("n1 freeze");
  lab.set("n1,n2 down for=5ms");
  lab.set("n2 down name=again");
  lab.set("n2 loss=1%");
  lab.set("server blocking=1ms");
  BOOST_TEST(of(0) == "port blocked");
  BOOST_TEST(of(1) == "cable out, frozen");
  BOOST_TEST(of(2) == "cable out, loss");
  lab.run(milliseconds(6));
  BOOST_TEST(of(0) == "");  // it is in force, and blocks nothing now
  BOOST_TEST(of(1) == "frozen");
  BOOST_TEST(of(2) == "cable out, loss");
  lab.set("n1 thaw");
  lab.run(milliseconds(1));
  BOOST_TEST(of(1) == "");
}

BOOST_AUTO_TEST_CASE(names_what_there_is_not_and_changes_nothing) {
  Lab lab;
  lab.set("n1 loss=1%");
  BOOST_TEST(lab.refusal("n3 loss=100%") ==
             "fault: no machine or trunk 'n3' in this lab; did you mean 'n1'?");
  BOOST_TEST(lab.refusal("edge restart=1s") == "fault: no switch 'edge' in this lab");
  BOOST_TEST(lab.refusal("partition=n1/n*") == "fault: 'n1' is on both sides");
  BOOST_TEST(lab.refusal("n1 loss=50% match='udp prot 3'").starts_with("fault: match: 'prot' is neither"));
  BOOST_TEST(lab.frames("n1.loss") == "0/0");
  BOOST_TEST(lab.board->clear("n2").error().message.starts_with("no fault is called 'n2'"));
  BOOST_TEST(lab.board->clear("all").value() == 1U);
  BOOST_TEST(lab.board->clear("all").value() == 0U);
}

BOOST_AUTO_TEST_CASE(has_a_limit) {
  Lab lab;
  for (std::size_t i = 0; i < FaultBoard::kFaultsMost; ++i) lab.set(fmt::format("n1 loss=1% name=f{}", i));
  BOOST_TEST(lab.refusal("n1 loss=1%").find("no more can be") != std::string::npos);
  lab.set("n1 loss=2% name=f7");
}

BOOST_AUTO_TEST_SUITE_END()
