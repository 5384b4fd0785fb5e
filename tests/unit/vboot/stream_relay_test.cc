#include "vboot/run/machine/stream_relay.h"

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

#include "vboot/control/stream_frames.h"

namespace rookery::vboot {
namespace {

using Kind = StreamFrame::Kind;
constexpr std::uint32_t kWindow = agent::kStreamWindow;

// A machine that does what the test says, and a command at the other end of a socket.
struct Bench final : StreamHost {
  EventLoop loop{std::make_unique<WallPacer>()};
  UniqueFd command;
  ExecEvents events;
  std::vector<std::string> calls;
  std::size_t input = 0;
  std::string refusal;
  bool gone = false;
  StreamFrameReader frames;
  std::unique_ptr<StreamRelay> relay;

  Bench() {
    int ends[2];
    BOOST_REQUIRE_EQUAL(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    command = UniqueFd(ends[0]);
    relay = std::make_unique<StreamRelay>(loop, UniqueFd(ends[1]), *this, "", [this] { gone = true; });
  }
  Result<std::uint32_t> open(std::uint16_t port, const std::vector<std::string>&, ExecEvents to) override {
    if (!refusal.empty()) return fail(refusal);
    calls.push_back("open " + std::to_string(port));
    events = std::move(to);
    return 7;
  }
  Status stream_input(std::uint32_t, ByteView bytes) override {
    input += bytes.size();
    if (bytes.empty()) calls.push_back("input ends");
    return {};
  }
  Status stream_taken(std::uint32_t, std::uint32_t bytes) override {
    calls.push_back("taken " + std::to_string(bytes));
    return {};
  }
  void cancel_exec(std::uint32_t) override { calls.push_back("cancel"); }

  void until(const std::function<bool()>& done) {
    BOOST_REQUIRE(loop.run_until(done, std::chrono::seconds(20)));
  }
  // The next frame that the command gets.
  StreamFrame next() {
    std::optional<Result<StreamFrame>> frame;
    until([&] {
      frame = frames.next();
      if (frame) return true;
      std::uint8_t block[65536];
      const ssize_t got = ::recv(command.get(), block, sizeof block, MSG_DONTWAIT);
      if (got > 0) frames.feed(ByteView(block, static_cast<std::size_t>(got)));
      frame = frames.next();
      return frame.has_value();
    });
    return frame->value();
  }
  std::string lost() {
    StreamFrame frame = next();
    while (frame.kind != Kind::lost) frame = next();
    until([&] { return gone; });
    return std::string(as_text(frame.bytes));
  }
  void say(std::size_t bytes) {
    const ByteBuffer block(bytes, 'x');
    BOOST_REQUIRE_EQUAL(::send(command.get(), block.data(), bytes, MSG_DONTWAIT),
                        static_cast<ssize_t>(bytes));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_relay)

BOOST_AUTO_TEST_CASE(carries_both_ways_until_the_end) {
  Bench bench;
  bench.relay->open(80, {});
  bench.say(5);
  ::shutdown(bench.command.get(), SHUT_WR);
  bench.until([&] { return bench.calls.size() == 2; });
  BOOST_CHECK_EQUAL(bench.input, 5u);
  bench.events.output(agent::Stream::out, as_bytes("answer"));
  bench.events.output(agent::Stream::err, as_bytes("oh"));
  bench.events.output(agent::Stream::out, {});
  bench.events.exited(3);
  BOOST_CHECK((bench.next() == StreamFrame{Kind::out, {'a', 'n', 's', 'w', 'e', 'r'}}));
  BOOST_CHECK((bench.next() == StreamFrame{Kind::err, {'o', 'h'}}));
  BOOST_CHECK((bench.next() == StreamFrame{Kind::out_ends, {}}));
  BOOST_CHECK((bench.next() == StreamFrame{Kind::exited, {3}}));
  bench.until([&] { return bench.gone; });
  bench.relay.reset();
  BOOST_CHECK((bench.calls == std::vector<std::string>{"open 80", "input ends"}));
}

BOOST_AUTO_TEST_CASE(a_machine_that_takes_nothing_stops_the_command_at_the_window) {
  Bench bench;
  bench.relay->open(80, {});
  bench.say(kWindow);
  bench.say(1000);
  bench.until([&] { return bench.input == kWindow; });
  bench.loop.run_until([] { return false; }, std::chrono::milliseconds(20));
  BOOST_CHECK_EQUAL(bench.input, kWindow);
  bench.events.taken(600);
  bench.until([&] { return bench.input == kWindow + 600; });
  bench.events.taken(kWindow);
  bench.until([&] { return bench.input == kWindow + 1000; });
}

BOOST_AUTO_TEST_CASE(a_command_that_reads_nothing_stops_the_machine_at_the_window) {
  Bench bench;
  const int small = 1;  // the least that the kernel gives
  ::setsockopt(bench.command.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  bench.relay->open(80, {});
  // Until the socket is full, what is sent is taken; then no more is asked for, and more is a breach.
  std::size_t sent = 0, told = 0;
  while (told == bench.calls.size() - 1 && sent < (64u << 20)) {
    bench.events.output(agent::Stream::out, ByteBuffer(kWindow / 4, 'x'));
    sent += kWindow / 4;
    ++told;
  }
  for (int i = 0; i < 3; ++i) bench.events.output(agent::Stream::out, ByteBuffer(kWindow / 4, 'x'));
  bench.events.output(agent::Stream::out, ByteBuffer(1, 'x'));
  BOOST_CHECK_EQUAL(bench.lost(), "the machine sends more than it was asked for");
  bench.relay.reset();
  BOOST_CHECK_EQUAL(bench.calls.back(), "cancel");
}

BOOST_AUTO_TEST_CASE(a_machine_that_takes_what_it_was_not_sent_is_cut_off) {
  Bench bench;
  bench.relay->open(80, {});
  bench.events.taken(1);
  BOOST_CHECK_EQUAL(bench.lost(), "the machine takes more than it was sent");
}

BOOST_AUTO_TEST_CASE(says_why_there_is_no_stream) {
  Bench bench;
  bench.refusal = "n7 is not ready";
  bench.relay->open(80, {});
  BOOST_CHECK_EQUAL(bench.lost(), "n7 is not ready");
  bench.relay.reset();
  BOOST_CHECK(bench.calls.empty());
}

BOOST_AUTO_TEST_CASE(a_command_that_goes_ends_the_stream) {
  Bench bench;
  bench.relay->open(80, {});
  bench.command.reset();
  bench.until([&] { return bench.gone; });
  bench.events.output(agent::Stream::out, as_bytes("too late"));
  bench.relay.reset();
  BOOST_CHECK((bench.calls == std::vector<std::string>{"open 80", "cancel"}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
