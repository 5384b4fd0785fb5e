// A driver made by hand shares memory with a network port: offload and mergeable buffers as a guest sees
// them.
#include "netsim/ports/vhost_net.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <map>

#include "base/file.h"
#include "netsim/segment.h"
#include "packets.h"
#include "tests/support/vhost_driver.h"

namespace rookery::netsim {
namespace {

using vhost_user::Request;

// virtio 1.2 §5.1.3
constexpr std::uint64_t kChecksums = 3, kGuestTcp4 = 1 << 7, kHostTcp4 = 1 << 11, kMergeable = 1 << 15;
constexpr std::uint64_t kMemory = 1 << 20, kBase = 0x1000;
constexpr std::uint64_t kQueueSize = 64;
constexpr std::uint64_t kBuffers = 0x20000;  // where in memory the buffers lie

struct Guest {
  explicit Guest(std::uint64_t features, bool offload = true)
      : port(VhostNetPort::listen(loop, folder.path() / "s", machine(7), {.offload = offload}).value()),
        driver(folder.path() / "s", kMemory, kBase),
        memory(driver.memory()) {
    port->connect(network);
    driver.ask(Request::set_features, ByteWriter().le64(features | 1ull << 32 | 1ull << 30).take());
    driver.share_memory();
    for (std::uint32_t queue = 0; queue < 2; ++queue) {
      driver.enable(queue, kQueueSize, queue * 0x4000);
      kick(queue);
    }
  }

  // Tells the device, and lets it work until it has answered (which it does in order).
  void kick(std::uint32_t queue) {
    driver.kick(queue);
    driver.ask(Request::get_features);
    std::array<char, 256> answer{};
    BOOST_REQUIRE(loop.run_until(
        [&] { return ::recv(driver.socket(), answer.data(), answer.size(), MSG_DONTWAIT) > 0; },
        std::chrono::seconds(20)));
  }

  template <typename T>
  T get(std::uint64_t at) const {
    T value;
    std::memcpy(&value, memory + at, sizeof value);
    return value;
  }
  template <typename T>
  void put(std::uint64_t at, T value) {
    std::memcpy(memory + at, &value, sizeof value);
  }
  void make_available(std::uint64_t queue, std::uint32_t size, std::uint16_t flags) {
    const std::uint64_t rings = queue * 0x4000;
    const std::uint16_t index = get<std::uint16_t>(rings + 0x1000 + 2);
    put(rings + 16u * index, kBase + kBuffers + 0x1000u * index);
    put(rings + 16u * index + 8, size);
    put(rings + 16u * index + 12, flags);
    put(rings + 0x1000 + 4 + 2u * index, index);
    put(rings + 0x1000 + 2, static_cast<std::uint16_t>(index + 1));
  }
  void post(unsigned count, std::uint32_t size) {
    for (unsigned i = 0; i < count; ++i) make_available(0, size, 2);
  }
  std::uint16_t received() const { return get<std::uint16_t>(0x2000 + 2); }  // buffers used
  std::uint32_t used_size(unsigned i) const { return get<std::uint32_t>(0x2000 + 4 + 8 * i + 4); }
  ByteView buffer(unsigned i) const { return {memory + kBuffers + 0x1000 * i, used_size(i)}; }

  // Sends one buffer, which cannot be longer than a page: header and frame.
  void transmit(const Offload& offload, const ByteBuffer& frame) {
    const auto at = kBuffers + 0x1000u * get<std::uint16_t>(0x4000 + 0x1000 + 2);
    const ByteBuffer bytes = ByteWriter()
                                 .u8(offload.flags)
                                 .u8(offload.segments)
                                 .le16(offload.header_length)
                                 .le16(offload.segment_size)
                                 .le16(offload.checksum_start)
                                 .le16(offload.checksum_offset)
                                 .le16(0)
                                 .bytes(frame)
                                 .take();
    std::memcpy(memory + at, bytes.data(), bytes.size());
    make_available(1, static_cast<std::uint32_t>(bytes.size()), 0);
    kick(1);
  }

  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop{std::make_unique<WallPacer>()};
  Recorder network;
  std::unique_ptr<VhostNetPort> port;
  VhostDriver driver;
  std::uint8_t* memory;
};

constexpr Offload kTcp4{1, Offload::kSegmentsTcp4, 54, 1000, 34, 16};

Frame super_frame() {
  const ByteBuffer bytes = tcp_frame(kServer, 80, kClient, 40'000, kAck, std::string(2500, 'x'));
  FrameBuilder builder(bytes.size());
  std::memcpy(builder.bytes().data(), bytes.data(), bytes.size());
  builder.offload() = kTcp4;
  return std::move(builder).freeze();
}

BOOST_AUTO_TEST_CASE(a_super_frame_spans_several_buffers) {
  Guest guest(kChecksums | kGuestTcp4 | kMergeable);
  guest.post(4, 1000);
  guest.port->send(super_frame());
  BOOST_REQUIRE(guest.received() == 3);
  const ByteBuffer header = ByteWriter().u8(1).u8(1).le16(54).le16(1000).le16(34).le16(16).le16(3).take();
  BOOST_TEST((ByteBuffer(guest.buffer(0).begin(), guest.buffer(0).begin() + 12) == header));
  ByteBuffer whole(guest.buffer(0).begin() + 12, guest.buffer(0).end());
  for (unsigned i : {1u, 2u}) whole.insert(whole.end(), guest.buffer(i).begin(), guest.buffer(i).end());
  BOOST_TEST((whole == copy_of(super_frame())));
}

BOOST_AUTO_TEST_CASE(a_super_frame_waits_whole_until_there_are_buffers_enough) {
  Guest guest(kChecksums | kGuestTcp4 | kMergeable);
  guest.post(2, 1000);
  guest.port->send(super_frame());
  BOOST_TEST(guest.received() == 0);
  guest.post(1, 1000);
  guest.kick(0);
  BOOST_TEST(guest.received() == 3);
  BOOST_TEST(guest.port->counters().to_guest == 1U);
}

BOOST_AUTO_TEST_CASE(a_frame_that_too_many_small_buffers_would_hold_is_dropped) {
  Guest guest(kChecksums | kGuestTcp4 | kMergeable);
  guest.post(1, 12);  // room for the header alone
  guest.port->send(super_frame());
  BOOST_TEST(guest.received() == 0);
  BOOST_TEST(guest.port->counters().dropped_malformed == 1U);
}

BOOST_AUTO_TEST_CASE(a_guest_without_offload_gets_single_finished_frames) {
  Guest guest(0);
  guest.post(4, 2000);
  guest.port->send(super_frame());
  BOOST_REQUIRE(guest.received() == 3);
  for (unsigned i = 0; i < 3; ++i) {
    BOOST_TEST((ByteBuffer(guest.buffer(i).begin(), guest.buffer(i).begin() + 10) == ByteBuffer(10)));
    BOOST_TEST(guest.buffer(i).size() == 12 + 54 + (i < 2 ? 1000U : 500U));
  }
}

BOOST_AUTO_TEST_CASE(a_frame_longer_than_an_only_buffer_is_dropped) {
  Guest guest(0);
  guest.post(2, 1000);
  guest.port->send(make_frame(machine(7), machine(1), 1500));
  BOOST_TEST(guest.received() == 0);
  BOOST_TEST(guest.port->counters().dropped_malformed == 1U);
}

BOOST_AUTO_TEST_CASE(takes_super_frames_from_the_guest_and_drops_what_cannot_be) {
  Guest guest(kChecksums | kHostTcp4);
  guest.transmit(kTcp4, copy_of(super_frame()));
  BOOST_REQUIRE(guest.network.frames.size() == 1U);
  BOOST_TEST(guest.network.frames[0].is_super_frame());
  BOOST_TEST((guest.network.frames[0].offload() == kTcp4));
  Offload damaged = kTcp4;
  damaged.checksum_start = 60'000;
  guest.transmit(damaged, copy_of(super_frame()));
  BOOST_TEST(guest.network.frames.size() == 1U);
  BOOST_TEST(guest.port->counters().dropped_malformed == 1U);
}

BOOST_AUTO_TEST_CASE(a_port_without_offload_takes_none) {
  Guest guest(0, false);
  guest.transmit(kTcp4, copy_of(super_frame()));
  BOOST_TEST(guest.network.frames.empty());
  BOOST_TEST(guest.port->counters().dropped_malformed == 1U);
  guest.transmit({}, copy_of(make_frame(machine(1), machine(7))));
  BOOST_TEST(guest.network.frames.size() == 1U);
}

// A guest that sends as fast as it is listened to, and tells of it too often.
class Endless final : public Port {
 public:
  Endless(Guest& guest, std::uint64_t available_at) : guest_(guest), at_(available_at) {}
  void send(Frame) override {
    guest_.put(at_, static_cast<std::uint16_t>(guest_.get<std::uint16_t>(at_) + 1));
  }

 private:
  Guest& guest_;
  std::uint64_t at_;
};

BOOST_AUTO_TEST_CASE(a_guest_that_never_pauses_is_left_after_a_batch_and_nothing_of_it_outlives_the_port) {
  Guest guest(0);
  constexpr std::uint64_t kAvailableIndex = 0x4000 + 0x1000 + 2;
  Endless network(guest, kAvailableIndex);
  guest.port->connect(network);
  for (unsigned i = 0; i < kQueueSize; ++i) guest.make_available(1, 12 + 60, 0);
  guest.driver.kick(1);
  guest.driver.kick(1);  // both are read at once
  BOOST_REQUIRE(
      guest.loop.run_until([&] { return guest.port->counters().from_guest > 0; }, std::chrono::seconds(20)));
  BOOST_TEST(guest.port->counters().from_guest < 5000U);
  guest.port.reset();
  BOOST_TEST(guest.loop.events_queued() == 0U);
}

BOOST_AUTO_TEST_CASE(guests_that_never_pause_have_the_same_share_of_each_turn) {
  struct Counter final : Port {
    Counter(EventLoop& of, Port& to) : loop(of), next(to) {}
    void send(Frame frame) override {
      ++by_turn[loop.turns()];
      next.send(std::move(frame));
    }
    EventLoop& loop;
    Port& next;
    std::map<std::uint64_t, std::int64_t> by_turn;
  };
  constexpr std::uint64_t kAvailableIndex = 0x4000 + 0x1000 + 2;
  Guest one(0);
  Endless without_end(one, kAvailableIndex);
  Counter network(one.loop, without_end);
  one.port->connect(network);
  for (unsigned i = 0; i < kQueueSize; ++i) one.make_available(1, 12 + 60, 0);
  one.driver.kick(1);
  BOOST_REQUIRE(one.loop.run_until([&] { return network.by_turn.size() == 20; }, std::chrono::seconds(20)));
  for (const auto& [turn, frames] : network.by_turn) BOOST_TEST(frames <= TurnShare().requests);
  BOOST_TEST(network.by_turn.rbegin()->first - network.by_turn.begin()->first == 19U);  // and has it in each
}

// What its buffers are made of is its own doing: 64 descriptors for each small frame.
BOOST_AUTO_TEST_CASE(buffers_of_many_descriptors_are_filled_as_far_as_a_turn_goes) {
  Guest guest(0);
  for (unsigned i = 0; i < kQueueSize; ++i) {
    guest.put(16u * i, kBase + kBuffers);
    guest.put<std::uint32_t>(16u * i + 8, i + 1 < kQueueSize ? 0 : 2000);
    guest.put<std::uint16_t>(16u * i + 12, i + 1 < kQueueSize ? 1 | 2 : 2);
    guest.put(16u * i + 14, static_cast<std::uint16_t>(i + 1));
  }
  const auto offer = [&](std::uint16_t until) {
    guest.put(0x1000 + 2, until);
  };  // each is the chain from 0 on
  guest.kick(0);
  const std::uint16_t share = static_cast<std::uint16_t>(TurnShare().descriptors / kQueueSize);
  std::uint16_t sent = 0;
  for (; sent < 2 * share; ++sent) {
    offer(static_cast<std::uint16_t>(sent + 1));
    guest.port->send(make_frame(machine(7), machine(1), 60));
  }
  BOOST_TEST(guest.received() == share);
  BOOST_TEST(guest.loop.run_until([&] { return guest.received() == sent; }, std::chrono::seconds(20)));
  BOOST_TEST(guest.port->counters().dropped_full == 0U);
}

BOOST_AUTO_TEST_CASE(a_guest_that_rests_is_heard_to_the_end_of_a_long_queue) {
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop(std::make_unique<LockstepPacer>(LockstepRules{}, [](const auto&) {}));
  const auto lane = Lane::make(loop, "m");
  Recorder network;
  const auto port = VhostNetPort::listen(loop, folder.path() / "s", machine(7), {}, lane.get()).value();
  port->connect(network);
  constexpr std::uint32_t kEntries = 512, kFrames = 300;
  constexpr std::uint64_t kAvailable = 0x2000, kUsed = 0x3000;
  lane->begin();
  VhostDriver driver(folder.path() / "s", kMemory, kBase);
  driver.ask(Request::set_features, ByteWriter().le64(1ull << 32 | 1ull << 30).take());
  driver.share_memory();
  driver.ask(Request::set_vring_num, ByteWriter().le32(1).le32(kEntries).take());
  driver.ask(
      Request::set_vring_addr,
      ByteWriter().le32(1).le32(0).le64(kBase).le64(kBase + kUsed).le64(kBase + kAvailable).le64(0).take());
  driver.ask(Request::set_vring_enable, ByteWriter().le32(1).le32(1).take());
  ByteWriter descriptors, available;
  available.le16(0).le16(kFrames);
  for (std::uint32_t i = 0; i < kFrames; ++i) {
    descriptors.le64(kBase + kBuffers).le32(12 + 60).le16(0).le16(0);
    available.le16(static_cast<std::uint16_t>(i));
  }
  std::memcpy(driver.memory(), descriptors.buffer().data(), descriptors.size());
  std::memcpy(driver.memory() + kAvailable, available.buffer().data(), available.size());
  driver.kick(1);
  const UniqueFd rests(::eventfd(1, EFD_CLOEXEC));
  Watch watch = loop.watch(rests.get(), EPOLLIN, [&](std::uint32_t) {
    watch.stop();
    lane->yielded(lane->now(), std::nullopt);
  });
  loop.run_until([&] { return !lane->running(); }, std::chrono::seconds(1));
  BOOST_TEST(port->counters().from_guest == kFrames);
  BOOST_TEST(loop.run_until([&] { return network.frames.size() == kFrames; }, std::chrono::seconds(1)));
}

}  // namespace
}  // namespace rookery::netsim
