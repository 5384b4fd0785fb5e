// A driver made by hand speaks to an Endpoint over a real socket.
#include "base/vhost_user/endpoint.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <future>
#include <map>
#include <thread>

#include "base/file.h"
#include "base/loop/lane.h"
#include "base/unix_socket.h"

namespace rookery::vhost_user {
namespace {

constexpr Duration kLimit = std::chrono::seconds(20);

class Echo final : public DeviceModel {
 public:
  std::uint64_t features() const override { return 1ull << 5; }
  unsigned queue_count() const override { return 2; }
  ByteBuffer config_space() const override {
    if (on_config) on_config();
    return {1, 2, 3, 4};
  }
  void queue_started(unsigned queue) override {
    started |= 1u << queue;
    went_on = endpoint != nullptr && endpoint->paused(queue);
  }
  void kicked(unsigned queue) override {
    kicks |= 1u << queue;
    if (endpoint == nullptr) return;
    if (on_kick) on_kick();
    while (works_without_end && endpoint->budget().left()) {
      endpoint->budget().spend(1, 0, 0);
      ++worked;
    }
    if (works_without_end) endpoint->again(queue);
  }
  void disconnected() override { ++disconnects; }
  unsigned started = 0, kicks = 0, disconnects = 0;
  bool went_on = false, works_without_end = false;
  std::uint64_t worked = 0;
  std::function<void()> on_kick, on_config;
  Endpoint* endpoint = nullptr;
};

struct Driver {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop;
  std::unique_ptr<Lane> lane;
  Echo model;
  std::unique_ptr<Endpoint> endpoint = Endpoint::listen(loop, folder.path() / "s", model, lane.get()).value();
  UniqueFd socket = connect_unix(folder.path() / "s").value();

  Driver() : loop(std::make_unique<WallPacer>()) { model.endpoint = endpoint.get(); }
  explicit Driver(std::unique_ptr<LockstepPacer> pacer)
      : loop(std::move(pacer)), lane(Lane::make(loop, "guest")) {}

  void send(std::uint32_t request, ByteView payload, int fd = -1, std::uint32_t flags = 0) {
    const ByteBuffer message = encode(request, flags, payload);
    const std::span<const int> files(&fd, fd >= 0 ? 1 : 0);
    BOOST_REQUIRE(send_with_files(socket.get(), message, files));
  }
  void send(Request request, ByteView payload = {}, int fd = -1, std::uint32_t flags = 0) {
    send(static_cast<std::uint32_t>(request), payload, fd, flags);
  }
  // Lets the endpoint work until it has answered with `size` bytes.
  ByteBuffer answer(std::size_t size) {
    ByteBuffer bytes(size);
    BOOST_REQUIRE(loop.run_until(
        [&] {
          return ::recv(socket.get(), bytes.data(), size, MSG_PEEK | MSG_DONTWAIT) ==
                 static_cast<ssize_t>(size);
        },
        kLimit));
    ::recv(socket.get(), bytes.data(), size, 0);
    return bytes;
  }
  // Lets the endpoint work until it has given the connection up; returns why.
  std::string fault() {
    BOOST_REQUIRE(loop.run_until([&] { return model.disconnects > 0; }, kLimit));
    return endpoint->fault();
  }
};

ByteBuffer state(std::uint32_t index, std::uint32_t number) {
  ByteWriter writer;
  writer.le32(index).le32(number);
  return writer.take();
}

ByteBuffer file_of(std::uint64_t queue) {
  ByteWriter writer;
  writer.le64(queue);
  return writer.take();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(endpoint)

BOOST_AUTO_TEST_CASE(negotiates_maps_memory_starts_queues_and_is_kicked) {
  Driver driver;
  driver.send(Request::get_features);
  ByteBuffer reply = driver.answer(kHeaderSize + 8);
  ByteReader features(ByteView(reply).subspan(kHeaderSize));
  BOOST_TEST(features.le64() == ((1ull << 5) | kFeatureVersion1 | kFeatureProtocolFeatures | kFeatureLogAll));

  driver.send(Request::get_protocol_features);
  reply = driver.answer(kHeaderSize + 8);
  ByteReader protocol(ByteView(reply).subspan(kHeaderSize));
  // In wall time nothing is acknowledged that does not ask for it.
  BOOST_TEST(protocol.le64() ==
             (kProtocolLogShmfd | kProtocolSlaveReq | kProtocolConfig | kProtocolInbandNotifications));

  ByteWriter config;
  config.le32(0).le32(6).le32(0).zeros(6);
  driver.send(Request::get_config, config.buffer());
  reply = driver.answer(kHeaderSize + 12 + 6);
  BOOST_TEST((ByteBuffer(reply.end() - 6, reply.end()) == ByteBuffer{1, 2, 3, 4, 0, 0}));

  const UniqueFd memory(::memfd_create("guest", MFD_CLOEXEC));
  BOOST_REQUIRE(::ftruncate(memory.get(), 65536) == 0);
  ByteWriter table;
  table.le32(1).le32(0).le64(0x1000).le64(65536).le64(0x1000).le64(0);
  driver.send(Request::set_mem_table, table.buffer(), memory.get());
  driver.send(Request::set_vring_num, state(1, 16));
  ByteWriter addresses;
  addresses.le32(1).le32(0).le64(0x1000).le64(0x3000).le64(0x2000).le64(0);
  driver.send(Request::set_vring_addr, addresses.buffer());
  driver.send(Request::set_vring_enable, state(1, 1));
  driver.send(Request::vring_kick, state(1, 0), -1, kFlagNeedReply);
  reply = driver.answer(kHeaderSize + 8);
  BOOST_TEST(driver.model.started == 2u);
  BOOST_TEST(driver.model.kicks == 2u);
  BOOST_TEST(driver.endpoint->queue(1).running());
}

// As QEMU does it: queues enabled before they are anywhere, then notified by event descriptors.
BOOST_AUTO_TEST_CASE(a_queue_with_event_descriptors_is_kicked_called_paused_and_goes_on) {
  Driver driver;
  const UniqueFd memory(::memfd_create("guest", MFD_CLOEXEC));
  const UniqueFd kick(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      call(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  BOOST_REQUIRE(::ftruncate(memory.get(), 65536) == 0);
  ByteWriter table, addresses;
  table.le32(1).le32(0).le64(0x1000).le64(65536).le64(0x1000).le64(0);
  addresses.le32(0).le32(0).le64(0x1000).le64(0x3000).le64(0x2000).le64(0);
  const auto begin = [&](std::uint16_t base) {
    driver.model.kicks = driver.model.started = 0;
    driver.send(Request::set_vring_enable, state(0, 1));
    driver.send(Request::set_mem_table, table.buffer(), memory.get());
    driver.send(Request::set_vring_num, state(0, 16));
    driver.send(Request::set_vring_base, state(0, base));
    driver.send(Request::set_vring_addr, addresses.buffer());
    driver.send(Request::set_vring_call, file_of(0), call.get());
    driver.send(Request::set_vring_kick, file_of(0), kick.get(), kFlagNeedReply);
    driver.answer(kHeaderSize + 8);
    BOOST_TEST(driver.endpoint->queue(0).running());
    BOOST_TEST(driver.model.kicks == 1u);  // it looks once by itself
  };
  const auto kicked = [&] {
    driver.model.kicks = 0;
    const std::uint64_t one = 1;
    BOOST_REQUIRE(::write(kick.get(), &one, sizeof one) == sizeof one);
    return driver.loop.run_until([&] { return driver.model.kicks != 0; }, kLimit);
  };
  begin(5);
  BOOST_TEST(!driver.model.went_on);
  BOOST_TEST(kicked());
  driver.send(Request::set_mem_table, table.buffer(), memory.get());  // while it runs
  BOOST_TEST(kicked());
  BOOST_TEST(driver.endpoint->queue(0).running());

  driver.endpoint->call(0);
  driver.send(Request::get_vring_base, state(0, 0));
  ByteBuffer reply = driver.answer(kHeaderSize + 8);
  ByteReader base(ByteView(reply).subspan(kHeaderSize + 4));
  BOOST_TEST(base.le32() == 5u);
  std::uint64_t calls = 0;
  BOOST_TEST(::read(call.get(), &calls, sizeof calls) == 8);  // out before the answer
  BOOST_TEST(!driver.endpoint->queue(0).running());
  BOOST_TEST(driver.endpoint->paused(0));
  begin(5);
  BOOST_TEST(driver.model.went_on);
  BOOST_TEST(!driver.endpoint->paused(0));

  driver.send(Request::get_vring_base, state(0, 0));
  driver.answer(kHeaderSize + 8);
  begin(0);
  BOOST_TEST(!driver.model.went_on);
}

// In lockstep: what it is to be told waits, and it is still found out if it does not yield.
BOOST_AUTO_TEST_CASE(a_guest_that_does_not_read_its_calls_keeps_nobody_awake) {
  LockstepRules impatient;
  impatient.lookahead = std::chrono::microseconds(100);
  impatient.patience = std::chrono::milliseconds(1);
  std::vector<std::string> stuck;
  Driver driver(std::make_unique<LockstepPacer>(impatient, [&](const auto& who) { stuck = who; }));
  const UniqueFd memory(::memfd_create("guest", MFD_CLOEXEC));
  BOOST_REQUIRE(::ftruncate(memory.get(), 65536) == 0);
  int ends[2];
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  UniqueFd calls(ends[0]), guests(ends[1]);
  const int few = 1;  // the smallest buffer that there is
  ::setsockopt(calls.get(), SOL_SOCKET, SO_SNDBUF, &few, sizeof few);
  ByteWriter table, addresses;
  table.le32(1).le32(0).le64(0x1000).le64(65536).le64(0x1000).le64(0);
  addresses.le32(0).le32(0).le64(0x1000).le64(0x3000).le64(0x2000).le64(0);
  driver.lane->begin();
  driver.send(Request::set_mem_table, table.buffer(), memory.get());
  driver.send(Request::set_vring_num, state(0, 16));
  driver.send(Request::set_vring_addr, addresses.buffer());
  driver.send(Request::set_slave_req_fd, {}, calls.get());
  driver.send(Request::set_vring_enable, state(0, 1));
  const UniqueFd rests(::eventfd(1, EFD_CLOEXEC));
  Watch watch = driver.loop.watch(rests.get(), EPOLLIN, [&](std::uint32_t) {
    watch.stop();
    driver.lane->yielded(driver.lane->now(), std::nullopt);
  });
  driver.loop.run_until([&] { return !driver.lane->running(); }, kLimit);
  BOOST_REQUIRE(driver.endpoint->queue(0).running());

  struct Runner final : LaneRunner {
    explicit Runner(Driver& of) : driver(of) {}
    void set_clock(Time) override {}
    void run(Time) override {
      driver.loop.soon([this] { driver.lane->yielded(driver.lane->now(), std::nullopt); });
    }
    Driver& driver;
  } runner(driver);
  driver.lane->set_runner(&runner);
  const auto tell = [&] { driver.lane->enter([&] { driver.endpoint->call(0); }); };
  for (int i = 0; i < 100; ++i) {
    tell();
    driver.loop.run_until([] { return false; }, std::chrono::microseconds(1));
  }
  // Now there is room again; and the guest runs, and does not yield.
  const auto read_calls = [&] {
    ByteBuffer bytes(1 << 16);
    return ::recv(guests.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  };
  const ssize_t got = read_calls();
  BOOST_TEST(got > static_cast<ssize_t>(kHeaderSize + 8));
  BOOST_TEST(got < 100 * static_cast<ssize_t>(kHeaderSize + 8));  // some had to wait
  driver.lane->begin();
  BOOST_TEST((driver.loop.run() == EventLoop::Outcome::idle));
  BOOST_TEST(stuck == std::vector<std::string>{"guest"});
  driver.lane->yielded(driver.lane->now(), std::nullopt);
  tell();
  driver.loop.run_until([] { return false; }, std::chrono::microseconds(1));
  BOOST_TEST(read_calls() > 0);
  driver.lane->set_runner(nullptr);
}

BOOST_AUTO_TEST_CASE(a_driver_that_leaves_and_comes_again_is_served) {
  Driver driver;
  driver.send(Request::get_features);
  driver.answer(kHeaderSize + 8);
  driver.socket.reset();
  BOOST_TEST(driver.fault().empty());
  driver.socket = connect_unix(driver.folder.path() / "s").value();
  driver.send(Request::get_features);
  driver.answer(kHeaderSize + 8);
  BOOST_TEST(driver.endpoint->connected());
}

// A queue that runs, in memory of its own.
UniqueFd run_queue(Driver& driver) {
  UniqueFd memory(::memfd_create("guest", MFD_CLOEXEC));
  BOOST_REQUIRE(::ftruncate(memory.get(), 65536) == 0);
  ByteWriter table, addresses;
  table.le32(1).le32(0).le64(0x1000).le64(65536).le64(0x1000).le64(0);
  addresses.le32(0).le32(0).le64(0x1000).le64(0x3000).le64(0x2000).le64(0);
  driver.send(Request::set_mem_table, table.buffer(), memory.get());
  driver.send(Request::set_vring_num, state(0, 16));
  driver.send(Request::set_vring_addr, addresses.buffer());
  driver.send(Request::set_vring_enable, state(0, 1), -1, kFlagNeedReply);
  driver.answer(kHeaderSize + 8);
  return memory;
}

BOOST_AUTO_TEST_CASE(a_driver_that_says_much_at_once_has_its_share_of_each_turn) {
  Driver driver;
  const UniqueFd memory = run_queue(driver);
  std::map<std::uint64_t, std::int64_t> by_turn;
  driver.model.on_kick = [&] { ++by_turn[driver.loop.turns()]; };
  ByteBuffer all;
  constexpr int kKicks = 3000;
  for (int i = 0; i < kKicks; ++i) {
    const ByteBuffer one = encode(static_cast<std::uint32_t>(Request::vring_kick), 0, state(0, 0));
    all.insert(all.end(), one.begin(), one.end());
  }
  BOOST_REQUIRE(::send(driver.socket.get(), all.data(), all.size(), MSG_DONTWAIT) ==
                static_cast<ssize_t>(all.size()));
  driver.send(Request::get_features);
  driver.answer(kHeaderSize + 8);  // in its place, behind them
  std::int64_t kicks = 0;
  for (const auto& [turn, count] : by_turn) {
    kicks += count;
    BOOST_TEST(count <= TurnShare().messages);
  }
  // One for which a turn had no room is one with the next.
  BOOST_TEST(kicks > kKicks - 10);
  BOOST_TEST(by_turn.size() > kKicks / static_cast<std::size_t>(TurnShare().messages));
}

BOOST_AUTO_TEST_CASE(one_whose_queue_never_ends_leaves_each_other_guest_its_turn) {
  Driver hostile;
  Echo other;
  const auto path = hostile.folder.path() / "other";
  const auto endpoint = Endpoint::listen(hostile.loop, path, other).value();
  other.endpoint = endpoint.get();
  const UniqueFd socket = connect_unix(path).value();
  const UniqueFd memory = run_queue(hostile);
  hostile.model.works_without_end = true;
  hostile.send(Request::vring_kick, state(0, 0));
  BOOST_REQUIRE(hostile.loop.run_until([&] { return hostile.model.worked > 0; }, kLimit));
  // Now the other speaks up.
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t before = hostile.model.worked, turn = hostile.loop.turns();
    const ByteBuffer ask = encode(static_cast<std::uint32_t>(Request::get_features), 0, {});
    BOOST_REQUIRE(::send(socket.get(), ask.data(), ask.size(), 0) == static_cast<ssize_t>(ask.size()));
    std::array<char, 64> answer;
    BOOST_REQUIRE(hostile.loop.run_until(
        [&] { return ::recv(socket.get(), answer.data(), answer.size(), MSG_DONTWAIT) > 0; }, kLimit));
    const std::uint64_t turns = hostile.loop.turns() - turn;
    BOOST_TEST(turns <= 2u);
    BOOST_TEST(hostile.model.worked - before <= turns * static_cast<std::uint64_t>(TurnShare().requests));
  }
}

// It shares the descriptors with us: their O_NONBLOCK and their counters are the driver's as well.
BOOST_AUTO_TEST_CASE(event_descriptors_that_a_driver_makes_block_do_not_block_us) {
  const UniqueFd lower(::eventfd(0, EFD_CLOEXEC));  // of the lowest number, so that it is served first
  Driver driver;
  const UniqueFd memory = run_queue(driver);
  const UniqueFd kick(::eventfd(0, EFD_CLOEXEC)), call(::eventfd(0, EFD_CLOEXEC));
  driver.send(Request::set_vring_call, file_of(0), call.get());
  driver.send(Request::set_vring_kick, file_of(0), kick.get(), kFlagNeedReply);
  driver.answer(kHeaderSize + 8);
  ::fcntl(kick.get(), F_SETFL, 0);
  ::fcntl(call.get(), F_SETFL, 0);
  const std::uint64_t full = ~std::uint64_t{1}, one = 1;
  BOOST_REQUIRE(::write(call.get(), &full, sizeof full) == sizeof full);
  // Whoever is stuck is freed in the end, and that is the failure.
  std::promise<void> over;
  bool was_stuck = false;
  std::thread rescuer([&, done = over.get_future()] {
    if (done.wait_for(std::chrono::seconds(10)) == std::future_status::ready) return;
    was_stuck = true;
    std::uint64_t count;
    (void)!::read(call.get(), &count, sizeof count);
    (void)!::write(kick.get(), &one, sizeof one);
  });
  driver.endpoint->call(0);
  bool called = false;
  driver.loop.soon([&] { driver.loop.soon([&] { called = true; }); });
  BOOST_TEST(driver.loop.run_until([&] { return called; }, kLimit));

  // Kicked, and the counter taken away between the poller's look and ours.
  bool stolen = false;
  Watch watch = driver.loop.watch(lower.get(), EPOLLIN, [&](std::uint32_t) {
    std::uint64_t count;
    if (!stolen) (void)!::read(kick.get(), &count, sizeof count);
    stolen = true;
    (void)!::read(lower.get(), &count, sizeof count);
  });
  BOOST_REQUIRE(::write(kick.get(), &one, sizeof one) == sizeof one);
  BOOST_REQUIRE(::write(lower.get(), &one, sizeof one) == sizeof one);
  driver.model.kicks = 0;
  BOOST_TEST(driver.loop.run_until([&] { return stolen; }, kLimit));
  over.set_value();
  rescuer.join();
  BOOST_TEST(!was_stuck);
  BOOST_TEST(driver.endpoint->connected());
}

BOOST_AUTO_TEST_CASE(a_guest_that_rests_and_goes_on_sending_is_given_up) {
  LockstepRules rules;
  rules.lookahead = std::chrono::microseconds(100);
  Driver driver(std::make_unique<LockstepPacer>(rules, [](const auto&) {}));
  const ByteBuffer ask = encode(static_cast<std::uint32_t>(Request::get_config), 0,
                                ByteWriter().le32(0).le32(4).le32(0).zeros(4).take());
  std::uint64_t said = 0;
  driver.model.on_config = [&] {  // the socket is full again with each that is answered
    std::array<char, 4096> answers;
    while (::recv(driver.socket.get(), answers.data(), answers.size(), MSG_DONTWAIT) > 0) {
    }
    while (::send(driver.socket.get(), ask.data(), ask.size(), MSG_DONTWAIT) > 0) {
    }
    ++said;
  };
  driver.lane->begin();
  const UniqueFd rests(::eventfd(1, EFD_CLOEXEC));
  Watch watch = driver.loop.watch(rests.get(), EPOLLIN, [&](std::uint32_t) {
    watch.stop();
    driver.model.on_config();
    driver.lane->yielded(driver.lane->now(), std::nullopt);
  });
  driver.loop.run_until([&] { return driver.model.disconnects > 0; }, std::chrono::milliseconds(1));
  BOOST_TEST(driver.model.disconnects == 1u);
  BOOST_TEST(driver.endpoint->fault() == "vhost-user: a guest that rests goes on sending messages");
  // Some may have been read while it still ran.
  BOOST_TEST(said > static_cast<std::uint64_t>(TurnShare::in_lockstep().messages));
  BOOST_TEST(said < 3 * static_cast<std::uint64_t>(TurnShare::in_lockstep().messages));
}

BOOST_AUTO_TEST_CASE(what_a_driver_may_not_do_ends_the_connection_and_is_named) {
  const auto fault_after = [](auto misbehave) {
    Driver driver;
    misbehave(driver);
    return driver.fault();
  };
  const UniqueFd no_event(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));  // of a kind that is never ready
  BOOST_TEST(fault_after([&](Driver& d) { d.send(Request::set_vring_call, file_of(0), no_event.get()); }) ==
             "vhost-user: a notification that is no event descriptor");
  BOOST_TEST(fault_after([&](Driver& d) { d.send(Request::set_slave_req_fd, {}, file.get()); }) ==
             "vhost-user: calls are to go to a descriptor that is no socket");
  BOOST_TEST(fault_after([](Driver& d) { d.send(Request::set_vring_kick, file_of(0)); }) ==
             "vhost-user: a message without its one descriptor");
  BOOST_TEST(fault_after([](Driver& d) { d.send(Request::set_vring_kick, file_of(2)); }) ==
             "vhost-user: there is no queue 2");
  BOOST_TEST(fault_after([](Driver& d) {
               ByteWriter features;
               features.le64(kFeatureLogAll);
               d.send(Request::set_features, features.buffer());
             }) == "vhost-user: a log of changed pages is wanted of a device that runs");
  BOOST_TEST(fault_after([](Driver& d) { d.send(Request::set_vring_num, state(2, 16)); }) ==
             "vhost-user: there is no queue 2");
  BOOST_TEST(fault_after([](Driver& d) { d.send(Request::set_vring_num, state(0, 7)); }) ==
             "vhost-user: a queue of 7 entries is refused: a power of two up to 1024 is taken");
  BOOST_TEST(fault_after([](Driver& d) { d.send(Request::set_vring_num, state(0, 2048)); }) ==
             "vhost-user: a queue of 2048 entries is refused: a power of two up to 1024 is taken");
  BOOST_TEST(fault_after([](Driver& d) { d.send(Request::set_vring_num, {}); }) ==
             "vhost-user: a vring state is too short");
  BOOST_TEST(fault_after([](Driver& d) { d.send(999, state(0, 0)); }) ==
             "vhost-user: a request that cannot be here");
  BOOST_TEST(fault_after([](Driver& d) {
               ByteWriter features;
               features.le64(1ull << 60);
               d.send(Request::set_features, features.buffer());
             }) == "vhost-user: the driver wants features that were not offered");
  BOOST_TEST(fault_after([](Driver& d) {
               ByteWriter table;
               table.le32(1).le32(0).le64(0).le64(4096).le64(0).le64(0);
               d.send(Request::set_mem_table, table.buffer());
             }) == "vhost-user: a memory table without a file for each region");
  BOOST_TEST(fault_after([](Driver& d) {
               ByteWriter header;
               header.le32(1).le32(kVersion).le32(1u << 30);
               BOOST_REQUIRE(::send(d.socket.get(), header.buffer().data(), header.size(), 0) == 12);
             }) == "vhost-user: a message of 1073741824 bytes is refused");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vhost_user
