#include "netsim/ports/vhost_net.h"

#include <array>

#include "netsim/segment.h"

namespace rookery::netsim {
namespace {

// virtio 1.2 §5.1.3, §5.1.2, §5.1.4
constexpr std::uint64_t kFeatureChecksum = 1ull << 0;
constexpr std::uint64_t kFeatureGuestChecksum = 1ull << 1;
constexpr std::uint64_t kFeatureMac = 1ull << 5;
constexpr std::uint64_t kFeatureGuestTcp4 = 1ull << 7;
constexpr std::uint64_t kFeatureGuestTcp6 = 1ull << 8;
constexpr std::uint64_t kFeatureGuestEcn = 1ull << 9;
constexpr std::uint64_t kFeatureHostTcp4 = 1ull << 11;
constexpr std::uint64_t kFeatureHostTcp6 = 1ull << 12;
constexpr std::uint64_t kFeatureHostEcn = 1ull << 13;
constexpr std::uint64_t kFeatureMergeable = 1ull << 15;
constexpr std::uint64_t kOffloads = kFeatureChecksum | kFeatureGuestChecksum | kFeatureGuestTcp4 |
                                    kFeatureGuestTcp6 | kFeatureGuestEcn | kFeatureHostTcp4 |
                                    kFeatureHostTcp6 | kFeatureHostEcn | kFeatureMergeable;
constexpr unsigned kReceiveQueue = 0;
constexpr unsigned kTransmitQueue = 1;
constexpr std::size_t kHeaderSize = 12;        // virtio_net_hdr_v1 (§5.1.6)
constexpr std::size_t kLegacyHeaderSize = 10;  // without the number of buffers (§5.1.6.1)
// A super-frame of 64 KiB needs 44 of Linux' smallest buffers.
constexpr std::size_t kMostBuffers = 128;

// What waits for a guest that has no buffers free; a real switch's port buffer is of this order.
constexpr std::size_t kBacklogFrames = 1024;
constexpr std::size_t kBacklogBytes = 1 << 20;

std::uint16_t le16(ByteView bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] | bytes[at + 1] << 8);
}

// virtio 1.2 §5.1.6, virtio_net_hdr_v1
Offload read_offload(ByteView header) {
  Offload offload;
  offload.flags = header[0];
  offload.segments = header[1];
  offload.header_length = le16(header, 2);
  offload.segment_size = le16(header, 4);
  offload.checksum_start = le16(header, 6);
  offload.checksum_offset = le16(header, 8);
  return offload;
}

std::array<std::uint8_t, kHeaderSize> header_of(const Offload& offload, std::size_t buffers) {
  std::array<std::uint8_t, kHeaderSize> header{offload.flags, offload.segments};
  std::size_t at = 2;
  for (std::size_t value :
       {std::size_t{offload.header_length}, std::size_t{offload.segment_size},
        std::size_t{offload.checksum_start}, std::size_t{offload.checksum_offset}, buffers}) {
    header[at++] = static_cast<std::uint8_t>(value);
    header[at++] = static_cast<std::uint8_t>(value >> 8);
  }
  return header;
}

}  // namespace

Result<std::unique_ptr<VhostNetPort>> VhostNetPort::listen(EventLoop& loop,
                                                           const std::filesystem::path& socket,
                                                           MacAddress mac, const VhostNetRules& rules,
                                                           Lane* lane) {
  std::unique_ptr<VhostNetPort> port(new VhostNetPort(loop, mac, rules, lane));
  auto endpoint = vhost_user::Endpoint::listen(loop, socket, *port, lane);
  if (!endpoint) return tl::unexpected<Error>(endpoint.error());
  port->endpoint_ = std::move(*endpoint);
  return port;
}

// VIRTIO_NET_F_STATUS is not offered: with it Linux learns of the carrier in a work item of its own, and a
// system that is quicker than that (a boot ROM is) has its first frames dropped, and asks for an address
// again a second later.
std::uint64_t VhostNetPort::features() const {
  return kFeatureMac | (rules_.offload ? kOffloads : 0);
}

ByteBuffer VhostNetPort::config_space() const {
  ByteWriter space;
  std::array<std::uint8_t, MacAddress::kSize> mac{};
  mac_.write(mac.data());
  space.bytes(mac);
  return space.take();
}

void VhostNetPort::queue_started(unsigned queue) {
  if (queue != kReceiveQueue) return;
  if (!endpoint_->paused(kReceiveQueue)) forget_backlog();  // it was for the driver before this one
  endpoint_->queue(kReceiveQueue).ask_for_kicks(!backlog_.empty());
}

// A driver of the time before virtio 1, as UEFI's is, has a shorter header.
std::size_t VhostNetPort::header_size() const {
  const bool counts_buffers =
      endpoint_->negotiated(vhost_user::kFeatureVersion1) || endpoint_->negotiated(kFeatureMergeable);
  return counts_buffers ? kHeaderSize : kLegacyHeaderSize;
}

void VhostNetPort::forget_backlog() {
  backlog_.clear();
  backlog_bytes_ = 0;
}

void VhostNetPort::disconnected() {
  forget_backlog();
}

void VhostNetPort::kicked(unsigned queue) {
  if (queue == kTransmitQueue) {
    transmit();
  } else {
    drain_backlog();
  }
}

void VhostNetPort::transmit() {
  vhost_user::Virtqueue& queue = endpoint_->queue(kTransmitQueue);
  TurnBudget& turn = endpoint_->budget();
  queue.ask_for_kicks(false);
  bool taken = false;
  for (;;) {
    while (turn.left() && queue.pop(transmit_chain_)) {
      taken = true;
      turn.spend(1, transmit_chain_.descriptors, forward(transmit_chain_));
      queue.push(transmit_chain_.head, 0);
    }
    if (!queue.running()) return;
    if (!turn.left()) {
      endpoint_->again(kTransmitQueue);
      break;
    }
    queue.ask_for_kicks(true);
    if (!queue.has_available()) break;  // else: came between the last look and the flag
    queue.ask_for_kicks(false);
  }
  if (taken) endpoint_->call(kTransmitQueue);
}

// Gives back how many bytes it took.
std::size_t VhostNetPort::forward(const vhost_user::Chain& chain) {
  const std::size_t size = chain.readable_size();
  const std::size_t header_bytes = header_size();
  if (size < header_bytes + kSmallestFrame || size > header_bytes + kLargestFrame) {
    ++counters_.dropped_malformed;
    return 0;
  }
  FrameBuilder builder(size - header_bytes, share_);
  if (!builder) {
    ++counters_.dropped_no_buffer;
    return 0;
  }
  std::array<std::uint8_t, kHeaderSize> header{};
  chain.read(0, std::span(header).first(header_bytes));
  chain.read(header_bytes, builder.bytes());
  if (header[0] != 0 || header[1] != 0) {
    // Without having been offered either, it may speak of none.
    builder.offload() = read_offload(header);
    if (!rules_.offload || !check_offload(builder.bytes(), builder.offload())) {
      ++counters_.dropped_malformed;
      return size;
    }
  }
  ++counters_.from_guest;
  if (lane_ == nullptr) {
    next().send(std::move(builder).freeze());
  } else {
    lane_->leave([this, frame = std::move(builder).freeze()] { next().send(frame); });
  }
  return size;
}

// Whether the guest does itself what is still to be done to a frame.
bool VhostNetPort::takes(const Offload& offload) const {
  if ((offload.flags & Offload::kNeedsChecksum) != 0 && !endpoint_->negotiated(kFeatureGuestChecksum))
    return false;
  if ((offload.segments & Offload::kSegmentsEcn) != 0 && !endpoint_->negotiated(kFeatureGuestEcn))
    return false;
  switch (offload.segments & ~Offload::kSegmentsEcn) {
    case Offload::kSegmentsNone:
      return true;
    case Offload::kSegmentsTcp4:
      return endpoint_->negotiated(kFeatureGuestTcp4);
    case Offload::kSegmentsTcp6:
      return endpoint_->negotiated(kFeatureGuestTcp6);
    default:
      return false;
  }
}

void VhostNetPort::send(Frame frame) {
  if (lane_ == nullptr) return receive(std::move(frame));
  if (entering_ >= kBacklogFrames || entering_bytes_ + frame.size() > kBacklogBytes) {
    ++counters_.dropped_full;
    return;
  }
  ++entering_;
  entering_bytes_ += frame.size();
  lane_->enter([this, frame = std::move(frame)] {
    --entering_;
    entering_bytes_ -= frame.size();
    receive(frame);
  });
}

void VhostNetPort::receive(Frame frame) {
  vhost_user::Virtqueue& queue = endpoint_->queue(kReceiveQueue);
  if (!queue.running() && !endpoint_->paused(kReceiveQueue)) {
    ++counters_.dropped_absent;
    return;
  }
  if (!is_finished(frame) && !takes(frame.offload())) {
    send_finished(frame, finished_);  // comes back here, frame by frame
    return;
  }
  if (backlog_.empty() && deliver(frame)) {
    endpoint_->call(kReceiveQueue);
    return;
  }
  if (backlog_.size() >= kBacklogFrames || backlog_bytes_ + frame.size() > kBacklogBytes) {
    ++counters_.dropped_full;
    return;
  }
  backlog_bytes_ += frame.size();
  backlog_.push_back(std::move(frame));
  queue.ask_for_kicks(true);
  drain_backlog();  // buffers may have come before the flag was seen
}

// Into the guest's next buffers; false if it has too few, or the turn has no room for them: what they are
// made of is the guest's doing. A frame that they cannot hold is dropped.
bool VhostNetPort::deliver(const Frame& frame) {
  vhost_user::Virtqueue& queue = endpoint_->queue(kReceiveQueue);
  TurnBudget& turn = endpoint_->budget();
  if (!turn.descriptors_left()) {
    endpoint_->again(kReceiveQueue);
    return false;
  }
  if (!queue.pop(receive_chain_)) return false;
  turn.spend_descriptors(receive_chain_.descriptors);
  const std::size_t most = endpoint_->negotiated(kFeatureMergeable) ? kMostBuffers : 1;
  std::array<vhost_user::Virtqueue::Used, kMostBuffers> used;
  const std::size_t header_bytes = header_size();
  std::size_t done = receive_chain_.write(header_bytes, frame.bytes());
  used[0] = {receive_chain_.head, static_cast<std::uint32_t>(header_bytes + done)};
  std::size_t buffers = 1;
  bool fits = done > 0;
  bool waits = false;
  while (fits && !waits && done < frame.size()) {
    fits = buffers < most;
    if (!fits) break;
    waits = !queue.pop(more_chain_);
    if (waits) break;
    turn.spend_descriptors(more_chain_.descriptors);
    const std::size_t written = more_chain_.write(0, frame.bytes().subspan(done));
    used[buffers++] = {more_chain_.head, static_cast<std::uint32_t>(written)};
    done += written;
  }
  if (!fits || waits) {
    for (std::size_t i = 0; i < buffers; ++i) queue.unpop();
    if (!fits) ++counters_.dropped_malformed;
    return !waits;
  }
  const auto header = header_of(frame.offload(), buffers);  // its room was there for what lies behind it
  receive_chain_.write(0, ByteView(header).first(header_bytes));
  queue.push(std::span(used).first(buffers));
  ++counters_.to_guest;
  return true;
}

void VhostNetPort::drain_backlog() {
  vhost_user::Virtqueue& queue = endpoint_->queue(kReceiveQueue);
  bool delivered = false;
  while (!backlog_.empty() && deliver(backlog_.front())) {
    backlog_bytes_ -= backlog_.front().size();
    backlog_.pop_front();
    delivered = true;
  }
  if (backlog_.empty()) queue.ask_for_kicks(false);
  if (delivered) endpoint_->call(kReceiveQueue);
}

}  // namespace rookery::netsim
