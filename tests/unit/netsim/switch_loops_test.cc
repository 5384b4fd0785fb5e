// What must not bring the process down: answers within a turn, cables in a ring, ports that go while frames
// pass.
#include "netsim/faults/fault_point.h"
#include "netsim/link.h"
#include "netsim/ports/in_process_port.h"
#include "netsim/switch.h"
#include "netsim_test.h"

namespace rookery::netsim {
namespace {

// Two switches, and any number of cables between them.
struct TwoSwitches {
  explicit TwoSwitches(const LinkRules& rules, int cables) {
    for (int i = 0; i < cables; ++i) {
      Link& there = *links.emplace_back(std::make_unique<Link>(loop, rules));
      Link& back = *links.emplace_back(std::make_unique<Link>(loop, rules));
      trunks.push_back(&a.attach("to b", there));
      trunks.push_back(&b.attach("to a", back));
      there.connect(*trunks[trunks.size() - 1]);
      back.connect(*trunks[trunks.size() - 2]);
    }
  }
  std::uint64_t dropped(SwitchDrop reason) const {
    std::uint64_t sum = 0;
    for (const SwitchPort* trunk : trunks) sum += trunk->counters().dropped(reason);
    return sum;
  }

  EventLoop loop{std::make_unique<VirtualPacer>()};
  Switch a{loop, {}};
  Switch b{loop, {}};
  std::vector<std::unique_ptr<Link>> links;
  std::vector<SwitchPort*> trunks;
};

BOOST_AUTO_TEST_CASE(one_cable_carries_frames_between_two_switches) {
  TwoSwitches lab({}, 1);
  Recorder one;
  Recorder two;
  SwitchPort& at_a = lab.a.attach("one", one);
  SwitchPort& at_b = lab.b.attach("two", two);
  at_a.send(make_frame(MacAddress::broadcast(), machine(1)));
  at_b.send(make_frame(machine(1), machine(2)));
  BOOST_TEST(two.frames.size() == 1U);
  BOOST_TEST(one.frames.size() == 1U);
  BOOST_TEST(lab.dropped(SwitchDrop::looped) == 0U);
}

BOOST_AUTO_TEST_CASE(two_cables_make_a_storm_that_ends_and_is_counted) {
  TwoSwitches lab({}, 2);
  Recorder victim;
  SwitchPort& port = lab.a.attach("victim", victim);
  port.send(make_frame(MacAddress::broadcast(), machine(1)));
  lab.loop.run();
  BOOST_TEST(lab.dropped(SwitchDrop::looped) > 0U);
  BOOST_TEST(victim.frames.size() <= Switch::kMostSwitches);
}

BOOST_AUTO_TEST_CASE(many_cables_make_a_storm_that_ends_too) {
  TwoSwitches lab({}, 20);
  Recorder victim;
  lab.a.attach("victim", victim).send(make_frame(MacAddress::broadcast(), machine(1)));
  lab.loop.run();
  BOOST_TEST(lab.dropped(SwitchDrop::looped) > 0U);
}

BOOST_AUTO_TEST_CASE(a_storm_over_links_with_a_rate_ends) {
  TwoSwitches lab({gigabits_per_second(1), std::chrono::microseconds(1)}, 2);
  Recorder victim;
  lab.a.attach("victim", victim).send(make_frame(MacAddress::broadcast(), machine(1)));
  lab.loop.run();
  BOOST_TEST(lab.dropped(SwitchDrop::looped) > 0U);
}

BOOST_AUTO_TEST_CASE(a_storm_whose_tags_change_on_the_way_ends_too) {
  TwoSwitches lab({}, 2);
  lab.a.set_vlans(*lab.trunks[0], VlanMembership::trunk({10}));
  lab.b.set_vlans(*lab.trunks[1], VlanMembership::trunk({10}));
  lab.a.set_vlans(*lab.trunks[2], VlanMembership::access(10));
  lab.b.set_vlans(*lab.trunks[3], VlanMembership::access(10));
  Recorder victim;
  SwitchPort& port = lab.a.attach("victim", victim);
  lab.a.set_vlans(port, VlanMembership::access(10));
  port.send(make_frame(MacAddress::broadcast(), machine(1)));
  lab.loop.run();
  BOOST_TEST(lab.dropped(SwitchDrop::looped) > 0U);
}

BOOST_AUTO_TEST_CASE(a_storm_of_frames_that_are_damaged_on_the_way_ends_too) {
  TwoSwitches lab({}, 2);
  std::vector<std::unique_ptr<FaultPoint>> faults;
  for (std::size_t i = 0; i < lab.links.size(); ++i) {
    FaultPoint& point =
        *faults.emplace_back(std::make_unique<FaultPoint>(lab.loop, FaultPoint::Side::trunk, 0));
    point.connect(*lab.trunks[i ^ 1U]);
    lab.links[i]->connect(point);
    point.set_rule("damage", {Corrupt{}, {}, nullptr}, Random(1, "damage"), {[](const Frame&) {}, [] {}});
  }
  Recorder victim;
  lab.a.attach("victim", victim).send(make_frame(MacAddress::broadcast(), machine(1)));
  lab.loop.run();
  BOOST_TEST(lab.dropped(SwitchDrop::looped) > 0U);
}

BOOST_AUTO_TEST_CASE(a_chain_of_a_hundred_switches_is_no_loop) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  std::vector<std::unique_ptr<Switch>> chain;
  std::vector<std::unique_ptr<Link>> links;
  for (int i = 0; i < 100; ++i) chain.push_back(std::make_unique<Switch>(loop, SwitchRules{}));
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    Link& there = *links.emplace_back(std::make_unique<Link>(loop, LinkRules{}));
    Link& back = *links.emplace_back(std::make_unique<Link>(loop, LinkRules{}));
    back.connect(chain[i]->attach("right", there));
    there.connect(chain[i + 1]->attach("left", back));
  }
  Recorder end;
  chain.back()->attach("end", end);
  Recorder start;
  chain.front()->attach("start", start).send(make_frame(MacAddress::broadcast(), machine(1)));
  BOOST_TEST(end.frames.size() == 1U);
  BOOST_TEST(start.frames.empty());
}

BOOST_AUTO_TEST_CASE(answers_within_a_turn_keep_their_order_and_do_not_recurse) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  Switch network(loop, {});
  int depth = 0;
  int deepest = 0;
  unsigned rounds = 0;
  std::vector<unsigned> order;
  InProcessPort one([&](const Frame&) {});
  InProcessPort two([&](const Frame& frame) {
    deepest = std::max(deepest, ++depth);
    order.push_back(static_cast<unsigned>(frame.size()));
    if (++rounds < 3000) {
      two.transmit(make_frame(machine(1), machine(2)));
      one.transmit(make_frame(machine(2), machine(1), 60 + rounds % 1000));
    }
    --depth;
  });
  one.connect(network.attach("one", one));
  two.connect(network.attach("two", two));
  one.transmit(make_frame(machine(2), machine(1)));
  loop.run();
  BOOST_TEST(rounds == 3000U);
  BOOST_TEST(deepest == 1);
  for (unsigned i = 0; i < order.size(); ++i) BOOST_REQUIRE(order[i] == 60 + i % 1000);
}

BOOST_AUTO_TEST_CASE(an_endless_conversation_leaves_the_loop_its_turn) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  Switch network(loop, {});
  bool stopped = false;
  InProcessPort one([&](const Frame&) {
    if (!stopped) one.transmit(make_frame(machine(2), machine(1)));
  });
  InProcessPort two([&](const Frame&) {
    if (!stopped) two.transmit(make_frame(machine(1), machine(2)));
  });
  one.connect(network.attach("one", one));
  two.connect(network.attach("two", two));
  one.transmit(make_frame(machine(2), machine(1)));  // comes back, though the two never stop by themselves
  BOOST_TEST(loop.events_queued() == 1U);
  loop.soon([&] { stopped = true; });
  loop.run();
  BOOST_TEST(stopped);
  BOOST_TEST(one.received() >= Switch::kFramesPerTurn / 2);
}

BOOST_AUTO_TEST_CASE(more_frames_than_may_wait_are_dropped_and_counted) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  Switch network(loop, {});
  Recorder sink;
  network.attach("sink", sink);
  SwitchPort* port = nullptr;
  InProcessPort burst([&](const Frame&) {
    for (std::size_t i = 0; i < Switch::kWaitingFrames + 10; ++i)
      port->send(make_frame(machine(9), machine(2)));
  });
  port = &network.attach("burst", burst);
  Recorder other;
  network.attach("other", other).send(make_frame(machine(2), machine(1)));
  loop.run();
  BOOST_TEST(port->counters().dropped(SwitchDrop::busy) == 10U);
  BOOST_TEST(sink.frames.size() == Switch::kWaitingFrames + 1);
}

BOOST_AUTO_TEST_CASE(ports_may_come_and_go_while_a_frame_is_flooded) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  Switch network(loop, {});
  Recorder first;
  Recorder last;
  std::vector<std::unique_ptr<Recorder>> newcomers;
  SwitchPort* sender = nullptr;
  SwitchPort* own = nullptr;
  SwitchPort* doomed = nullptr;
  InProcessPort changer([&](const Frame&) {
    own->send(make_frame(MacAddress::broadcast(), machine(7)));  // waits, and its port will be gone by then
    network.detach(*doomed);
    network.detach(*sender);
    network.detach(*own);
    for (int i = 0; i < 50; ++i) network.attach("new", *newcomers.emplace_back(std::make_unique<Recorder>()));
  });
  network.attach("first", first);
  own = &network.attach("changer", changer);
  Recorder gone;
  doomed = &network.attach("doomed", gone);
  sender = &network.attach("sender", last);
  sender->send(make_frame(MacAddress::broadcast(), machine(1)));
  loop.run();
  BOOST_TEST(first.frames.size() == 1U);
  BOOST_TEST(gone.frames.empty());
  BOOST_TEST(network.port_count() == 51U);
}

}  // namespace
}  // namespace rookery::netsim
