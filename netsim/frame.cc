#include "netsim/frame.h"

#include <array>
#include <cstring>
#include <new>

namespace rookery::netsim {
namespace detail {
namespace {

// Whole buffers, in bytes: a queue of small frames must not hold 30 times their size.
constexpr std::array<std::size_t, 4> kClassSizes{256, 2048, 16'384, 65'536 + 128};
constexpr std::size_t kHeadroom = 8;  // one VLAN tag, and the data stays aligned
constexpr std::size_t kOverhead = sizeof(FrameBuffer) + kHeadroom;
constexpr std::size_t kKeptLimit = std::size_t{64} << 20;
constexpr std::align_val_t kAlignment{64};
static_assert(kClassSizes.back() >= kLargestFrame + kOverhead);
static_assert(kSmallestFrame >= 14, "Frame::big48 reads eight bytes from offset 6");

// Two NICs for 4,000 machines. Beyond, senders have one share together.
constexpr std::size_t kShares = 8192;
struct Share {
  std::size_t in_use = 0;
  bool taken = false;
};

// Trivially destructible, so that a frame may outlive everything else in its thread.
struct Pool {
  std::array<FrameBuffer*, kClassSizes.size()> free{};
  std::size_t in_use = 0;
  std::size_t kept = 0;
  std::size_t limit = std::size_t{512} << 20;
  std::uint64_t refused = 0;
  std::array<Share, kShares> shares{};
};
constinit thread_local Pool pool;

}  // namespace

FrameBuffer* take_buffer(std::size_t size, std::uint32_t share) {
  if (size < kSmallestFrame || size > kLargestFrame) return nullptr;
  std::uint8_t pool_class = 0;
  while (size + kOverhead > kClassSizes[pool_class]) ++pool_class;
  const std::size_t whole = kClassSizes[pool_class];
  Share& owner = pool.shares[share];
  if (pool.in_use + whole > pool.limit || (share != 0 && owner.in_use + whole > pool.limit - pool.in_use)) {
    ++pool.refused;
    return nullptr;
  }
  FrameBuffer* buffer = pool.free[pool_class];
  if (buffer != nullptr) {
    pool.free[pool_class] = buffer->next_free;
    pool.kept -= whole;
  } else {
    void* memory = ::operator new(whole, kAlignment, std::nothrow);
    if (memory == nullptr) {
      ++pool.refused;
      return nullptr;
    }
    buffer = new (memory) FrameBuffer;
    buffer->pool_class = pool_class;
  }
  pool.in_use += whole;
  owner.in_use += whole;
  buffer->owners = 1;
  buffer->share = share;
  buffer->size = static_cast<std::uint32_t>(size);
  buffer->start = kHeadroom;
  buffer->switches_passed = 0;
  buffer->origin = 0;
  buffer->offload = {};
  return buffer;
}

void give_back(FrameBuffer* buffer) {
  const std::size_t whole = kClassSizes[buffer->pool_class];
  pool.in_use -= whole;
  pool.shares[buffer->share].in_use -= whole;
  if (pool.kept + whole > kKeptLimit) {
    ::operator delete(buffer, kAlignment);
    return;
  }
  buffer->next_free = pool.free[buffer->pool_class];
  pool.free[buffer->pool_class] = buffer;
  pool.kept += whole;
}

}  // namespace detail

namespace {

constexpr std::size_t kAddresses = 2 * MacAddress::kSize;
constexpr std::uint16_t kTagSize = 4;

void move_checksum_start(Offload& offload, int by) {
  if (offload.flags & Offload::kNeedsChecksum) {
    offload.checksum_start = static_cast<std::uint16_t>(offload.checksum_start + by);
  }
  if (offload.segments != Offload::kSegmentsNone) {
    offload.header_length = static_cast<std::uint16_t>(offload.header_length + by);
  }
}

}  // namespace

Frame Frame::copy(ByteView bytes) {
  FrameBuilder builder(bytes.size());
  return std::move(builder).filled_with(bytes);
}

Frame Frame::copy(ByteView bytes, const FrameShare& share) {
  FrameBuilder builder(bytes.size(), share);
  return std::move(builder).filled_with(bytes);
}

Frame FrameBuilder::filled_with(ByteView bytes) && {
  if (buffer_ == nullptr) return {};
  std::memcpy(buffer_->data(), bytes.data(), bytes.size());
  return std::move(*this).freeze();
}

// One that is gone keeps its number as long as frames of it live.
FrameShare::FrameShare() : number_(0) {
  auto& shares = detail::pool.shares;
  for (std::uint32_t i = 1; i < shares.size() && number_ == 0; ++i) {
    if (!shares[i].taken && shares[i].in_use == 0) number_ = i;
  }
  if (number_ == 0) number_ = static_cast<std::uint32_t>(shares.size() - 1);
  shares[number_].taken = true;
}

FrameShare::~FrameShare() {
  detail::pool.shares[number_].taken = false;
}

Frame Frame::tagged(VlanTag tag) && {
  Frame result;
  if (buffer_->owners == 1 && buffer_->start >= kTagSize && size() + kTagSize <= kLargestFrame) {
    result = std::move(*this);
    std::uint8_t* old_start = result.buffer_->data();
    result.buffer_->start = static_cast<std::uint8_t>(result.buffer_->start - kTagSize);
    result.buffer_->size += kTagSize;
    std::memmove(result.buffer_->data(), old_start, kAddresses);
  } else {
    FrameBuilder builder(size() + kTagSize, *this);
    if (!builder) return {};
    std::uint8_t* to = builder.bytes().data();
    std::memcpy(to, buffer_->data(), kAddresses);
    std::memcpy(to + kAddresses + kTagSize, buffer_->data() + kAddresses, size() - kAddresses);
    builder.offload() = buffer_->offload;
    result = std::move(builder).freeze();
  }
  std::uint8_t* at = result.buffer_->data() + kAddresses;
  at[0] = kEthertypeVlan >> 8;
  at[1] = kEthertypeVlan & 0xff;
  at[2] = static_cast<std::uint8_t>(tag.control >> 8);
  at[3] = static_cast<std::uint8_t>(tag.control);
  move_checksum_start(result.buffer_->offload, kTagSize);
  return result;
}

Frame Frame::untagged() && {
  if (!vlan_tag()) return {};
  Frame result;
  if (buffer_->owners == 1) {
    result = std::move(*this);
    std::uint8_t* old_start = result.buffer_->data();
    std::memmove(old_start + kTagSize, old_start, kAddresses);
    result.buffer_->start = static_cast<std::uint8_t>(result.buffer_->start + kTagSize);
    result.buffer_->size -= kTagSize;
  } else {
    FrameBuilder builder(size() - kTagSize, *this);
    if (!builder) return {};
    std::uint8_t* to = builder.bytes().data();
    std::memcpy(to, buffer_->data(), kAddresses);
    std::memcpy(to + kAddresses, buffer_->data() + kAddresses + kTagSize, size() - kAddresses - kTagSize);
    builder.offload() = buffer_->offload;
    result = std::move(builder).freeze();
  }
  move_checksum_start(result.buffer_->offload, -int{kTagSize});
  return result;
}

FrameBuilder::FrameBuilder(std::size_t size, const Frame& from)
    : buffer_(detail::take_buffer(size, from.buffer_->share)) {
  if (buffer_ == nullptr) return;
  buffer_->switches_passed = from.buffer_->switches_passed;
  buffer_->origin = from.buffer_->origin;
}

FramePoolState frame_pool_state() {
  const auto& pool = detail::pool;
  return {Bytes{pool.in_use}, Bytes{pool.kept}, Bytes{pool.limit}, pool.refused};
}

void set_frame_pool_limit(Bytes limit) {
  detail::pool.limit = limit.count;
}

}  // namespace rookery::netsim
