#include "base/vhost_user/virtqueue.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

namespace rookery::vhost_user {
namespace {

static_assert(std::endian::native == std::endian::little,
              "virtio 1 rings are little-endian, and read in place");

// virtio 1.2 §2.7.5, §2.7.6, §2.7.8
constexpr std::size_t kDescriptorSize = 16;
constexpr std::uint16_t kDescriptorNext = 1;
constexpr std::uint16_t kDescriptorWrite = 2;
constexpr std::uint16_t kDescriptorIndirect = 4;
constexpr std::uint16_t kAvailableNoInterrupt = 1;
constexpr std::uint16_t kUsedNoNotify = 1;
constexpr std::size_t kIndexOffset = 2;
constexpr std::size_t kRingOffset = 4;

template <typename T>
T load(std::span<std::uint8_t> from, std::size_t offset,
       std::memory_order order = std::memory_order_relaxed) {
  return std::atomic_ref<T>(*reinterpret_cast<T*>(from.data() + offset)).load(order);
}
template <typename T>
void store(std::span<std::uint8_t> to, std::size_t offset, T value,
           std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref<T>(*reinterpret_cast<T*>(to.data() + offset)).store(value, order);
}

}  // namespace

std::size_t Chain::readable_size() const {
  std::size_t size = 0;
  for (const auto& part : readable) size += part.size();
  return size;
}

std::size_t Chain::writable_size() const {
  std::size_t size = 0;
  for (const auto& part : writable) size += part.size();
  return size;
}

std::size_t Chain::read(std::size_t offset, std::span<std::uint8_t> into) const {
  std::size_t done = 0;
  for (const auto& part : readable) {
    if (offset >= part.size()) {
      offset -= part.size();
      continue;
    }
    const std::size_t count = std::min(part.size() - offset, into.size() - done);
    std::memcpy(into.data() + done, part.data() + offset, count);
    done += count;
    offset = 0;
    if (done == into.size()) break;
  }
  return done;
}

std::size_t Chain::write(std::size_t offset, ByteView from) const {
  std::size_t done = 0;
  for (const auto& part : writable) {
    if (offset >= part.size()) {
      offset -= part.size();
      continue;
    }
    const std::size_t count = std::min(part.size() - offset, from.size() - done);
    std::memcpy(part.data() + offset, from.data() + done, count);
    done += count;
    offset = 0;
    if (done == from.size()) break;
  }
  return done;
}

Status Virtqueue::set_size(std::uint32_t size) {
  if (size == 0 || size > kSizeLimit || !std::has_single_bit(size)) {
    return fail("vhost-user: a queue of " + std::to_string(size) +
                " entries is refused: a power of two up to " + std::to_string(kSizeLimit) + " is taken");
  }
  if (running())
    return fail("vhost-user: the size of a queue that runs is not changed");  // its rings have it
  size_ = static_cast<std::uint16_t>(size);
  return {};
}

Status Virtqueue::start(const GuestMemory& memory, const VringAddresses& addresses) {
  if (size_ == 0) return fail("vhost-user: a queue without a size cannot start");
  descriptors_ = memory.at_user_address(addresses.descriptors, kDescriptorSize * size_);
  available_ = memory.at_user_address(addresses.available, kRingOffset + std::size_t{2} * size_);
  used_ = memory.at_user_address(addresses.used, kRingOffset + std::size_t{8} * size_);
  if (descriptors_.empty() || available_.empty() || used_.empty() ||
      reinterpret_cast<std::uintptr_t>(descriptors_.data()) % 16 != 0 ||
      reinterpret_cast<std::uintptr_t>(available_.data()) % 2 != 0 ||
      reinterpret_cast<std::uintptr_t>(used_.data()) % 4 != 0) {
    return fail("vhost-user: the rings of a queue are not in the guest's memory");
  }
  memory_ = &memory;
  broken_ = false;
  return {};
}

bool Virtqueue::break_queue(const char* why) {
  broken_ = true;
  fault_ = why;
  return false;
}

bool Virtqueue::has_available() const {
  return running() &&
         load<std::uint16_t>(available_, kIndexOffset, std::memory_order_acquire) != next_available_;
}

bool Virtqueue::pop(Chain& chain) {
  if (!running()) return false;
  const auto index = load<std::uint16_t>(available_, kIndexOffset, std::memory_order_acquire);
  const auto waiting = static_cast<std::uint16_t>(index - next_available_);
  if (waiting == 0) return false;
  if (waiting > size_) return break_queue("more requests available than the queue has entries");
  const auto head = load<std::uint16_t>(available_, kRingOffset + std::size_t{2} * (next_available_ % size_));
  if (head >= size_) return break_queue("a request that starts outside of the descriptor table");
  if (!follow(head, chain)) return false;
  ++next_available_;
  return true;
}

bool Virtqueue::follow(std::uint16_t head, Chain& chain) {
  chain.head = head;
  chain.readable.clear();
  chain.writable.clear();
  std::uint16_t at = head;
  for (unsigned count = 0; count < size_; ++count) {
    const std::size_t offset = kDescriptorSize * at;
    const auto address = load<std::uint64_t>(descriptors_, offset);
    const auto length = load<std::uint32_t>(descriptors_, offset + 8);
    const auto flags = load<std::uint16_t>(descriptors_, offset + 12);
    const auto next = load<std::uint16_t>(descriptors_, offset + 14);
    if ((flags & kDescriptorIndirect) != 0)
      return break_queue("an indirect descriptor, which was not offered");
    if (length > 0) {
      const std::span<std::uint8_t> part = memory_->at_guest_address(address, length);
      if (part.empty()) return break_queue("a descriptor outside of the guest's memory");
      if ((flags & kDescriptorWrite) != 0) {
        chain.writable.push_back(part);
      } else if (chain.writable.empty()) {
        chain.readable.push_back(part);
      } else {
        return break_queue("a readable descriptor behind a writable one");
      }
    }
    chain.descriptors = static_cast<std::uint16_t>(count + 1);
    if ((flags & kDescriptorNext) == 0) return true;
    if (next >= size_) return break_queue("a chain that leaves the descriptor table");
    at = next;
  }
  return break_queue("a chain longer than the descriptor table");
}

void Virtqueue::push(std::uint16_t head, std::uint32_t written) {
  const Used used{head, written};
  push({&used, 1});
}

void Virtqueue::push(std::span<const Used> used) {
  if (!running()) return;
  for (const Used& answer : used) {
    const std::size_t offset = kRingOffset + std::size_t{8} * (used_index_ % size_);
    store<std::uint32_t>(used_, offset, answer.head);
    store<std::uint32_t>(used_, offset + 4, answer.written);
    ++used_index_;
  }
  store<std::uint16_t>(used_, kIndexOffset, used_index_, std::memory_order_release);
}

bool Virtqueue::wants_call() const {
  if (!running()) return false;
  std::atomic_thread_fence(std::memory_order_seq_cst);  // the used index is out before the flag is read
  return (load<std::uint16_t>(available_, 0) & kAvailableNoInterrupt) == 0;
}

void Virtqueue::ask_for_kicks(bool wanted) {
  if (!running()) return;
  store<std::uint16_t>(used_, 0, wanted ? 0 : kUsedNoNotify);
  std::atomic_thread_fence(
      std::memory_order_seq_cst);  // the flag is out before the available index is read again
}

}  // namespace rookery::vhost_user
