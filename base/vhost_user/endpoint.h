// The device side of vhost-user: a listening socket, the guest's driver that connects to it, its memory and
// queues. What the device does is its DeviceModel (netsim/ports/vhost_net, backends/disk/vhost_block).
//
// Both ways of notifying are in-band messages that nobody waits for (virtio_uml knows no kick descriptors in
// virtual time, and in-band saves four descriptors per queue pair in wall time). With a lane (base/lane.h) a
// kick is acted on when the guest rests, and a call goes out when it is about to be granted time: the rings
// are ours only while it rests, and nothing depends on the host's luck.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/lane.h"
#include "base/result.h"
#include "base/vhost_user/memory.h"
#include "base/vhost_user/virtqueue.h"

namespace rookery::vhost_user {

class DeviceModel {
 public:
  virtual ~DeviceModel() = default;
  virtual std::uint64_t features() const = 0;  // virtio feature bits to offer, without the transport's
  virtual unsigned queue_count() const = 0;
  virtual ByteBuffer config_space() const = 0;
  virtual void queue_started(unsigned queue) = 0;
  virtual void kicked(unsigned queue) = 0;  // the guest made requests available
  virtual void disconnected() = 0;          // its queues are gone
};

class Endpoint final : private LaneDevice {
 public:
  // Listens at `path` until destroyed. `model` and `lane` (null but in lockstep) outlive the endpoint.
  static Result<std::unique_ptr<Endpoint>> listen(EventLoop& loop, const std::filesystem::path& path,
                                                  DeviceModel& model, Lane* lane = nullptr);
  ~Endpoint() override;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  Virtqueue& queue(unsigned index) { return queues_[index]; }
  bool negotiated(std::uint64_t feature) const { return (features_ & feature) != 0; }
  bool connected() const { return static_cast<bool>(connection_); }
  // Tells the guest of used buffers, if it wants to be told. Several in one turn become one message.
  void call(unsigned queue);
  // Why the last connection was given up, if it was for a fault of the guest's.
  const std::string& fault() const { return fault_; }

 private:
  Endpoint(EventLoop& loop, DeviceModel& model, std::filesystem::path path, Lane* lane)
      : loop_(loop), model_(model), path_(std::move(path)), lane_(lane) {}

  void settle() override;
  bool announce() override;

  void accept();
  void readable();
  void drop(std::string fault);
  Status receive();
  Status handle(std::uint32_t request, std::uint32_t flags, ByteView payload);
  Status handle_ring(std::uint32_t request, ByteView payload, ByteBuffer& reply);
  Status kicked(unsigned queue);
  Status set_memory(ByteView payload);
  Result<Virtqueue*> queue_of(std::uint32_t index);
  Status send(const ByteBuffer& message);
  void send_calls();
  void slave_readable();

  EventLoop& loop_;
  DeviceModel& model_;
  std::filesystem::path path_;
  Lane* lane_;
  UniqueFd listener_;
  Watch listener_watch_;

  UniqueFd connection_, slave_;
  Watch connection_watch_, slave_watch_;
  ByteBuffer input_;
  std::vector<UniqueFd> received_files_;
  std::uint64_t features_ = 0, protocol_features_ = 0;
  std::optional<GuestMemory> memory_;
  std::vector<Virtqueue> queues_;
  std::vector<std::optional<VringAddresses>> addresses_;
  std::uint64_t calls_pending_ = 0;  // one bit a queue
  EventId call_event_;
  std::uint64_t kicks_pending_ = 0;  // likewise; with a lane, until the guest rests
  std::string fault_;
};

}  // namespace rookery::vhost_user
