// A split virtqueue (virtio 1.2 §2.7), device side, over memory that a guest shares and may change at any
// moment: each index and descriptor is read once, checked, and only then used. A queue that breaks the rules
// turns broken() and gives nothing more. Owned by its device; valid as long as the guest's memory is mapped.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/vhost_user/memory.h"

namespace rookery::vhost_user {

// One request of the guest: what it gives us to read, then what it gives us to fill.
struct Chain {
  std::uint16_t head = 0;
  std::uint16_t descriptors = 0;  // that it is made of; some of them may be empty
  std::vector<std::span<const std::uint8_t>> readable;
  std::vector<std::span<std::uint8_t>> writable;

  std::size_t readable_size() const;
  std::size_t writable_size() const;
  // Copies out of the readable part from `offset` on; returns how many bytes there were.
  std::size_t read(std::size_t offset, std::span<std::uint8_t> into) const;
  // Copies into the writable part from `offset` on; returns how many bytes fitted.
  std::size_t write(std::size_t offset, ByteView from) const;
};

class Virtqueue {
 public:
  // As QEMU's own devices have it (VIRTQUEUE_MAX_SIZE); virtio would allow 32,768, and with as many
  // descriptors in each request 2^30 steps a queue.
  static constexpr std::uint32_t kSizeLimit = 1024;

  Status set_size(std::uint32_t size);  // a power of two; not while it runs
  void set_next(std::uint16_t next) { next_available_ = used_index_ = next; }
  std::uint16_t next() const { return next_available_; }
  // Where the three rings lie; they must be wholly the guest's memory.
  Status start(const GuestMemory& memory, const VringAddresses& addresses);
  void stop() { memory_ = nullptr; }
  bool running() const { return memory_ != nullptr && !broken_; }
  bool broken() const { return broken_; }
  const std::string& fault() const { return fault_; }  // what broke it

  // The next request, into `chain` (its vectors are reused); false when there is none.
  bool pop(Chain& chain);
  // Gives back the request that was popped last, untouched, to be popped again.
  void unpop() { --next_available_; }
  // Answers a request. The guest sees it at once; tell it by a call if wants_call().
  void push(std::uint16_t head, std::uint32_t written);
  // Answers several at once: they become visible together (mergeable receive buffers).
  struct Used {
    std::uint16_t head;
    std::uint32_t written;
  };
  void push(std::span<const Used> used);

  bool wants_call() const;          // the guest asks to be told of used buffers
  void ask_for_kicks(bool wanted);  // a hint to the guest
  bool has_available() const;

 private:
  bool break_queue(const char* why);
  bool follow(std::uint16_t head, Chain& chain);

  const GuestMemory* memory_ = nullptr;
  std::uint16_t size_ = 0;
  std::span<std::uint8_t> descriptors_, available_, used_;
  std::uint16_t next_available_ = 0;
  std::uint16_t used_index_ = 0;
  bool broken_ = false;
  std::string fault_;
};

}  // namespace rookery::vhost_user
