#include "netsim/link.h"

#include "netsim_test.h"

namespace rookery::netsim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

struct Wire {
  explicit Wire(const LinkRules& rules) : link(loop, rules, recorder) {}
  void send(std::size_t size, unsigned from = 1) { link.send(make_frame(machine(2), machine(from), size)); }
  unsigned sender(std::size_t i) const {
    return static_cast<unsigned>(recorder.frames[i].source().bits() & 0xffff);
  }

  EventLoop loop{std::make_unique<VirtualPacer>()};
  Recorder recorder{loop};
  Link link;
};

BOOST_AUTO_TEST_CASE(without_rules_is_a_straight_call) {
  Wire wire({});
  wire.send(60);
  BOOST_TEST(wire.recorder.frames.size() == 1U);
  BOOST_TEST(wire.loop.events_queued() == 0U);
  BOOST_TEST(wire.link.counters().frames == 1U);
  BOOST_TEST(wire.link.counters().bytes == 60U);
}

BOOST_AUTO_TEST_CASE(takes_the_time_of_frame_preamble_checksum_and_gap) {
  Wire wire({gigabits_per_second(1)});
  wire.send(1514);
  wire.loop.run();
  BOOST_TEST(wire.recorder.times.at(0) == at_ns((1514 + 24) * 8));
}

BOOST_AUTO_TEST_CASE(pads_a_short_frame_on_the_wire) {
  Wire wire({gigabits_per_second(1)});
  wire.send(14);
  wire.loop.run();
  BOOST_TEST(wire.recorder.times.at(0) ==
             at_ns(672));  // 84 octets, the well-known 1.488 million frames a second
  BOOST_TEST(wire.recorder.frames.at(0).size() == 14U);
}

BOOST_AUTO_TEST_CASE(adds_the_delay_of_the_way) {
  Wire wire({gigabits_per_second(1), microseconds(5)});
  wire.send(1514);
  wire.send(1514);
  wire.loop.run();
  BOOST_TEST(wire.recorder.times.at(0) == at_ns(12'304 + 5'000));
  BOOST_TEST(wire.recorder.times.at(1) == at_ns(2 * 12'304 + 5'000));
}

BOOST_AUTO_TEST_CASE(delays_without_a_rate) {
  Wire wire({std::nullopt, milliseconds(1)});
  wire.send(1514);
  wire.send(60);
  wire.loop.run();
  BOOST_TEST(wire.recorder.times.at(0) == at_ns(1'000'000));
  BOOST_TEST(wire.recorder.times.at(1) == at_ns(1'000'000));
}

BOOST_AUTO_TEST_CASE(loses_no_time_to_rounding_over_a_train_of_frames) {
  const BitRate rate{7'000'000};  // 672 bits take 96,000 ns exactly; 8 * 85 bits do not divide
  Wire wire({rate, Duration{0}, mebibytes(1)});
  for (int i = 0; i < 700; ++i) wire.send(61);
  wire.loop.run();
  BOOST_TEST(wire.recorder.times.at(699) == at_ns(700LL * 85 * 8 * 1'000'000'000 / 7'000'000));
  BOOST_TEST(wire.recorder.times.at(0) == at_ns(85LL * 8 * 1'000 / 7));
}

BOOST_AUTO_TEST_CASE(counts_a_super_frame_as_its_segments) {
  FrameBuilder builder(54 + 3 * 1448 + 10);
  std::fill(builder.bytes().begin(), builder.bytes().end(), std::uint8_t{2});
  builder.offload().segments = Offload::kSegmentsTcp4;
  builder.offload().header_length = 54;
  builder.offload().segment_size = 1448;
  const Frame frame = std::move(builder).freeze();
  BOOST_TEST(wire_octets(frame) == 3 * (54 + 1448 + 24) + (54 + 10 + 24));
}

BOOST_AUTO_TEST_CASE(bears_a_super_frame_whose_sender_talks_nonsense) {
  for (std::uint16_t header : {0, 5, 99, 100, 65'535}) {
    for (std::uint16_t segment : {0, 1, 65'535}) {
      FrameBuilder builder(100);
      std::fill(builder.bytes().begin(), builder.bytes().end(), std::uint8_t{2});
      builder.offload().segments = Offload::kSegmentsTcp4;
      builder.offload().header_length = header;
      builder.offload().segment_size = segment;
      const std::uint64_t octets = wire_octets(std::move(builder).freeze());
      BOOST_TEST(octets >= 124U);
      BOOST_TEST(octets <= 86U * (100 + 24));
    }
  }
}

BOOST_AUTO_TEST_CASE(drops_at_the_tail_of_a_full_queue_and_counts) {
  // The first is being sent and does not count; two of 1,000 bytes wait; the fourth finds no room.
  Wire wire({megabits_per_second(1), Duration{0}, Bytes{2000}});
  for (unsigned n = 1; n <= 4; ++n) wire.send(1000, n);
  wire.loop.run();
  BOOST_TEST(wire.recorder.frames.size() == 3U);
  BOOST_TEST(wire.link.counters().queue_full == 1U);
  BOOST_TEST(wire.sender(2) == 3U);
}

BOOST_AUTO_TEST_CASE(a_queue_of_nothing_carries_one_frame_at_a_time) {
  Wire wire({megabits_per_second(1), milliseconds(50), Bytes{0}});
  wire.send(1000, 1);
  wire.send(1000, 2);
  wire.loop.at(at_ns(1024 * 8 * 1000),
               [&] { wire.send(1000, 3); });  // the wire is free, frame 1 still on its way
  wire.loop.run();
  BOOST_TEST(wire.recorder.frames.size() == 2U);
  BOOST_TEST(wire.sender(1) == 3U);
  BOOST_TEST(wire.link.counters().queue_full == 1U);
}

BOOST_AUTO_TEST_CASE(has_room_again_when_frames_have_left_the_queue_though_not_arrived) {
  Wire wire({megabits_per_second(1), std::chrono::seconds(1), Bytes{1000}});
  wire.send(1000, 1);
  wire.send(1000, 2);
  wire.loop.at(at_ns(1024 * 8 * 1000), [&] {
    wire.send(1000, 3);  // frame 2 is being sent now
    wire.send(1000, 4);
  });
  wire.loop.run();
  BOOST_TEST(wire.recorder.frames.size() == 3U);
  BOOST_TEST(wire.link.counters().queue_full == 1U);
}

BOOST_AUTO_TEST_CASE(bounds_the_frames_under_way) {
  Wire wire({std::nullopt, std::chrono::seconds(1)});
  const Frame frame = make_frame(machine(2), machine(1), 60);
  for (std::size_t i = 0; i < Link::kInFlightFrames + 3; ++i) wire.link.send(frame);
  BOOST_TEST(wire.link.counters().in_flight_full == 3U);
  wire.loop.run();
  BOOST_TEST(wire.recorder.frames.size() == Link::kInFlightFrames);
  wire.link.send(frame);
  BOOST_TEST(wire.link.counters().in_flight_full == 3U);
}

BOOST_AUTO_TEST_CASE(bounds_the_bytes_under_way) {
  Wire wire({std::nullopt, std::chrono::seconds(1)});
  const Frame frame = make_frame(machine(2), machine(1), 65'536);
  for (std::size_t i = 0; i < 1025; ++i) wire.link.send(frame);
  BOOST_TEST(wire.link.counters().in_flight_full == 1U);
  wire.loop.run();
  BOOST_TEST(wire.recorder.frames.size() == 1024U);
}

BOOST_AUTO_TEST_CASE(carries_nothing_at_a_rate_of_zero) {
  Wire wire({BitRate{0}});
  wire.send(60);
  wire.loop.run();
  BOOST_TEST(wire.recorder.frames.empty());
  BOOST_TEST(wire.link.counters().queue_full == 1U);
}

BOOST_AUTO_TEST_CASE(takes_no_frame_whose_turn_would_come_after_a_year) {
  Wire wire({BitRate{1}, Duration{0}, mebibytes(1)});
  for (int i = 0; i < 100; ++i) wire.send(60'000);  // 480,192 s each
  BOOST_TEST(wire.link.counters().queue_full > 0U);
  wire.loop.run();
  BOOST_TEST(wire.recorder.frames.size() + wire.link.counters().queue_full == 100U);
}

BOOST_AUTO_TEST_CASE(has_one_event_for_all_its_frames) {
  Wire wire({gigabits_per_second(1), milliseconds(1)});
  for (int i = 0; i < 50; ++i) wire.send(1000);
  BOOST_TEST(wire.loop.events_queued() == 1U);
  BOOST_TEST(wire.link.frames_under_way() == 50U);
  wire.loop.run();
  BOOST_TEST(wire.recorder.frames.size() == 50U);
  BOOST_TEST(wire.loop.events_queued() == 0U);
}

BOOST_AUTO_TEST_CASE(never_reorders_though_its_rules_change_under_way) {
  Wire wire({megabits_per_second(1), milliseconds(10), mebibytes(1)});
  for (unsigned n = 1; n <= 5; ++n) wire.send(1000, n);
  wire.loop.at(at_ns(1'000'000), [&] {
    wire.link.set_rules({});
    for (unsigned n = 6; n <= 8; ++n) wire.send(60, n);
  });
  wire.loop.at(at_ns(2'000'000), [&] {
    wire.link.set_rules({gigabits_per_second(10)});
    for (unsigned n = 9; n <= 12; ++n) wire.send(60, n);
  });
  wire.loop.run();
  BOOST_REQUIRE(wire.recorder.frames.size() == 12U);
  for (unsigned n = 1; n <= 12; ++n) BOOST_TEST(wire.sender(n - 1) == n);
  wire.link.set_rules({});
  wire.send(60, 13);
  BOOST_TEST(wire.recorder.frames.size() == 13U);
}

BOOST_AUTO_TEST_CASE(loses_what_is_under_way_when_cleared_and_then_works_on) {
  Wire wire({megabits_per_second(1), milliseconds(1)});
  for (unsigned n = 1; n <= 3; ++n) wire.send(1000, n);
  BOOST_TEST(wire.link.clear() == 3U);
  BOOST_TEST(wire.loop.events_queued() == 0U);
  wire.send(60, 4);
  wire.loop.run();
  BOOST_REQUIRE(wire.recorder.frames.size() == 1U);
  BOOST_TEST(wire.recorder.times[0] == at_ns(672'000 + 1'000'000));
}

BOOST_AUTO_TEST_CASE(leaves_no_event_behind) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  {
    Link link(loop, {gigabits_per_second(1)});
    link.send(make_frame(machine(2), machine(1)));
    BOOST_TEST(loop.events_queued() == 1U);
  }
  BOOST_TEST(loop.events_queued() == 0U);
}

BOOST_AUTO_TEST_CASE(delivers_answers_to_answers_one_event_at_a_time) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  Link link(loop, {BitRate{~std::uint64_t{0}}});  // so fast that a frame takes no whole nanosecond
  struct Mirror final : Port {
    void send(Frame frame) override {
      if (++frames < 10'000) back->send(std::move(frame));
    }
    int frames = 0;
    Port* back = nullptr;
  } mirror;
  mirror.back = &link;
  link.connect(mirror);
  link.send(make_frame(machine(2), machine(1)));
  loop.run();
  BOOST_TEST(mirror.frames == 10'000);
}

}  // namespace
}  // namespace rookery::netsim
