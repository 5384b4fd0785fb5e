// What a hostile guest can put into its messages, its rings and its descriptors. The input's first half
// becomes messages for the parsers, all of it the memory in which a queue is followed.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/vhost_user/protocol.h"
#include "base/vhost_user/virtqueue.h"

namespace {

using namespace rookery;
using namespace rookery::vhost_user;

constexpr std::size_t kMemory = 1 << 16;
constexpr std::uint64_t kBase = 0x10000;

void parse_messages(ByteView bytes) {
  if (const auto header = parse_header(bytes); !header || !*header) return;
  const ByteView payload = bytes.subspan(kHeaderSize);
  (void)parse_memory_table(payload);
  (void)parse_vring_state(payload);
  (void)parse_vring_file(payload);
  (void)parse_vring_addresses(payload);
  (void)parse_u64(payload);
  (void)parse_config_range(payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  parse_messages({data, size / 2});

  static const UniqueFd file(::memfd_create("guest", MFD_CLOEXEC));
  static auto* const memory = [] {
    if (::ftruncate(file.get(), kMemory) != 0) __builtin_trap();
    return static_cast<std::uint8_t*>(
        ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  }();
  std::memset(memory, 0, kMemory);
  std::memcpy(memory, data, std::min(size, kMemory));
  std::vector<UniqueFd> files;
  files.emplace_back(::dup(file.get()));
  const auto mapped = GuestMemory::map({{kBase, kMemory, kBase, 0}}, std::move(files));
  if (!mapped) __builtin_trap();
  Virtqueue queue;
  if (!queue.set_size(16) || !queue.start(*mapped, {0, 0, kBase, kBase + 0x200, kBase + 0x100}))
    __builtin_trap();
  Chain chain;
  // Answered requests change the guest's memory, and with it, perhaps, what comes next: bounded.
  for (int i = 0; i < 64 && queue.pop(chain); ++i) {
    std::uint8_t bytes[64];
    chain.read(0, bytes);
    const std::size_t written = chain.write(0, bytes);
    if (written > chain.writable_size()) __builtin_trap();
    queue.push(chain.head, static_cast<std::uint32_t>(written));
    (void)queue.wants_call();
  }
  return 0;
}
