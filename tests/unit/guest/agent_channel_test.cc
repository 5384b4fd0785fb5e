#include "guest/protocol/agent_channel.h"

#include <boost/test/unit_test.hpp>
#include <map>
#include <random>

using namespace rookery;
using namespace rookery::agent;

namespace {

ByteBuffer text(std::string_view of) {
  const ByteView view = as_bytes(of);
  return {view.begin(), view.end()};
}

// Hands every segment that `from` wants to send to `to`; gives how many there were.
std::size_t carry(Channel& from, Channel& to, Time now) {
  std::size_t count = 0;
  while (auto segment = from.next_segment(now)) {
    to.receive(*segment, now);
    count += 1;
  }
  return count;
}

void settle(Channel& a, Channel& b, Time now = {}) {
  while (carry(a, b, now) + carry(b, a, now) > 0) {
  }
}

void discard(Channel& channel, Time now) {
  while (channel.next_segment(now)) {
  }
}

std::string taken(Channel& channel) {
  const auto message = channel.take_message();
  return message ? std::string(as_text(*message)) : "(none)";
}

// Two ends and a wire that loses, doubles and reorders by a seeded generator, on a clock that jumps to what
// is next.
class BadWire {
 public:
  BadWire(std::uint32_t seed, double loss, double doubling, int delay_max_ms)
      : random_(seed), loss_(loss), doubling_(doubling), delay_max_ms_(delay_max_ms) {}

  void run(Channel& guest, Channel& host, std::vector<ByteBuffer>& at_guest,
           std::vector<ByteBuffer>& at_host) {
    for (int step = 0; step < 200000; ++step) {
      put(guest, true);
      put(host, false);
      std::optional<Time> next;
      if (!in_flight_.empty()) next = in_flight_.begin()->first;
      for (const Channel* end : {&guest, &host}) {
        if (end->deadline() && (!next || *end->deadline() < *next)) next = end->deadline();
      }
      if (!next) return;
      now_ = std::max(now_, *next);
      while (!in_flight_.empty() && in_flight_.begin()->first <= now_) {
        auto node = in_flight_.extract(in_flight_.begin());
        (node.mapped().to_host ? host : guest).receive(node.mapped().segment, now_);
      }
      while (auto message = guest.take_message()) at_guest.push_back(std::move(*message));
      while (auto message = host.take_message()) at_host.push_back(std::move(*message));
    }
    BOOST_FAIL("the two ends never came to rest");
  }
  Time now() const { return now_; }

 private:
  struct Flying {
    ByteBuffer segment;
    bool to_host;
  };
  bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }
  void put(Channel& from, bool to_host) {
    while (auto segment = from.next_segment(now_)) {
      const int copies = chance(loss_) ? 0 : chance(doubling_) ? 2 : 1;
      for (int i = 0; i < copies; ++i) {
        const int delay = std::uniform_int_distribution<>(0, delay_max_ms_)(random_);
        in_flight_.emplace(now_ + std::chrono::milliseconds(delay), Flying{*segment, to_host});
      }
    }
  }

  std::mt19937 random_;
  double loss_, doubling_;
  int delay_max_ms_;
  Time now_;
  std::multimap<Time, Flying> in_flight_;
};

std::vector<ByteBuffer> some_messages(std::uint32_t seed, std::size_t count) {
  std::mt19937 random(seed);
  std::vector<ByteBuffer> messages;
  for (std::size_t i = 0; i < count; ++i) {
    ByteBuffer message(1 + random() % (i % 10 == 0 ? 20000 : 300));
    for (std::uint8_t& byte : message) byte = static_cast<std::uint8_t>(random());
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace

BOOST_AUTO_TEST_CASE(carries_messages_both_ways_in_order) {
  Channel guest = Channel::guest(41);
  Channel host = Channel::host();
  BOOST_REQUIRE(guest.send(text("one")));
  BOOST_REQUIRE(guest.send(text("two")));
  settle(guest, host);
  BOOST_REQUIRE(host.send(text("three")));
  settle(guest, host);
  BOOST_CHECK_EQUAL(taken(host), "one");
  BOOST_CHECK_EQUAL(taken(host), "two");
  BOOST_CHECK_EQUAL(taken(guest), "three");
  BOOST_CHECK_EQUAL(taken(guest), "(none)");
  BOOST_CHECK(guest.drained() && host.drained());
}

BOOST_AUTO_TEST_CASE(wants_nothing_when_nothing_is_under_way) {
  Channel guest = Channel::guest(41);
  Channel host = Channel::host();
  BOOST_REQUIRE(guest.send(text("one")));
  settle(guest, host);
  BOOST_CHECK(!guest.deadline());
  BOOST_CHECK(!host.deadline());
  BOOST_CHECK(!guest.next_segment(Time{std::chrono::hours(1)}));
}

BOOST_AUTO_TEST_CASE(lets_the_host_say_nothing_before_the_guest_has_spoken) {
  Channel host = Channel::host();
  const Status status = host.send(text("role"));
  BOOST_REQUIRE(!status);
  BOOST_CHECK_EQUAL(status.error().message, "the machine's agent has not spoken yet");
}

BOOST_AUTO_TEST_CASE(acknowledges_several_segments_with_one) {
  Channel guest = Channel::guest(1);
  Channel host = Channel::host();
  for (int i = 0; i < 5; ++i) BOOST_REQUIRE(guest.send(text("m")));
  BOOST_CHECK_EQUAL(carry(guest, host, Time{}), 5);
  BOOST_CHECK_EQUAL(carry(host, guest, Time{}), 1);
  BOOST_CHECK(guest.drained());
}

BOOST_AUTO_TEST_CASE(cuts_a_long_message_and_joins_it_again) {
  Channel guest = Channel::guest(5);
  Channel host = Channel::host();
  ByteBuffer longest(kMessageMax, 7);
  longest.back() = 9;
  BOOST_REQUIRE(guest.send(longest));
  settle(guest, host);
  BOOST_CHECK(host.take_message() == longest);
  longest.push_back(0);
  BOOST_CHECK(!guest.send(longest));
  BOOST_CHECK(!guest.send({}));
}

BOOST_AUTO_TEST_CASE(never_has_more_in_flight_than_its_window) {
  Channel guest = Channel::guest(5);
  Channel host = Channel::host();
  BOOST_REQUIRE(guest.send(ByteBuffer(100 * kSegmentData, 1)));
  BOOST_CHECK_EQUAL(carry(guest, host, Time{}), kWindow);
}

BOOST_AUTO_TEST_CASE(refuses_to_queue_without_end) {
  Channel guest = Channel::guest(5);
  for (std::size_t i = 0; i < kQueueMax / kMessageMax; ++i) {
    BOOST_CHECK(guest.has_room(kMessageMax));
    BOOST_REQUIRE(guest.send(ByteBuffer(kMessageMax, 1)));
  }
  BOOST_CHECK(!guest.has_room(1));
  const Status status = guest.send(text("x"));
  BOOST_REQUIRE(!status);
  BOOST_CHECK_EQUAL(status.error().message, "the queue to the machine's agent is full");
}

BOOST_AUTO_TEST_CASE(sends_again_what_was_lost_later_each_time) {
  Channel guest = Channel::guest(5);
  Channel host = Channel::host();
  BOOST_REQUIRE(guest.send(text("one")));
  discard(guest, Time{});
  Duration waited{0};
  Time now;
  for (int i = 0; i < 8; ++i) {
    BOOST_REQUIRE(guest.deadline());
    const Duration wait = *guest.deadline() - now;
    BOOST_CHECK(wait >= waited && wait <= kLastRetry);
    waited = wait;
    now = *guest.deadline();
    if (i < 7) discard(guest, now);
  }
  settle(guest, host, now);
  BOOST_CHECK_EQUAL(taken(host), "one");
  BOOST_CHECK_EQUAL(guest.counters().retransmitted, 8);
}

BOOST_AUTO_TEST_CASE(sends_a_lost_window_again_without_waiting_for_each_segment) {
  Channel guest = Channel::guest(5);
  Channel host = Channel::host();
  BOOST_REQUIRE(guest.send(ByteBuffer(20 * kSegmentData, 3)));
  discard(guest, Time{});
  settle(guest, host, *guest.deadline());
  BOOST_CHECK(guest.drained());
  BOOST_CHECK(host.take_message());
}

BOOST_AUTO_TEST_CASE(counts_on_past_the_end_of_its_sequence_numbers) {
  Channel guest = Channel::guest(0xfffffff0);
  Channel host = Channel::host();
  for (int i = 0; i < 100; ++i) {
    BOOST_REQUIRE(guest.send(text(std::to_string(i))));
    BOOST_REQUIRE(!host.in_session() || host.send(text(std::to_string(i))));
    if (i % 7 == 0) settle(guest, host);
  }
  settle(guest, host);
  for (int i = 0; i < 100; ++i) BOOST_CHECK_EQUAL(taken(host), std::to_string(i));
}

BOOST_AUTO_TEST_CASE(starts_anew_with_a_restarted_guest) {
  Channel first = Channel::guest(5);
  Channel host = Channel::host();
  BOOST_REQUIRE(first.send(text("from the first")));
  settle(first, host);
  BOOST_REQUIRE(host.send(text("for the first")));
  discard(host, Time{});

  Channel second = Channel::guest(99);
  BOOST_REQUIRE(second.send(text("from the second")));
  settle(second, host);
  BOOST_CHECK_EQUAL(host.epoch(), 99);
  BOOST_CHECK_EQUAL(host.counters().sessions, 2);
  BOOST_CHECK(host.drained());
  BOOST_REQUIRE(host.send(text("for the second")));
  settle(second, host);
  BOOST_CHECK_EQUAL(taken(second), "for the second");
  BOOST_CHECK_EQUAL(taken(host), "from the first");
  BOOST_CHECK_EQUAL(taken(host), "from the second");
}

BOOST_AUTO_TEST_CASE(ignores_late_segments_of_a_session_that_is_over) {
  Channel first = Channel::guest(5);
  Channel second = Channel::guest(99);
  Channel host = Channel::host();
  BOOST_REQUIRE(first.send(text("first")));
  const ByteBuffer late = *first.next_segment(Time{});
  host.receive(late, Time{});
  BOOST_REQUIRE(second.send(text("second")));
  settle(second, host);
  host.receive(late, Time{});
  BOOST_CHECK_EQUAL(host.epoch(), 99);
  BOOST_CHECK_EQUAL(host.counters().stray, 1);
}

BOOST_AUTO_TEST_CASE(takes_the_same_epoch_again_after_a_reset) {
  Channel first = Channel::guest(5);
  Channel host = Channel::host();
  BOOST_REQUIRE(first.send(text("first")));
  settle(first, host);
  host.reset();
  BOOST_CHECK(!host.in_session());
  BOOST_CHECK_EQUAL(taken(host), "(none)");
  Channel again = Channel::guest(5);
  BOOST_REQUIRE(again.send(text("again")));
  settle(again, host);
  BOOST_CHECK_EQUAL(taken(host), "again");
}

BOOST_AUTO_TEST_CASE(holds_back_a_sender_whose_messages_nobody_takes) {
  Channel guest = Channel::guest(5);
  Channel host = Channel::host();
  for (int i = 0; i < 4; ++i) BOOST_REQUIRE(guest.send(ByteBuffer(kMessageMax, 1)));
  settle(guest, host);
  BOOST_REQUIRE(guest.drained());
  BOOST_REQUIRE(guest.send(text("one more")));
  settle(guest, host);
  BOOST_CHECK(!guest.drained());
  BOOST_CHECK_EQUAL(host.counters().held_back, 1);
  BOOST_CHECK(host.take_message());
  settle(guest, host);  // told that there is room: no need to wait for the deadline
  BOOST_CHECK(guest.drained());
}

BOOST_AUTO_TEST_CASE(drops_a_message_that_is_too_long_and_takes_the_next) {
  // A hostile guest, hand-made: it never ends its message.
  const auto segment = [](std::uint32_t sequence, std::uint8_t flags, std::size_t size) {
    ByteWriter out;
    out.be16(0x524b)
        .u8(1)
        .u8(flags)
        .be32(5)
        .be32(sequence)
        .be32(5)
        .be16(static_cast<std::uint16_t>(size))
        .zeros(size);
    return out.take();
  };
  Channel host = Channel::host();
  std::uint32_t sequence = 5;
  for (; sequence < 5 + 2 * kMessageMax / kSegmentData; ++sequence)
    host.receive(segment(sequence, 1, 1400), Time{});
  host.receive(segment(sequence, 3, 1), Time{});
  host.receive(segment(sequence + 1, 3, 2), Time{});
  BOOST_CHECK_EQUAL(host.counters().oversized, 1);
  BOOST_CHECK_EQUAL(host.take_message()->size(), 2);
  BOOST_CHECK(!host.take_message());
}

BOOST_AUTO_TEST_CASE(counts_and_ignores_what_is_no_segment) {
  Channel host = Channel::host();
  host.receive({}, Time{});
  host.receive(text("hello, this is not a segment"), Time{});
  BOOST_CHECK_EQUAL(host.counters().malformed, 2);
  BOOST_CHECK(!host.next_segment(Time{}));
}

BOOST_AUTO_TEST_CASE(brings_everything_over_a_wire_that_loses_doubles_and_reorders) {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      Channel guest = Channel::guest(seed * 0x9e3779b9u);
      Channel host = Channel::host();
      BadWire wire(seed, 0.25, 0.2, 50);
      std::vector<ByteBuffer> at_guest, at_host;
      BOOST_REQUIRE(guest.send(text("hello")));
      wire.run(guest, host, at_guest, at_host);

      const auto up = some_messages(seed, 60), down = some_messages(seed + 1000, 60);
      for (const auto& message : up) BOOST_REQUIRE(guest.send(message));
      for (const auto& message : down) BOOST_REQUIRE(host.send(message));
      at_host.clear();
      wire.run(guest, host, at_guest, at_host);
      BOOST_CHECK(at_host == up);
      BOOST_CHECK(at_guest == down);
      BOOST_CHECK(guest.drained() && host.drained());
    }
  }
}

BOOST_AUTO_TEST_CASE(does_the_same_again_for_the_same_seed) {
  const auto run = [] {
    Channel guest = Channel::guest(77);
    Channel host = Channel::host();
    BadWire wire(3, 0.3, 0.1, 20);
    std::vector<ByteBuffer> at_guest, at_host;
    for (const auto& message : some_messages(9, 30)) BOOST_REQUIRE(guest.send(message));
    wire.run(guest, host, at_guest, at_host);
    return std::pair(wire.now(), guest.counters().retransmitted);
  };
  BOOST_CHECK(run() == run());
}
