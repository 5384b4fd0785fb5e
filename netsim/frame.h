// An Ethernet frame as an immutable, shared handle of one pointer, and the builder that fills one in place.
// Frames are single-threaded by design (the count of owners is not atomic) and live as long as their last
// handle; their buffers come from, and go back to, a bounded pool of the thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/units.h"
#include "netsim/mac_address.h"

namespace rookery::netsim {

// Two addresses and an ethertype (IEEE 802.3-2018 §3.1.1; the checksum at the end is never carried here).
inline constexpr std::size_t kSmallestFrame = 14;
// A super-frame of 64 KiB behind its header, and a VLAN tag: 65,550 bytes and 4.
inline constexpr std::size_t kLargestUntaggedFrame = 65'550;
inline constexpr std::size_t kLargestFrame = kLargestUntaggedFrame + 4;

inline constexpr std::uint16_t kEthertypeVlan = 0x8100;  // IEEE 802.1Q-2018 table 9-1, customer VLAN tag

// What virtio says of a frame besides its bytes (linux/virtio_net.h, struct virtio_net_hdr): whether it is a
// super-frame, still to be cut, and whether a checksum is still to be filled in. All zero: a plain frame.
struct Offload {
  static constexpr std::uint8_t kNeedsChecksum = 1;   // VIRTIO_NET_HDR_F_NEEDS_CSUM
  static constexpr std::uint8_t kChecksumValid = 2;   // VIRTIO_NET_HDR_F_DATA_VALID
  static constexpr std::uint8_t kSegmentsNone = 0;    // VIRTIO_NET_HDR_GSO_NONE
  static constexpr std::uint8_t kSegmentsTcp4 = 1;    // VIRTIO_NET_HDR_GSO_TCPV4
  static constexpr std::uint8_t kSegmentsUdp = 3;     // VIRTIO_NET_HDR_GSO_UDP
  static constexpr std::uint8_t kSegmentsTcp6 = 4;    // VIRTIO_NET_HDR_GSO_TCPV6
  static constexpr std::uint8_t kSegmentsUdpL4 = 5;   // VIRTIO_NET_HDR_GSO_UDP_L4
  static constexpr std::uint8_t kSegmentsEcn = 0x80;  // VIRTIO_NET_HDR_GSO_ECN, beside one of the above

  std::uint8_t flags = 0;
  std::uint8_t segments = kSegmentsNone;
  std::uint16_t header_length = 0;  // bytes in front of the payload that is cut; the sender's word, unchecked
  std::uint16_t segment_size = 0;   // payload bytes of each segment
  std::uint16_t checksum_start = 0;   // from the start of the frame
  std::uint16_t checksum_offset = 0;  // from checksum_start

  friend bool operator==(const Offload&, const Offload&) = default;
};

namespace detail {

struct FrameBuffer {
  std::uint32_t owners;
  std::uint32_t size;
  std::uint16_t switches_passed;
  std::uint16_t origin;
  std::uint8_t start;  // of the frame in data(); what lies before it is room for a VLAN tag
  std::uint8_t pool_class;
  Offload offload;
  union {
    std::uint32_t share;     // of a living frame: whose it is
    FrameBuffer* next_free;  // of a free buffer
  };

  std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(this + 1) + start; }
};

// Null if the size is out of range, or the pool's limit or that of the share is reached.
FrameBuffer* take_buffer(std::size_t size, std::uint32_t share);
void give_back(FrameBuffer* buffer);

}  // namespace detail

// The four bytes of an IEEE 802.1Q tag without its ethertype: priority (3 bits), drop eligible (1), VLAN
// (12).
struct VlanTag {
  std::uint16_t control = 0;
  constexpr std::uint16_t vlan() const { return control & 0xfff; }
  constexpr std::uint8_t priority() const { return static_cast<std::uint8_t>(control >> 13); }
  friend bool operator==(VlanTag, VlanTag) = default;
};

// The part of the pool that one sender may have in living frames, whoever holds them: as much as is left to
// all others. So who takes all that it can leaves half to the next, two leave a third, and nobody needs to
// say how many there are. Owned by the sender; its frames may outlive it. What belongs to no share is
// Rookery's own.
class FrameShare {
 public:
  FrameShare();
  ~FrameShare();
  FrameShare(const FrameShare&) = delete;
  FrameShare& operator=(const FrameShare&) = delete;
  std::uint32_t number() const { return number_; }

 private:
  std::uint32_t number_;
};

class Frame {
 public:
  Frame() = default;  // no frame: false, and nothing but assignment may be done with it
  Frame(const Frame& other) : buffer_(other.buffer_) {
    if (buffer_ != nullptr) ++buffer_->owners;
  }
  Frame(Frame&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  Frame& operator=(Frame other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~Frame() {
    if (buffer_ != nullptr && --buffer_->owners == 0) detail::give_back(buffer_);
  }

  // A frame with these bytes; none if there are too few or too many, or the pool's limit is reached.
  static Frame copy(ByteView bytes);
  static Frame copy(ByteView bytes, const FrameShare& share);

  explicit operator bool() const { return buffer_ != nullptr; }
  std::size_t size() const { return buffer_->size; }
  ByteView bytes() const { return {buffer_->data(), buffer_->size}; }
  const Offload& offload() const { return buffer_->offload; }
  // Whether it stands for several frames on the wire.
  bool is_super_frame() const { return buffer_->offload.segments != Offload::kSegmentsNone; }

  MacAddress destination() const { return MacAddress::from_bits(big48(0)); }
  MacAddress source() const { return MacAddress::from_bits(big48(MacAddress::kSize)); }
  // The ethertype in front: kEthertypeVlan for a tagged frame.
  std::uint16_t outer_ethertype() const { return big16(12); }
  // The ethertype behind the tag, if there is one; 0 if the frame ends within its tag.
  std::uint16_t ethertype() const {
    if (outer_ethertype() != kEthertypeVlan) return outer_ethertype();
    return size() >= kSmallestFrame + 4 ? big16(16) : std::uint16_t{0};
  }
  bool is_tagged() const { return outer_ethertype() == kEthertypeVlan; }
  // The tag of a tagged frame; nothing if it has none or ends within it.
  std::optional<VlanTag> vlan_tag() const {
    if (!is_tagged() || size() < kSmallestFrame + 4) return std::nullopt;
    return VlanTag{big16(14)};
  }

  // The same frame with a tag, or without its tag. In place where this is the only handle, else a copy; none
  // if the frame would be too long, has no whole tag to lose, or there is no buffer to be had.
  Frame tagged(VlanTag tag) &&;
  Frame untagged() &&;

  // Counts the switches that this frame, in all its copies, has passed; returns how many before this one.
  // Bounds what a loop of switches can do (see switch.h). Not part of what the frame is.
  std::uint16_t pass_switch() const {
    const std::uint16_t before = buffer_->switches_passed;
    if (before != 0xffff) ++buffer_->switches_passed;
    return before;
  }

  // Where the frame, in all its copies, entered the network; 0 until it is said. What a partition goes by.
  // Not part of what the frame is.
  std::uint16_t origin() const { return buffer_->origin; }
  void set_origin(std::uint16_t station) const { buffer_->origin = station; }

 private:
  friend class FrameBuilder;
  explicit Frame(detail::FrameBuffer* buffer) : buffer_(buffer) {}

  // The offsets are constants below kSmallestFrame, or checked by the caller.
  std::uint16_t big16(std::size_t at) const {
    const std::uint8_t* p = buffer_->data() + at;
    return static_cast<std::uint16_t>(p[0] << 8 | p[1]);
  }
  std::uint64_t big48(std::size_t at) const {
    std::uint64_t value;  // eight bytes from 0 or 6 are within the smallest frame
    std::memcpy(&value, buffer_->data() + at, sizeof value);
    return __builtin_bswap64(value) >> 16;
  }

  detail::FrameBuffer* buffer_ = nullptr;
};

// A frame being filled in. One owner; freeze() ends it. False if no buffer was to be had, or the size out of
// range.
class FrameBuilder {
 public:
  explicit FrameBuilder(std::size_t size) : buffer_(detail::take_buffer(size, 0)) {}
  FrameBuilder(std::size_t size, const FrameShare& share)
      : buffer_(detail::take_buffer(size, share.number())) {}
  // For what becomes of another frame, or of a part of it: it has the same origin, has passed as many
  // switches and counts for the same share.
  FrameBuilder(std::size_t size, const Frame& from);
  FrameBuilder(const FrameBuilder&) = delete;
  FrameBuilder& operator=(const FrameBuilder&) = delete;
  ~FrameBuilder() {
    if (buffer_ != nullptr) detail::give_back(buffer_);
  }

  explicit operator bool() const { return buffer_ != nullptr; }
  // What to fill in; its content is not initialised.
  std::span<std::uint8_t> bytes() { return {buffer_->data(), buffer_->size}; }
  Offload& offload() { return buffer_->offload; }
  // Keeps the first `size` bytes, for when less came than there was room for. Never grows.
  void shrink(std::size_t size) {
    if (size < buffer_->size) buffer_->size = static_cast<std::uint32_t>(size);
  }
  // The finished frame of these bytes, which are as many as were asked for; none if no buffer was to be had.
  Frame filled_with(ByteView bytes) &&;
  // The finished frame; none if it was shrunk below the smallest size.
  Frame freeze() && {
    if (buffer_ == nullptr || buffer_->size < kSmallestFrame) return {};
    return Frame(std::exchange(buffer_, nullptr));
  }

 private:
  detail::FrameBuffer* buffer_;
};

// The pool of this thread. `in_use` and `kept` are the sizes of whole buffers, not of the frames in them.
struct FramePoolState {
  Bytes in_use;           // of living frames
  Bytes kept;             // free, for the next frames; never more than 64 MiB
  Bytes limit;            // of in_use; 512 MiB unless told
  std::uint64_t refused;  // times that a buffer was asked for beyond the limit, or beyond a share
};
FramePoolState frame_pool_state();
void set_frame_pool_limit(Bytes limit);

}  // namespace rookery::netsim
