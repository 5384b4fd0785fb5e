#include "netsim/ethertype_filter.h"
#include "netsim/port.h"
#include "netsim/ports/in_process_port.h"
#include "netsim/ring.h"
#include "netsim/tap.h"
#include "netsim_test.h"

namespace rookery::netsim {
namespace {

BOOST_AUTO_TEST_CASE(a_null_port_counts_what_it_swallows) {
  NullPort port;
  port.send(make_frame(machine(2), machine(1), 60));
  port.send(make_frame(machine(2), machine(1), 100));
  BOOST_TEST(port.frames() == 2U);
  BOOST_TEST(port.bytes() == 160U);
}

BOOST_AUTO_TEST_CASE(a_wrapper_counts_what_comes_before_it_is_connected) {
  WatchTap tap(1, Direction::inbound);
  tap.send(make_frame(machine(2), machine(1)));
  BOOST_TEST(tap.frames_to_nowhere() == 1U);
  Recorder recorder;
  tap.connect(recorder);
  tap.send(make_frame(machine(2), machine(1)));
  BOOST_TEST(recorder.frames.size() == 1U);
  tap.disconnect();
  tap.send(make_frame(machine(2), machine(1)));
  BOOST_TEST(tap.frames_to_nowhere() == 2U);
}

BOOST_AUTO_TEST_CASE(a_tap_shows_frames_to_its_watcher_and_passes_them_on) {
  struct Watcher final : FrameWatcher {
    void seen(std::uint32_t tag, Direction direction, const Frame& frame) override {
      ++frames;
      BOOST_TEST(tag == 7U);
      BOOST_TEST((direction == Direction::outbound));
      BOOST_TEST(frame.source() == machine(1));
    }
    int frames = 0;
  } watcher;
  Recorder recorder;
  WatchTap tap(7, Direction::outbound);
  tap.connect(recorder);
  tap.watch(watcher);
  tap.send(make_frame(machine(2), machine(1)));
  tap.unwatch();
  tap.send(make_frame(machine(2), machine(1)));
  BOOST_TEST(watcher.frames == 1);
  BOOST_TEST(recorder.frames.size() == 2U);
}

BOOST_AUTO_TEST_CASE(an_in_process_port_speaks_both_ways) {
  std::vector<Frame> received;
  InProcessPort port([&](const Frame& frame) { received.push_back(frame); });
  port.transmit(make_frame(machine(2), machine(1)));  // into nothing
  Recorder network;
  port.connect(network);
  port.transmit(make_frame(machine(2), machine(1)));
  port.send(make_frame(machine(1), machine(2)));
  BOOST_TEST(network.frames.size() == 1U);
  BOOST_REQUIRE(received.size() == 1U);
  BOOST_TEST(received[0].destination() == machine(1));
  BOOST_TEST(port.transmitted() == 2U);
  BOOST_TEST(port.received() == 1U);
}

BOOST_AUTO_TEST_CASE(a_filter_lets_one_ethertype_through_and_counts_the_others) {
  Recorder next;
  EthertypeFilter filter(0x88b5, next);
  filter.send(make_frame(machine(2), machine(1), 60, 0x88b5));
  filter.send(make_frame(machine(2), machine(1), 60, 0x0800));
  filter.send(make_frame(machine(2), machine(1), 60, 0x88b5).tagged(VlanTag{1}));
  BOOST_TEST(next.frames.size() == 1U);
  BOOST_TEST(filter.refused() == 2U);
}

BOOST_AUTO_TEST_CASE(a_ring_keeps_order_over_growth_and_wrap) {
  Ring<int> ring;
  int in = 0;
  int out = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 7; ++i) ring.push(in++);
    for (int i = 0; i < 5; ++i) BOOST_REQUIRE(ring.pop() == out++);
    BOOST_REQUIRE(ring.size() == static_cast<std::size_t>(in - out));
    BOOST_REQUIRE(ring[ring.size() - 1] == in - 1);
  }
  ring.clear();
  BOOST_TEST(ring.empty());
}

}  // namespace
}  // namespace rookery::netsim
