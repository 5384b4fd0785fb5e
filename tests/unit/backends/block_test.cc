// A disk behind a hand-made driver: requests as virtio-blk makes them, honest and not.
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <optional>

#include "backends/disk/vhost_block.h"
#include "base/file.h"
#include "tests/support/vhost_driver.h"

namespace rookery::backends {
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

BOOST_AUTO_TEST_CASE(an_unknown_request_is_unsupported) {
  Disk disk;
  BOOST_TEST(disk.request(99, 0, 512) == 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::backends
