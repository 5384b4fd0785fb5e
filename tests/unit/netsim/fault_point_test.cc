// Each fault against its statistics, in virtual time: what is lost, changed or late is what its own seeded
// stream says, whatever else is set.
#include "netsim/faults/fault_point.h"

#include <algorithm>
#include <set>

#include "netsim/segment.h"
#include "packets.h"

namespace rookery::netsim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::uint64_t kSeed = 42;

struct Cable {
  explicit Cable(FaultPoint::Side side = FaultPoint::Side::sends) : point(loop, side, 7) {
    point.connect(recorder);
  }
  void set(const std::string& name, FrameEffect effect, FrameLimits limits = {},
           std::string_view match = {}) {
    FrameRule rule{effect, limits, nullptr};
    if (!match.empty()) {
      auto filter = FrameFilter::compile(match);
      BOOST_REQUIRE(filter);
      rule.filter = *filter;
    }
    point.set_rule(name, std::move(rule), Random(kSeed, name),
                   {[this, name](const Frame&) { ++hits[name]; }, [this, name] { ++spent[name]; }});
  }
  // Frames of machines 1, 2, …, a millisecond apart.
  void send(unsigned frames, Duration apart = milliseconds(1)) {
    for (unsigned i = 0; i < frames; ++i) {
      const unsigned number = ++sent;
      loop.after(apart * i, [this, number] { point.send(make_frame(machine(9999), machine(number))); });
    }
    loop.run();
  }
  std::vector<unsigned> received() const {
    std::vector<unsigned> numbers;
    for (const Frame& frame : recorder.frames) numbers.push_back(frame.source().bits() & 0xffff);
    return numbers;
  }
  std::set<unsigned> lost() const {
    std::set<unsigned> numbers;
    for (unsigned i = 1; i <= sent; ++i) numbers.insert(i);
    for (const unsigned number : received()) numbers.erase(number);
    return numbers;
  }

  EventLoop loop{std::make_unique<VirtualPacer>()};
  Recorder recorder{loop};
  FaultPoint point;
  unsigned sent = 0;
  std::map<std::string, unsigned> hits, spent;
};

BOOST_AUTO_TEST_SUITE(fault_point_suite)

BOOST_AUTO_TEST_CASE(is_a_straight_call_without_faults_and_says_where_a_frame_came_from) {
  Cable cable;
  const Frame frame = make_frame(machine(1), machine(2));
  cable.point.send(frame);
  BOOST_TEST(cable.recorder.frames.size() == 1U);
  BOOST_TEST(cable.loop.events_queued() == 0U);
  BOOST_TEST(cable.recorder.frames[0].origin() == 7U);
}

BOOST_AUTO_TEST_CASE(loses_exactly_what_its_stream_says) {
  Cable cable;
  cable.set("loss", Loss{}, {.chance = 0.1});
  cable.send(10'000);
  std::set<unsigned> expected;
  Random stream(kSeed, "loss");
  for (unsigned i = 1; i <= 10'000; ++i) {
    if (stream.chance(0.1)) expected.insert(i);
  }
  BOOST_TEST((cable.lost() == expected));
  BOOST_TEST(expected.size() > 900U);
  BOOST_TEST(expected.size() < 1100U);
  BOOST_TEST(cable.hits["loss"] == expected.size());
  BOOST_TEST(cable.point.counters("loss").seen == 10'000U);
  BOOST_TEST(cable.point.counters("loss").hit == expected.size());
}

BOOST_AUTO_TEST_CASE(loses_in_bursts_of_the_length_that_was_asked_for) {
  Cable cable;
  cable.set("burst", BurstLoss{.begin = 0.01, .end = 0.2});
  cable.send(50'000);
  const std::set<unsigned> lost = cable.lost();
  unsigned bursts = 0;
  for (const unsigned number : lost) bursts += lost.contains(number - 1) ? 0 : 1;
  // In the long run p/(p+r) = 4.8 % are lost, in bursts of 1/r = 5 on average.
  BOOST_TEST(static_cast<double>(lost.size()) / 50'000 == 0.0476, boost::test_tools::tolerance(0.15));
  BOOST_TEST(static_cast<double>(lost.size()) / bursts == 5.0, boost::test_tools::tolerance(0.15));
}

BOOST_AUTO_TEST_CASE(decides_the_same_whatever_else_is_set_meanwhile) {
  Cable alone;
  alone.set("loss", Loss{}, {.chance = 0.1});
  alone.send(2'000);

  Cable together;
  together.set("loss", Loss{}, {.chance = 0.1});
  together.set("a", Loss{}, {.chance = 0.3});  // looks at each frame before it
  together.send(1'000);
  const std::set<unsigned> by_both = together.lost();
  together.point.clear_rule("a");
  together.set("z", Duplicate{}, {.chance = 0.5});
  together.set("b", Jitter{milliseconds(2)});
  together.send(1'000);
  const std::set<unsigned> lost = alone.lost(), lost_together = together.lost();
  BOOST_TEST(std::includes(by_both.begin(), by_both.end(), lost.begin(), lost.lower_bound(1'001)));
  BOOST_TEST(
      std::equal(lost.lower_bound(1'001), lost.end(), lost_together.lower_bound(1'001), lost_together.end()));
  BOOST_TEST(together.hits["loss"] == alone.hits["loss"]);
}

BOOST_AUTO_TEST_CASE(strikes_the_third_that_matches_and_says_that_it_is_done) {
  Cable cable;
  cable.set("third", Loss{}, {.skip = 2, .count = 1}, "udp port 69");
  const Frame other = make_frame(machine(1), machine(2));
  const Frame tftp = Frame::copy(udp_frame(kClient, 2070, kServer, 69, tftp_read("x")));
  for (int i = 0; i < 5; ++i) {
    cable.point.send(other);
    cable.point.send(tftp);
    BOOST_TEST(cable.spent["third"] == (i >= 2 ? 1U : 0U));
  }
  BOOST_TEST(cable.recorder.frames.size() == 9U);
  BOOST_TEST(cable.point.counters("third").seen == 5U);
  BOOST_TEST(cable.point.counters("third").hit == 1U);
}

BOOST_AUTO_TEST_CASE(delays_and_keeps_the_order) {
  Cable cable;
  cable.set("delay", Delay{milliseconds(20)});
  cable.send(3);
  BOOST_TEST((cable.received() == std::vector<unsigned>{1, 2, 3}));
  BOOST_TEST(cable.recorder.times[0] == at_ns(20'000'000));
  BOOST_TEST(cable.recorder.times[2] == at_ns(22'000'000));
}

BOOST_AUTO_TEST_CASE(jitters_around_its_mean_by_each_distribution_and_keeps_the_order) {
  for (const Distribution distribution :
       {Distribution::uniform, Distribution::normal, Distribution::pareto}) {
    Cable cable;
    cable.set("jitter", Jitter{microseconds(100), distribution});
    cable.send(20'000, milliseconds(20));  // so far apart that none waits for another
    double sum = 0;
    for (std::size_t i = 0; i < cable.recorder.times.size(); ++i) {
      sum += static_cast<double>((cable.recorder.times[i] - Time{}).count() -
                                 20'000'000 * static_cast<double>(i));
    }
    BOOST_TEST(sum / 20'000 == 100'000.0, boost::test_tools::tolerance(0.05));
  }
  Cable dense;
  dense.set("jitter", Jitter{milliseconds(1), Distribution::pareto});
  dense.send(2'000, microseconds(10));
  const auto order = dense.received();
  BOOST_TEST(order.size() == 2'000U);
  BOOST_TEST(std::is_sorted(order.begin(), order.end()));
}

BOOST_AUTO_TEST_CASE(lets_others_overtake_what_it_reorders) {
  Cable cable;
  cable.set("reorder", Reorder{milliseconds(5)}, {.skip = 1, .count = 1});
  cable.send(10);
  BOOST_TEST((cable.received() == std::vector<unsigned>{1, 3, 4, 5, 6, 2, 7, 8, 9, 10}));
}

BOOST_AUTO_TEST_CASE(doubles_some) {
  Cable cable;
  cable.set("duplicate", Duplicate{}, {.chance = 0.25});
  cable.send(4'000);
  BOOST_TEST(cable.recorder.frames.size() == 4'000 + cable.hits["duplicate"]);
  BOOST_TEST(cable.hits["duplicate"] / 4'000.0 == 0.25, boost::test_tools::tolerance(0.1));
}

BOOST_AUTO_TEST_CASE(passes_what_a_slower_cable_would_and_drops_what_its_queue_has_no_room_for) {
  Cable cable;
  cable.set("rate", RateLimit{megabits_per_second(1), Bytes{1'000}});
  for (int i = 0; i < 20; ++i) cable.point.send(make_frame(machine(1), machine(2), 101));  // 125 octets: 1 ms
  cable.loop.run();
  BOOST_TEST(cable.recorder.frames.size() == 8U);  // one under way, and 1,000 bytes that wait
  BOOST_TEST(cable.recorder.times[0] == at_ns(1'000'000));
  BOOST_TEST(cable.recorder.times[7] == at_ns(8'000'000));
}

BOOST_AUTO_TEST_CASE(turns_one_bit_over_and_leaves_the_checksum_wrong_or_makes_it_right) {
  const Frame whole = Frame::copy(tcp_frame(kClient, 40'000, kServer, 80, kAck, std::string(400, 'x')));
  ByteBuffer right(whole.bytes().begin(), whole.bytes().end());
  refresh_checksums(right);
  for (const bool valid : {false, true}) {
    Cable cable;
    cable.set("corrupt", Corrupt{valid});
    cable.point.send(Frame::copy(right));
    const Frame& got = cable.recorder.frames.at(0);
    BOOST_REQUIRE(got.size() == right.size());
    BOOST_TEST((got.bytes()[0] == right[0]));
    unsigned bits = 0;
    for (std::size_t i = valid ? payload_offset(right) : 14; i < right.size(); ++i) {
      bits += static_cast<unsigned>(__builtin_popcount(got.bytes()[i] ^ right[i]));
    }
    BOOST_TEST(bits == 1U);
    ByteBuffer again = copy_of(got);
    refresh_checksums(again);
    BOOST_TEST((again == copy_of(got)) == valid);
  }
}

BOOST_AUTO_TEST_CASE(cuts_a_super_frame_only_while_a_rule_is_set) {
  const ByteBuffer bytes = tcp_frame(kClient, 40'000, kServer, 80, kAck, std::string(3'000, 'x'));
  const auto super_frame = [&] {
    FrameBuilder builder(bytes.size());
    std::copy(bytes.begin(), bytes.end(), builder.bytes().begin());
    builder.offload() = {Offload::kNeedsChecksum, Offload::kSegmentsTcp4, 54, 1'000, 34, 16};
    return std::move(builder).freeze();
  };
  Cable cable;
  cable.point.send(super_frame());
  BOOST_TEST(cable.recorder.frames.size() == 1U);
  cable.set("second", Loss{}, {.skip = 1, .count = 1});
  cable.point.send(super_frame());
  BOOST_TEST(cable.recorder.frames.size() == 3U);
  BOOST_TEST(cable.recorder.frames[1].origin() == 7U);
  cable.point.clear_rule("second");
  cable.point.send(super_frame());
  BOOST_TEST(cable.recorder.frames.size() == 4U);
}

BOOST_AUTO_TEST_CASE(keeps_what_is_held_for_its_time_when_cleared_and_loses_it_when_pulled) {
  Cable cable;
  cable.set("delay", Delay{milliseconds(20)});
  cable.point.send(make_frame(machine(1), machine(1)));
  cable.point.clear_rule("delay");
  cable.point.send(make_frame(machine(1), machine(2)));
  cable.loop.run();
  BOOST_TEST((cable.received() == std::vector<unsigned>{2, 1}));

  cable.set("delay", Delay{milliseconds(20)});
  cable.point.send(make_frame(machine(1), machine(3)));
  cable.point.set_down(true);
  BOOST_TEST(cable.point.frames_held() == 0U);
  cable.point.send(make_frame(machine(1), machine(4)));
  cable.point.set_down(false);
  cable.loop.run();
  BOOST_TEST(cable.recorder.frames.size() == 2U);
}

BOOST_AUTO_TEST_CASE(holds_no_more_than_its_limit) {
  Cable cable;
  cable.set("delay", Delay{milliseconds(20)});
  const Frame frame = make_frame(machine(1), machine(2));
  for (std::size_t i = 0; i < FaultPoint::kHeldFrames + 10; ++i) cable.point.send(frame);
  BOOST_TEST(cable.point.overflowed() == 10U);
  cable.loop.run();
  BOOST_TEST(cable.recorder.frames.size() == FaultPoint::kHeldFrames);
}

BOOST_AUTO_TEST_CASE(refuses_at_the_way_out_what_another_group_said) {
  Separation separation;
  std::vector<std::uint16_t> refused_at;
  const auto note = [&](std::uint16_t station, const Frame&) { refused_at.push_back(station); };
  const std::vector<std::uint16_t> groups{0, 1, 1, 2, 0, 0, 0, 1};  // 1, 2 and 7 | 3; 4 in none
  separation.set("partition", {groups, groups}, note);
  Cable cable(FaultPoint::Side::hears);
  cable.point.set_separation(&separation);
  for (const unsigned from : {0U, 1U, 3U, 4U, 3U}) {
    const Frame frame = make_frame(machine(7), machine(from));
    frame.set_origin(static_cast<std::uint16_t>(from));
    cable.point.send(frame);
  }
  BOOST_TEST((cable.received() == std::vector<unsigned>{0, 1, 4}));
  BOOST_TEST((refused_at == std::vector<std::uint16_t>{7, 7}));

  separation.clear("partition");
  separation.set("cut", {{0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 2}}, note);  // what 3 says does not reach 7
  const Frame from_3 = make_frame(machine(7), machine(3));
  from_3.set_origin(3);
  BOOST_TEST(!separation.lets(from_3, 7));
  BOOST_TEST(separation.lets(from_3, 3));
  const Frame from_7 = make_frame(machine(3), machine(7));
  from_7.set_origin(7);
  BOOST_TEST(separation.lets(from_7, 3));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace rookery::netsim
