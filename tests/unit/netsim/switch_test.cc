#include "netsim/switch.h"

#include "netsim/link.h"
#include "netsim/ports/in_process_port.h"
#include "netsim_test.h"

namespace rookery::netsim {
namespace {

struct Lab {
  explicit Lab(std::size_t ports) : devices(ports) {
    for (std::size_t i = 0; i < ports; ++i) {
      at.push_back(&network.attach("p" + std::to_string(i), devices[i]));
    }
  }
  void send(std::size_t port, MacAddress to, MacAddress from, std::size_t size = 60) {
    at[port]->send(make_frame(to, from, size));
  }
  std::vector<std::size_t> received() const {
    std::vector<std::size_t> counts;
    for (const Recorder& device : devices) counts.push_back(device.frames.size());
    return counts;
  }
  std::uint64_t dropped(std::size_t port, SwitchDrop reason) const {
    return at[port]->counters().dropped(reason);
  }

  EventLoop loop{std::make_unique<VirtualPacer>()};
  Switch network{loop, {}};
  std::vector<Recorder> devices;
  std::vector<SwitchPort*> at;
};

using Counts = std::vector<std::size_t>;

BOOST_AUTO_TEST_CASE(floods_what_it_does_not_know_but_not_back) {
  Lab lab(4);
  lab.send(1, machine(9), machine(1));
  BOOST_TEST((lab.received() == Counts{1, 0, 1, 1}));
  BOOST_TEST(lab.at[1]->counters().flooded == 1U);
}

BOOST_AUTO_TEST_CASE(floods_broadcast_and_groups) {
  Lab lab(3);
  lab.send(0, MacAddress::broadcast(), machine(1));
  lab.send(0, *MacAddress::parse("33:33:00:00:00:01"), machine(1));
  BOOST_TEST((lab.received() == Counts{0, 2, 2}));
}

BOOST_AUTO_TEST_CASE(sends_only_to_where_it_saw_the_address) {
  Lab lab(4);
  lab.send(2, MacAddress::broadcast(), machine(2));
  lab.send(0, machine(2), machine(1));
  BOOST_TEST((lab.received() == Counts{1, 1, 1, 1}));
  BOOST_TEST(lab.devices[2].frames[0].source() == machine(1));
  lab.send(2, machine(1), machine(2));
  BOOST_TEST((lab.received() == Counts{2, 1, 1, 1}));
}

BOOST_AUTO_TEST_CASE(passes_frames_on_unchanged) {
  Lab lab(2);
  const Frame frame = make_frame(machine(2), machine(1), 777);
  const ByteBuffer before = copy_of(frame);
  lab.at[0]->send(frame);
  BOOST_TEST(copy_of(lab.devices[1].frames.at(0)) == before);
}

BOOST_AUTO_TEST_CASE(does_not_send_back_where_the_destination_is_known_to_be) {
  Lab lab(2);
  lab.send(0, MacAddress::broadcast(), machine(1));
  lab.send(0, machine(1), machine(5));
  BOOST_TEST((lab.received() == Counts{0, 1}));
  BOOST_TEST(lab.dropped(0, SwitchDrop::same_port) == 1U);
}

BOOST_AUTO_TEST_CASE(follows_a_machine_that_moves) {
  Lab lab(3);
  lab.send(1, MacAddress::broadcast(), machine(1));
  lab.send(2, MacAddress::broadcast(), machine(1));
  lab.send(0, machine(1), machine(5));
  BOOST_TEST(lab.devices[2].frames.back().source() == machine(5));
  BOOST_TEST(lab.network.table().counters().moved == 1U);
}

BOOST_AUTO_TEST_CASE(floods_again_after_300_seconds_of_silence) {
  Lab lab(3);
  lab.send(1, MacAddress::broadcast(), machine(1));
  lab.loop.after(std::chrono::seconds(301), [&] { lab.send(0, machine(1), machine(5)); });
  lab.loop.run();
  BOOST_TEST((lab.received() == Counts{1, 1, 2}));
}

BOOST_AUTO_TEST_CASE(forwards_no_reserved_address) {
  Lab lab(2);
  for (unsigned last = 0; last < 16; ++last) {
    lab.send(0, MacAddress::from_bits(0x0180c2000000 + last), machine(1));
  }
  BOOST_TEST((lab.received() == Counts{0, 0}));
  BOOST_TEST(lab.dropped(0, SwitchDrop::reserved) == 16U);
  lab.send(0, MacAddress::from_bits(0x0180c2000010), machine(1));
  BOOST_TEST((lab.received() == Counts{0, 1}));
}

BOOST_AUTO_TEST_CASE(drops_frames_from_a_group_or_zero_and_learns_nothing) {
  Lab lab(2);
  lab.send(0, machine(2), MacAddress::broadcast());
  lab.send(0, machine(2), *MacAddress::parse("01:00:5e:00:00:01"));
  lab.send(0, machine(2), MacAddress());
  BOOST_TEST((lab.received() == Counts{0, 0}));
  BOOST_TEST(lab.dropped(0, SwitchDrop::bad_source) == 3U);
  BOOST_TEST(lab.network.table().size() == 0U);
}

BOOST_AUTO_TEST_CASE(neither_takes_from_nor_gives_to_a_port_that_is_down) {
  Lab lab(3);
  lab.network.set_link(*lab.at[1], false);
  lab.send(0, MacAddress::broadcast(), machine(1));
  lab.send(1, MacAddress::broadcast(), machine(2));
  BOOST_TEST((lab.received() == Counts{0, 0, 1}));
  BOOST_TEST(lab.dropped(1, SwitchDrop::port_down) == 1U);
  lab.network.set_link(*lab.at[1], true);
  lab.send(0, MacAddress::broadcast(), machine(1));
  BOOST_TEST((lab.received() == Counts{0, 1, 2}));
}

BOOST_AUTO_TEST_CASE(looks_for_a_machine_elsewhere_when_its_port_went_down) {
  Lab lab(3);
  lab.send(1, MacAddress::broadcast(), machine(1));
  lab.network.set_link(*lab.at[1], false);
  lab.send(0, machine(1), machine(5));
  BOOST_TEST((lab.received() == Counts{1, 0, 2}));
}

BOOST_AUTO_TEST_CASE(forgets_a_detached_port_and_gives_its_number_out_again) {
  Lab lab(3);
  lab.send(1, MacAddress::broadcast(), machine(1));
  lab.network.detach(*lab.at[1]);
  BOOST_TEST(lab.network.port_count() == 2U);
  lab.send(0, machine(1), machine(5));
  BOOST_TEST((lab.received() == Counts{1, 0, 2}));
  Recorder newcomer;
  SwitchPort& port = lab.network.attach("newcomer", newcomer);
  BOOST_TEST(port.number() == 1U);
  lab.send(0, machine(1), machine(5));
  BOOST_TEST(newcomer.frames.size() == 1U);
  BOOST_TEST(lab.network.ports().at(1)->name() == "newcomer");
}

BOOST_AUTO_TEST_CASE(counts_frames_and_bytes_per_port) {
  Lab lab(2);
  lab.send(0, machine(2), machine(1), 100);
  lab.send(0, MacAddress::from_bits(0x0180c2000000), machine(1), 60);
  BOOST_TEST(lab.at[0]->counters().frames_in == 2U);
  BOOST_TEST(lab.at[0]->counters().bytes_in == 160U);
  BOOST_TEST(lab.at[0]->counters().dropped() == 1U);
  BOOST_TEST(lab.at[1]->counters().frames_out == 1U);
  BOOST_TEST(lab.at[1]->counters().bytes_out == 100U);
}

BOOST_AUTO_TEST_CASE(neither_takes_from_nor_gives_to_nor_learns_at_a_port_that_is_blocked) {
  Lab lab(3);
  lab.send(1, MacAddress::broadcast(), machine(2));
  lab.network.set_blocked(*lab.at[1], true);
  lab.send(1, MacAddress::broadcast(), machine(3));
  lab.send(0, machine(2), machine(1));  // forgotten: flooded, but not there
  lab.send(0, machine(3), machine(1));
  BOOST_TEST((lab.received() == Counts{1, 0, 3}));
  BOOST_TEST(lab.dropped(1, SwitchDrop::port_blocked) == 1U);
  lab.network.set_blocked(*lab.at[1], false);
  lab.send(0, MacAddress::broadcast(), machine(1));
  BOOST_TEST((lab.received() == Counts{1, 1, 4}));
}

BOOST_AUTO_TEST_CASE(floods_to_all_again_when_it_has_forgotten_where_they_are) {
  for (const bool restarted : {false, true}) {
    Lab lab(3);
    lab.send(1, MacAddress::broadcast(), machine(2));
    if (restarted) {
      lab.network.forget_everything();
    } else {
      lab.network.forget_places();
    }
    lab.send(0, machine(2), machine(1));
    BOOST_TEST((lab.received() == Counts{1, 1, 2}));
  }
}

BOOST_AUTO_TEST_CASE(every_reason_has_a_name) {
  for (std::size_t i = 0; i < kSwitchDrops; ++i) {
    BOOST_TEST(!name(static_cast<SwitchDrop>(i)).empty());
    BOOST_TEST(name(static_cast<SwitchDrop>(i)) != "unknown");
  }
}

BOOST_AUTO_TEST_CASE(learns_no_more_than_its_table_holds_and_floods_the_rest) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  Switch network(loop, {.table = {.entries = 2}});
  std::vector<Recorder> devices(3);
  std::vector<SwitchPort*> at;
  for (Recorder& device : devices) at.push_back(&network.attach("p", device));
  for (unsigned n = 1; n <= 3; ++n) at[0]->send(make_frame(MacAddress::broadcast(), machine(n)));
  at[1]->send(make_frame(machine(3), machine(1)));  // not learnt: flooded
  BOOST_TEST(devices[2].frames.size() == 4U);
  BOOST_TEST(network.table().counters().refused == 1U);
}

BOOST_AUTO_TEST_CASE(carries_a_conversation_over_links_with_a_rate) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  Switch network(loop, {});
  const LinkRules rules{gigabits_per_second(1), std::chrono::microseconds(1)};
  std::vector<Time> arrivals;
  struct Host {
    Host(EventLoop& on, const LinkRules& rule, Switch& to, InProcessPort::Receiver receiver)
        : port(std::move(receiver)), down(on, rule, port), up(on, rule, to.attach("host", down)) {
      port.connect(up);
    }
    InProcessPort port;
    Link down;
    Link up;
  };
  std::unique_ptr<Host> two;
  Host one(loop, rules, network, [&](const Frame&) { arrivals.push_back(loop.now()); });
  two = std::make_unique<Host>(loop, rules, network, [&](const Frame& frame) {
    two->port.transmit(make_frame(frame.source(), machine(2)));
  });
  one.port.transmit(make_frame(machine(2), machine(1)));
  loop.run();
  BOOST_REQUIRE(arrivals.size() == 1U);
  BOOST_TEST(arrivals[0] == at_ns(4 * (672 + 1000)));
}

}  // namespace
}  // namespace rookery::netsim
