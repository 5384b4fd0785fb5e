// A guest made of a memory file: rings written by hand, honest and hostile.
#include "base/vhost_user/virtqueue.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

namespace rookery::vhost_user {
namespace {

constexpr std::uint64_t kBase = 0x60000000;
constexpr std::uint64_t kMemory = 1 << 20;
constexpr std::uint32_t kSize = 8;
constexpr std::uint64_t kDescriptors = 0, kAvailable = 0x1000, kUsed = 0x2000, kBuffers = 0x4000;

struct Guest {
  UniqueFd file{::memfd_create("guest", MFD_CLOEXEC)};
  std::uint8_t* memory = nullptr;
  std::optional<GuestMemory> mapped;
  Virtqueue queue;
  std::uint16_t available = 0;

  Guest() {
    BOOST_REQUIRE(::ftruncate(file.get(), kMemory) == 0);
    memory = static_cast<std::uint8_t*>(
        ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
    std::vector<UniqueFd> files;
    files.emplace_back(::dup(file.get()));
    auto map = GuestMemory::map({{kBase, kMemory, kBase, 0}}, std::move(files));
    BOOST_REQUIRE(map.has_value());
    mapped = std::move(*map);
    BOOST_REQUIRE(queue.set_size(kSize).has_value());
    BOOST_REQUIRE(
        queue.start(*mapped, {0, 0, kBase + kDescriptors, kBase + kUsed, kBase + kAvailable}).has_value());
  }
  ~Guest() { ::munmap(memory, kMemory); }

  template <typename T>
  void put(std::uint64_t at, T value) {
    std::memcpy(memory + at, &value, sizeof value);
  }
  template <typename T>
  T get(std::uint64_t at) {
    T value;
    std::memcpy(&value, memory + at, sizeof value);
    return value;
  }
  void descriptor(unsigned index, std::uint64_t address, std::uint32_t length, std::uint16_t flags,
                  std::uint16_t next = 0) {
    put<std::uint64_t>(kDescriptors + 16 * index, address);
    put<std::uint32_t>(kDescriptors + 16 * index + 8, length);
    put<std::uint16_t>(kDescriptors + 16 * index + 12, flags);
    put<std::uint16_t>(kDescriptors + 16 * index + 14, next);
  }
  void offer(std::uint16_t head) {
    put<std::uint16_t>(kAvailable + 4 + 2 * (available % kSize), head);
    put<std::uint16_t>(kAvailable + 2, ++available);
  }
  std::string fault_of_next() {
    Chain chain;
    BOOST_TEST(!queue.pop(chain));
    BOOST_TEST(queue.broken());
    BOOST_TEST(!queue.running());
    return queue.fault();
  }
};

constexpr std::uint16_t kNext = 1, kWrite = 2, kIndirect = 4;

}  // namespace

BOOST_AUTO_TEST_SUITE(virtqueue)

BOOST_AUTO_TEST_CASE(gives_a_request_and_takes_its_answer) {
  Guest guest;
  std::memcpy(guest.memory + kBuffers, "hello", 5);
  guest.descriptor(0, kBase + kBuffers, 5, kNext, 3);
  guest.descriptor(3, kBase + kBuffers + 0x100, 4, kWrite | kNext, 4);
  guest.descriptor(4, kBase + kBuffers + 0x200, 4, kWrite);
  guest.offer(0);
  Chain chain;
  BOOST_REQUIRE(guest.queue.pop(chain));
  BOOST_TEST(chain.readable_size() == 5u);
  BOOST_TEST(chain.writable_size() == 8u);
  std::uint8_t text[3];
  BOOST_TEST(chain.read(2, text) == 3u);
  BOOST_TEST(as_text(text) == "llo");
  BOOST_TEST(chain.write(2, as_bytes("abcdef")) == 6u);
  BOOST_TEST(std::string(reinterpret_cast<char*>(guest.memory + kBuffers + 0x102), 2) == "ab");
  BOOST_TEST(std::string(reinterpret_cast<char*>(guest.memory + kBuffers + 0x200), 4) == "cdef");
  guest.queue.push(chain.head, 8);
  BOOST_TEST(guest.get<std::uint16_t>(kUsed + 2) == 1);
  BOOST_TEST(guest.get<std::uint32_t>(kUsed + 4) == 0u);
  BOOST_TEST(guest.get<std::uint32_t>(kUsed + 8) == 8u);
  BOOST_TEST(!guest.queue.pop(chain));
  BOOST_TEST(!guest.queue.broken());
}

BOOST_AUTO_TEST_CASE(wraps_around_many_times) {
  Guest guest;
  guest.descriptor(5, kBase + kBuffers, 1, 0);
  Chain chain;
  for (unsigned i = 0; i < 70'000; ++i) {
    guest.offer(5);
    BOOST_REQUIRE(guest.queue.pop(chain));
    guest.queue.push(chain.head, 0);
  }
  BOOST_TEST(guest.get<std::uint16_t>(kUsed + 2) == static_cast<std::uint16_t>(70'000));
}

BOOST_AUTO_TEST_CASE(asks_for_kicks_and_heeds_the_guest_s_wish_for_calls) {
  Guest guest;
  BOOST_TEST(guest.queue.wants_call());
  guest.put<std::uint16_t>(kAvailable, 1);
  BOOST_TEST(!guest.queue.wants_call());
  guest.queue.ask_for_kicks(false);
  BOOST_TEST(guest.get<std::uint16_t>(kUsed) == 1);
  guest.queue.ask_for_kicks(true);
  BOOST_TEST(guest.get<std::uint16_t>(kUsed) == 0);
}

BOOST_AUTO_TEST_CASE(a_request_that_is_given_back_comes_again) {
  Guest guest;
  guest.descriptor(0, kBase + kBuffers, 1, 0);
  guest.offer(0);
  Chain chain;
  BOOST_REQUIRE(guest.queue.pop(chain));
  guest.queue.unpop();
  BOOST_TEST(guest.queue.has_available());
  BOOST_TEST(guest.queue.pop(chain));
}

BOOST_AUTO_TEST_CASE(a_head_outside_of_the_table_breaks_the_queue) {
  Guest guest;
  guest.offer(kSize);
  BOOST_TEST(guest.fault_of_next() == "a request that starts outside of the descriptor table");
}

BOOST_AUTO_TEST_CASE(a_loop_of_descriptors_breaks_the_queue) {
  Guest guest;
  guest.descriptor(0, kBase + kBuffers, 1, kNext, 1);
  guest.descriptor(1, kBase + kBuffers, 1, kNext, 0);
  guest.offer(0);
  BOOST_TEST(guest.fault_of_next() == "a chain longer than the descriptor table");
}

BOOST_AUTO_TEST_CASE(a_buffer_outside_of_memory_breaks_the_queue) {
  for (const auto& [address, length] : {std::pair<std::uint64_t, std::uint32_t>{kBase - 1, 2},
                                        {kBase + kMemory - 1, 2},
                                        {~std::uint64_t{0}, 16},
                                        {0, 1}}) {
    Guest guest;
    guest.descriptor(0, address, length, 0);
    guest.offer(0);
    BOOST_TEST(guest.fault_of_next() == "a descriptor outside of the guest's memory");
  }
}

BOOST_AUTO_TEST_CASE(a_readable_buffer_behind_a_writable_one_breaks_the_queue) {
  Guest guest;
  guest.descriptor(0, kBase + kBuffers, 1, kWrite | kNext, 1);
  guest.descriptor(1, kBase + kBuffers, 1, 0);
  guest.offer(0);
  BOOST_TEST(guest.fault_of_next() == "a readable descriptor behind a writable one");
}

BOOST_AUTO_TEST_CASE(an_indirect_table_was_not_offered) {
  Guest guest;
  guest.descriptor(0, kBase + kBuffers, 16, kIndirect);
  guest.offer(0);
  BOOST_TEST(guest.fault_of_next() == "an indirect descriptor, which was not offered");
}

BOOST_AUTO_TEST_CASE(more_requests_than_entries_break_the_queue) {
  Guest guest;
  guest.put<std::uint16_t>(kAvailable + 2, kSize + 1);
  BOOST_TEST(guest.fault_of_next() == "more requests available than the queue has entries");
}

BOOST_AUTO_TEST_CASE(rings_outside_of_memory_or_unaligned_are_refused) {
  Guest guest;
  Virtqueue queue;
  BOOST_TEST(!queue.start(*guest.mapped, {0, 0, kBase, kBase + kUsed, kBase + kAvailable}).has_value());
  BOOST_TEST(!queue.set_size(0).has_value());
  BOOST_TEST(!queue.set_size(3).has_value());
  BOOST_TEST(!queue.set_size(65536).has_value());
  BOOST_REQUIRE(queue.set_size(kSize).has_value());
  BOOST_TEST(!queue.start(*guest.mapped, {0, 0, kBase + kMemory - 16, kBase + kUsed, kBase + kAvailable})
                  .has_value());
  BOOST_TEST(!queue.start(*guest.mapped, {0, 0, kBase, kBase + kUsed + 1, kBase + kAvailable}).has_value());
}

BOOST_AUTO_TEST_CASE(a_queue_that_runs_keeps_its_size) {
  Guest guest;
  BOOST_TEST(!guest.queue.set_size(2 * kSize).has_value());  // its rings are not so long
  guest.offer(kSize);
  BOOST_TEST(guest.fault_of_next() == "a request that starts outside of the descriptor table");
  BOOST_TEST(guest.queue.set_size(2 * kSize).has_value());
}

BOOST_AUTO_TEST_CASE(memory_that_its_file_does_not_hold_is_refused) {
  Guest guest;
  const auto map = [&](MemoryRegion region) {
    std::vector<UniqueFd> files;
    files.emplace_back(::dup(guest.file.get()));
    return GuestMemory::map({region}, std::move(files)).has_value();
  };
  BOOST_TEST(map({0, kMemory, 0, 0}));
  BOOST_TEST(!map({0, kMemory + 1, 0, 0}));
  BOOST_TEST(!map({0, kMemory, 0, 4096}));
  BOOST_TEST(!map({0, 0, 0, 0}));
  BOOST_TEST(!map({~std::uint64_t{0}, 4096, 0, 0}));
  BOOST_TEST(!map({0, 4096, 0, 17}));
  BOOST_TEST(!GuestMemory::map({{0, 4096, 0, 0}}, {}).has_value());
}

BOOST_AUTO_TEST_CASE(a_guest_that_takes_its_memory_away_does_not_kill_us) {
  Guest guest;
  guest.descriptor(0, kBase + kBuffers, 8, 0);
  guest.offer(0);
  Chain chain;
  BOOST_REQUIRE(guest.queue.pop(chain));
  BOOST_REQUIRE(::ftruncate(guest.file.get(), 0) == 0);
  std::uint8_t bytes[8] = {1};
  BOOST_TEST(chain.read(0, bytes) == 8u);
  BOOST_TEST(bytes[0] == 0);
  BOOST_TEST(guest.mapped->damaged());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vhost_user
