// A disk behind a hand-made driver: requests as virtio-blk makes them, honest and not.
#include <sys/eventfd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include "base/file.h"
#include "base/loop/lane.h"
#include "disks/vhost_block.h"
#include "tests/support/vhost_driver.h"

namespace rookery::disks {
namespace {

constexpr std::uint64_t kMemory = 1 << 20, kAvailable = VhostDriver::kAvailable, kUsed = VhostDriver::kUsed,
                        kHeader = 0x3000, kData = 0x4000, kStatus = 0x8000;
constexpr Duration kLimit = std::chrono::seconds(20);

struct Disk {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop{std::make_unique<WallPacer>()};
  std::unique_ptr<ReadOnlyFile> store;
  std::unique_ptr<VhostBlockDevice> device;
  std::optional<VhostDriver> driver;
  std::uint8_t* memory = nullptr;
  std::uint16_t requests = 0;

  Disk() {
    std::string content(4 * 512, ' ');
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>('a' + i / 512);
    BOOST_REQUIRE(write_file(folder.path() / "disk", content).has_value());
    store = ReadOnlyFile::open(folder.path() / "disk").value();
    device = VhostBlockDevice::listen(loop, folder.path() / "s", *store, "serial-1").value();
    driver.emplace(folder.path() / "s", kMemory, 0);
    memory = driver->memory();
    driver->share_memory();
    driver->enable(0, 8, 0);
  }

  void descriptor(unsigned index, std::uint64_t at, std::uint32_t size, std::uint16_t flags) {
    ByteWriter writer;
    writer.le64(at).le32(size).le16(flags).le16(static_cast<std::uint16_t>(index + 1));
    std::memcpy(memory + 16 * index, writer.buffer().data(), 16);
  }
  // One request with `size` bytes of data (written by the device, or by the driver for type 1); gives its
  // status.
  int request(std::uint32_t type, std::uint64_t sector, std::uint32_t size) {
    constexpr std::uint16_t kNext = 1, kWrite = 2;
    ByteWriter header;
    header.le32(type).le32(0).le64(sector);
    std::memcpy(memory + kHeader, header.buffer().data(), 16);
    memory[kStatus] = 0xff;
    descriptor(0, kHeader, 16, kNext);
    descriptor(1, kData, size, static_cast<std::uint16_t>(kNext | (type == 1 ? 0 : kWrite)));
    descriptor(2, kStatus, 1, kWrite);
    std::memset(memory + kAvailable + 4, 0, 16);
    ++requests;
    std::memcpy(memory + kAvailable + 2, &requests, 2);
    driver->kick(0);
    const auto done = [&] {
      std::uint16_t used;
      std::memcpy(&used, memory + kUsed + 2, 2);
      return used == requests;
    };
    BOOST_REQUIRE(loop.run_until(done, kLimit));
    return memory[kStatus];
  }
  std::string data(std::size_t size) const { return {reinterpret_cast<char*>(memory + kData), size}; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(disk)

BOOST_AUTO_TEST_CASE(reads_sectors_and_tells_its_serial) {
  Disk disk;
  BOOST_TEST(disk.request(0, 1, 1024) == 0);
  BOOST_TEST(disk.data(1024) == std::string(512, 'b') + std::string(512, 'c'));
  BOOST_TEST(disk.request(8, 0, 20) == 0);
  BOOST_TEST(disk.data(8) == "serial-1");
  BOOST_TEST(disk.request(4, 0, 512) == 0);
  BOOST_TEST(disk.device->counters().reads == 1u);
}

BOOST_AUTO_TEST_CASE(what_lies_outside_or_between_sectors_is_an_error_and_nothing_is_read) {
  Disk disk;
  BOOST_TEST(disk.request(0, 4, 512) == 1);
  BOOST_TEST(disk.request(0, 3, 1024) == 1);
  BOOST_TEST(disk.request(0, ~std::uint64_t{0}, 512) == 1);
  BOOST_TEST(disk.request(0, 0, 100) == 1);
  BOOST_TEST(disk.request(0, 3, 512) == 0);
}

BOOST_AUTO_TEST_CASE(a_medium_is_not_written) {
  Disk disk;
  BOOST_TEST(disk.request(1, 0, 512) == 1);
  BOOST_TEST(read_file(disk.folder.path() / "disk").value().substr(0, 3) == "aaa");
}

// A large disk of zeros, and how much of it was read in each turn.
struct Zeros final : BlockStore {
  explicit Zeros(std::function<std::uint64_t()> now) : turn(std::move(now)) {}
  Bytes size() const override { return Bytes{std::uint64_t{1} << 40}; }
  bool read_only() const override { return true; }
  bool read(std::uint64_t, std::span<std::uint8_t> into) override {
    by_turn[turn()] += into.size();
    return true;
  }
  bool write(std::uint64_t, std::span<const std::uint8_t>) override { return false; }
  bool flush() override { return true; }
  std::function<std::uint64_t()> turn;
  std::map<std::uint64_t, std::uint64_t> by_turn;
};

// `requests` that each read `size` bytes to the same place, all made available at once. What its queue shows
// them to be is the guest's word: its memory need not be as large as what it wants of us.
struct Greedy {
  static constexpr std::uint64_t kMemory = 32 << 20, kData = 1 << 20;
  Greedy(const std::filesystem::path& socket, std::uint16_t requests, std::uint32_t size)
      : driver(socket, kMemory, 0) {
    driver.share_memory();
    driver.enable(0, 64, 0);
    ByteWriter header, descriptors, available;
    header.le32(0).le32(0).le64(0);
    std::memcpy(driver.memory() + kHeader, header.buffer().data(), 16);
    descriptors.le64(kHeader).le32(16).le16(1).le16(1);
    descriptors.le64(kData).le32(size).le16(1 | 2).le16(2);
    descriptors.le64(kStatus).le32(1).le16(2).le16(0);
    available.le16(0).le16(requests).zeros(2 * 64);
    std::memcpy(driver.memory(), descriptors.buffer().data(), descriptors.size());
    std::memcpy(driver.memory() + kAvailable, available.buffer().data(), available.size());
    driver.memory()[kStatus] = 0xff;
    driver.kick(0);
  }
  std::uint16_t answered() const {
    std::uint16_t used;
    std::memcpy(&used, driver.memory() + kUsed + 2, 2);
    return used;
  }
  VhostDriver driver;
};

BOOST_AUTO_TEST_CASE(much_that_is_wanted_at_once_is_read_over_several_turns) {
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop(std::make_unique<WallPacer>());
  Zeros store([&] { return loop.turns(); });
  const auto device = VhostBlockDevice::listen(loop, folder.path() / "s", store, "serial-1").value();
  constexpr std::uint32_t kEach = 3 << 20;
  const Greedy greedy(folder.path() / "s", 64, kEach);
  BOOST_REQUIRE(loop.run_until([&] { return greedy.answered() == 64; }, kLimit));
  BOOST_TEST(store.by_turn.size() >= 32u);
  for (const auto& [turn, bytes] : store.by_turn)
    BOOST_TEST(bytes <= static_cast<std::uint64_t>(TurnShare().bytes) + kEach);
}

BOOST_AUTO_TEST_CASE(a_request_of_more_than_is_told_is_an_error_and_nothing_is_read) {
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop(std::make_unique<WallPacer>());
  Zeros store([&] { return loop.turns(); });
  const auto device = VhostBlockDevice::listen(loop, folder.path() / "s", store, "serial-1").value();
  const Greedy greedy(folder.path() / "s", 1, VhostBlockDevice::kRequestMost + 512);
  BOOST_REQUIRE(loop.run_until([&] { return greedy.answered() == 1; }, kLimit));
  BOOST_TEST(greedy.driver.memory()[kStatus] == 1);
  BOOST_TEST(store.by_turn.empty());
  BOOST_TEST(device->counters().too_long == 1u);
}

// In lockstep, where it is done while the guest rests.
BOOST_AUTO_TEST_CASE(more_than_a_share_is_read_while_a_guest_rests_in_several_steps_of_its_lane) {
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  LockstepRules rules;
  rules.lookahead = std::chrono::microseconds(100);
  EventLoop loop(std::make_unique<LockstepPacer>(rules, [](const auto&) {}));
  const auto lane = Lane::make(loop, "guest");
  struct Runner final : LaneRunner {
    void set_clock(Time) override {}
    void run(Time) override {}
  } runner;
  lane->set_runner(&runner);
  Zeros store([&] { return lane->now().since_start.count(); });
  const auto device =
      VhostBlockDevice::listen(loop, folder.path() / "s", store, "serial-1", lane.get()).value();
  lane->begin();
  constexpr std::uint32_t kEach = 4 << 20;
  const Greedy greedy(folder.path() / "s", 32, kEach);
  const UniqueFd rests(::eventfd(1, EFD_CLOEXEC));
  Watch watch = loop.watch(rests.get(), EPOLLIN, [&](std::uint32_t) {
    watch.stop();
    lane->yielded(lane->now(), std::nullopt);
  });
  BOOST_TEST(loop.run_until([&] { return greedy.answered() == 32; }, std::chrono::milliseconds(1)));
  BOOST_TEST(store.by_turn.size() == 4u);
  for (const auto& [turn, bytes] : store.by_turn)
    BOOST_TEST(bytes == static_cast<std::uint64_t>(TurnShare::in_lockstep().bytes));
  BOOST_TEST((lane->now() == Time{Duration{3}}));  // and it repeats itself
  lane->set_runner(nullptr);
}

BOOST_AUTO_TEST_CASE(an_unknown_request_is_unsupported) {
  Disk disk;
  BOOST_TEST(disk.request(99, 0, 512) == 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::disks
