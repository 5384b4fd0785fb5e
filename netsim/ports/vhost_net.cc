#include "netsim/ports/vhost_net.h"

#include <array>

namespace rookery::netsim {
namespace {

// virtio 1.2 §5.1.3, §5.1.2, §5.1.4
constexpr std::uint64_t kFeatureMac = 1ull << 5;
constexpr unsigned kReceiveQueue = 0;
constexpr unsigned kTransmitQueue = 1;
constexpr std::size_t kHeaderSize = 12;  // virtio_net_hdr_v1 (§5.1.6)
constexpr std::size_t kNumBuffersOffset = 10;

// What waits for a guest that has no buffers free; a real switch's port buffer is of this order.
constexpr std::size_t kBacklogFrames = 1024;
constexpr std::size_t kBacklogBytes = 1 << 20;
// Frames taken from one guest before others get their turn.
constexpr unsigned kTransmitBatch = 256;

}  // namespace

Result<std::unique_ptr<VhostNetPort>> VhostNetPort::listen(EventLoop& loop, const std::filesystem::path& socket,
                                                           MacAddress mac) {
  std::unique_ptr<VhostNetPort> port(new VhostNetPort(loop, mac));
  auto endpoint = vhost_user::Endpoint::listen(loop, socket, *port);
  if (!endpoint) return tl::unexpected<Error>(endpoint.error());
  port->endpoint_ = std::move(*endpoint);
  return port;
}

VhostNetPort::~VhostNetPort() { loop_.cancel(continuation_); }

// VIRTIO_NET_F_STATUS is not offered: with it Linux learns of the carrier in a work item of its own, and a system that
// is quicker than that (a boot ROM is) has its first frames dropped, and asks for an address again a second later.
std::uint64_t VhostNetPort::features() const { return kFeatureMac; }

ByteBuffer VhostNetPort::config_space() const {
  ByteWriter space;
  std::array<std::uint8_t, MacAddress::kSize> mac{};
  mac_.write(mac.data());
  space.bytes(mac);
  return space.take();
}

void VhostNetPort::queue_started(unsigned queue) {
  if (queue == kReceiveQueue) endpoint_->queue(kReceiveQueue).ask_for_kicks(false);
}

void VhostNetPort::disconnected() {
  backlog_.clear();
  backlog_bytes_ = 0;
  loop_.cancel(continuation_);
  continuation_ = {};
}

void VhostNetPort::kicked(unsigned queue) {
  if (queue == kTransmitQueue) {
    transmit();
  } else {
    drain_backlog();
  }
}

void VhostNetPort::transmit() {
  continuation_ = {};
  vhost_user::Virtqueue& queue = endpoint_->queue(kTransmitQueue);
  queue.ask_for_kicks(false);
  unsigned taken = 0;
  for (;;) {
    while (taken < kTransmitBatch && queue.pop(transmit_chain_)) {
      ++taken;
      forward(transmit_chain_);
      queue.push(transmit_chain_.head, 0);
    }
    if (!queue.running()) return;
    if (taken >= kTransmitBatch) {
      if (!continuation_) continuation_ = loop_.soon([this] { transmit(); });
      break;
    }
    queue.ask_for_kicks(true);
    if (!queue.has_available()) break;  // else: came between the last look and the flag
    queue.ask_for_kicks(false);
  }
  if (taken > 0) endpoint_->call(kTransmitQueue);
}

void VhostNetPort::forward(const vhost_user::Chain& chain) {
  const std::size_t size = chain.readable_size();
  if (size < kHeaderSize + kSmallestFrame || size > kHeaderSize + kLargestFrame) {
    ++counters_.dropped_malformed;
    return;
  }
  FrameBuilder builder(size - kHeaderSize);
  if (!builder) return;  // the pool's limit: counted there
  chain.read(kHeaderSize, builder.bytes());
  ++counters_.from_guest;
  next().send(std::move(builder).freeze());
}

void VhostNetPort::send(Frame frame) {
  vhost_user::Virtqueue& queue = endpoint_->queue(kReceiveQueue);
  if (!queue.running()) {
    ++counters_.dropped_absent;
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

// Into the guest's next buffer; false if it has none. A frame that its buffer cannot hold is dropped as too long.
bool VhostNetPort::deliver(const Frame& frame) {
  vhost_user::Virtqueue& queue = endpoint_->queue(kReceiveQueue);
  if (!queue.pop(receive_chain_)) return false;
  std::array<std::uint8_t, kHeaderSize> header{};
  header[kNumBuffersOffset] = 1;
  if (receive_chain_.writable_size() < kHeaderSize + frame.size()) {
    ++counters_.dropped_malformed;
    queue.unpop();
    return true;
  }
  receive_chain_.write(0, header);
  receive_chain_.write(kHeaderSize, frame.bytes());
  queue.push(receive_chain_.head, static_cast<std::uint32_t>(kHeaderSize + frame.size()));
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
