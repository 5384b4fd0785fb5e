#include "netsim/ports/datagram.h"

#include <sys/socket.h>

#include "base/file.h"
#include "base/unix_socket.h"
#include "netsim_test.h"

namespace rookery::netsim {
namespace {

constexpr Duration kLimit = std::chrono::seconds(10);

// A port, and the sockets of a machine beside it.
struct Wire {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  std::filesystem::path path = folder.path() / "net0";
  EventLoop loop{std::make_unique<WallPacer>()};
  Recorder network;
  std::unique_ptr<DatagramPort> port = DatagramPort::bind(loop, path).value();
  UniqueFd guest, to_port = connect_unix_datagrams(path).value();

  Wire() {
    port->connect(network);
    plug();
  }
  void plug() {
    guest.reset();
    guest = bind_unix_datagrams(path.string() + DatagramPort::kMachine).value();
  }
  void say(ByteView bytes) {
    BOOST_REQUIRE(::send(to_port.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }
  // The next that the port has said; empty if there is none.
  ByteBuffer heard() {
    ByteBuffer bytes(1 << 17);
    const ssize_t got = ::recv(guest.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  bool frames(std::size_t count) {
    return loop.run_until([&] { return network.frames.size() >= count; }, kLimit);
  }
};

BOOST_AUTO_TEST_CASE(frames_pass_both_ways_each_in_a_datagram) {
  Wire wire;
  const Frame first = make_frame(machine(2), machine(1)), second = make_frame(machine(2), machine(1), 1514);
  wire.say(first.bytes());
  wire.say(second.bytes());
  BOOST_REQUIRE(wire.frames(2));
  BOOST_TEST(copy_of(wire.network.frames[0]) == copy_of(first));
  BOOST_TEST(copy_of(wire.network.frames[1]) == copy_of(second));
  wire.port->send(first);
  wire.port->send(second);
  BOOST_TEST(wire.heard() == copy_of(first));
  BOOST_TEST(wire.heard() == copy_of(second));
}

BOOST_AUTO_TEST_CASE(a_socket_that_somebody_has_is_left_alone) {
  Wire wire;
  BOOST_TEST(!DatagramPort::bind(wire.loop, wire.path).has_value());
  wire.say(make_frame(machine(2), machine(1)).bytes());
  BOOST_TEST(wire.frames(1));
  // Nor one of another kind, which takes no datagrams.
  const auto stream = wire.folder.path() / "stream";
  const UniqueFd listener = listen_unix(stream).value();
  BOOST_TEST(!bind_unix_datagrams(stream).has_value());
  BOOST_TEST(connect_unix(stream).has_value());
}

BOOST_AUTO_TEST_CASE(what_is_no_frame_is_dropped) {
  Wire wire;
  wire.say(ByteBuffer(13));
  wire.say(ByteBuffer(kLargestFrame + 1));
  wire.say(ByteBuffer(1 << 17));
  wire.say(make_frame(machine(2), machine(1)).bytes());
  BOOST_REQUIRE(wire.frames(1));
  BOOST_TEST(wire.port->counters().dropped_bad == 3u);
}

BOOST_AUTO_TEST_CASE(what_the_sockets_queue_does_not_hold_waits_and_what_the_backlog_does_not_is_dropped) {
  Wire wire;
  const Frame frame = make_frame(machine(2), machine(1), 1514);
  constexpr unsigned kSent = 4000;
  for (unsigned i = 0; i < kSent; ++i) wire.port->send(frame);
  const auto& counters = wire.port->counters();
  const std::uint64_t taken = kSent - counters.dropped_full;
  BOOST_TEST(counters.dropped_full > 0u);
  BOOST_TEST(taken >= DatagramPort::kBacklogBytes / 1514);
  std::uint64_t arrived = 0;
  BOOST_TEST(wire.loop.run_until(
      [&] {
        while (!wire.heard().empty()) ++arrived;
        return arrived == taken;
      },
      kLimit));
  BOOST_TEST(counters.to_guest == taken);
}

BOOST_AUTO_TEST_CASE(a_machine_that_is_not_there_gets_nothing_and_one_that_comes_again_is_found) {
  Wire wire;
  const Frame frame = make_frame(machine(2), machine(1));
  wire.port->send(frame);
  wire.guest.reset();
  wire.port->send(frame);
  BOOST_TEST(wire.port->counters().dropped_absent == 1u);
  wire.plug();
  wire.port->send(frame);
  BOOST_TEST(wire.heard() == copy_of(frame));
  // It goes while frames wait for it.
  for (unsigned i = 0; i < 4000; ++i) wire.port->send(frame);
  wire.plug();
  BOOST_TEST(wire.loop.run_until(
      [&] {
        wire.port->send(frame);
        return !wire.heard().empty();
      },
      kLimit));
}

}  // namespace
}  // namespace rookery::netsim
