#include "netsim/ports/stream.h"

#include <sys/socket.h>

#include <map>

#include "base/file.h"
#include "base/unix_socket.h"
#include "netsim/segment.h"
#include "netsim_test.h"

namespace rookery::netsim {
namespace {

constexpr Duration kLimit = std::chrono::seconds(10);

ByteBuffer framed(ByteView frame) {
  ByteWriter writer;
  writer.be32(static_cast<std::uint32_t>(frame.size())).bytes(frame);
  return writer.take();
}

// A port with a machine on the other side of its socket.
struct Wire {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop{std::make_unique<WallPacer>()};
  Recorder network;
  std::unique_ptr<StreamPort> port = StreamPort::listen(loop, folder.path() / "net0").value();
  UniqueFd guest;

  Wire() {
    port->connect(network);
    plug();
  }
  void plug() {
    guest = connect_unix(folder.path() / "net0").value();
    BOOST_REQUIRE(loop.run_until([&] { return port->connected(); }, kLimit));
  }
  void say(ByteView bytes) {
    BOOST_REQUIRE(::send(guest.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                  static_cast<ssize_t>(bytes.size()));
  }
  // What the port has said by now.
  ByteBuffer heard() {
    loop.run_until([] { return true; }, kLimit);
    bool done = false;
    loop.soon([&] { done = true; });
    loop.run_until([&] { return done; }, kLimit);
    ByteBuffer bytes(1 << 21);
    const ssize_t got = ::recv(guest.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  bool frames(std::size_t count) {
    return loop.run_until([&] { return network.frames.size() >= count; }, kLimit);
  }
};

BOOST_AUTO_TEST_CASE(frames_pass_both_ways_whole_and_in_order) {
  Wire wire;
  const Frame first = make_frame(machine(2), machine(1)), second = make_frame(machine(2), machine(1), 1514);
  ByteBuffer bytes = framed(first.bytes());
  const ByteBuffer more = framed(second.bytes());
  bytes.insert(bytes.end(), more.begin(), more.end());
  wire.say(ByteView(bytes).first(63));       // within the first frame
  wire.say(ByteView(bytes).subspan(63, 4));  // within the second's length
  wire.say(ByteView(bytes).subspan(67));
  BOOST_REQUIRE(wire.frames(2));
  BOOST_TEST(copy_of(wire.network.frames[0]) == copy_of(first));
  BOOST_TEST(copy_of(wire.network.frames[1]) == copy_of(second));

  wire.port->send(first);
  wire.port->send(second);
  BOOST_TEST(wire.heard() == bytes);
  BOOST_TEST(wire.port->counters().to_guest == 2u);
  BOOST_TEST(wire.port->counters().from_guest == 2u);
}

BOOST_AUTO_TEST_CASE(what_is_too_short_is_dropped_and_what_is_too_long_ends_the_connection) {
  Wire wire;
  const Frame good = make_frame(machine(2), machine(1));
  wire.say(framed(ByteBuffer(13)));
  wire.say(framed(good.bytes()));
  BOOST_REQUIRE(wire.frames(1));
  BOOST_TEST(wire.port->counters().dropped_short == 1u);
  ByteWriter too_long;
  too_long.be32(kLargestFrame + 1);
  wire.say(too_long.buffer());
  BOOST_REQUIRE(wire.loop.run_until([&] { return !wire.port->connected(); }, kLimit));
  BOOST_TEST(wire.port->fault() == "a frame of 65555 bytes on a stream of frames");
  wire.plug();  // and the machine may try again
  wire.say(framed(good.bytes()));
  BOOST_TEST(wire.frames(2));
}

BOOST_AUTO_TEST_CASE(a_machine_that_does_not_read_loses_frames_and_no_more) {
  Wire wire;
  const Frame frame = make_frame(machine(2), machine(1), 1514);
  constexpr unsigned kSent = 4000;
  for (unsigned i = 0; i < kSent; ++i) wire.port->send(frame);
  const auto& counters = wire.port->counters();
  BOOST_TEST(counters.dropped_full > 0u);
  BOOST_TEST(counters.to_guest + counters.dropped_full == kSent);
  // What was taken arrives whole once it reads.
  StreamFraming framing;
  std::uint64_t arrived = 0;
  BOOST_TEST(wire.loop.run_until(
      [&] {
        for (ssize_t got = 1; got > 0;) {
          const auto room = framing.room();
          got = ::recv(wire.guest.get(), room.data(), room.size(), MSG_DONTWAIT);
          if (got > 0) framing.filled(static_cast<std::size_t>(got));
          while (const auto bytes = framing.next()) arrived += bytes->size() == 1514;
        }
        return arrived == counters.to_guest;
      },
      kLimit));
}

BOOST_AUTO_TEST_CASE(many_small_frames_at_once_are_taken_over_several_turns_and_none_is_left) {
  struct Counter final : Port {
    explicit Counter(EventLoop& of) : loop(of) {}
    void send(Frame) override {
      ++by_turn[loop.turns()];
      ++frames;
    }
    EventLoop& loop;
    std::map<std::uint64_t, std::int64_t> by_turn;
    unsigned frames = 0;
  };
  Wire wire;
  Counter network(wire.loop);
  wire.port->connect(network);
  constexpr unsigned kFrames = 2000;
  const ByteBuffer one = framed(make_frame(machine(2), machine(1), 14).bytes());
  ByteBuffer all;
  for (unsigned i = 0; i < kFrames; ++i) all.insert(all.end(), one.begin(), one.end());
  wire.say(all);
  BOOST_TEST(wire.loop.run_until([&] { return network.frames == kFrames; }, kLimit));
  for (const auto& [turn, frames] : network.by_turn) BOOST_TEST(frames <= TurnShare().requests);
}

BOOST_AUTO_TEST_CASE(a_machine_that_is_not_there_gets_nothing_and_a_new_one_replaces_the_old) {
  Wire wire;
  wire.guest.reset();
  BOOST_REQUIRE(wire.loop.run_until([&] { return !wire.port->connected(); }, kLimit));
  wire.port->send(make_frame(machine(2), machine(1)));
  BOOST_TEST(wire.port->counters().dropped_absent == 1u);
  wire.plug();
  const UniqueFd old = std::move(wire.guest);
  wire.plug();
  std::uint8_t byte;
  BOOST_REQUIRE(wire.loop.run_until([&] { return ::recv(old.get(), &byte, 1, MSG_DONTWAIT) == 0; }, kLimit));
  wire.say(framed(make_frame(machine(2), machine(1)).bytes()));
  BOOST_TEST(wire.frames(1));
}

}  // namespace
}  // namespace rookery::netsim
