// The device side of vhost-user: a listening socket, the guest's driver that connects to it, its memory and
// queues. What the device does is its DeviceModel (netsim/ports/vhost_net, disks/vhost_block).
//
// With virtio_uml both ways of notifying are in-band messages that nobody waits for (it knows no kick
// descriptors in virtual time, and in-band saves four descriptors per queue pair in wall time). With a lane
// (base/loop/lane.h) a kick is acted on when the guest rests, and a call goes out when it is about to be
// granted time: the rings are ours only while it rests, and nothing depends on the host's luck. QEMU hands
// over event descriptors for each queue instead, and those are used for the queues that have them.
//
// QEMU may be told to migrate (a snapshot) only if its device keeps a log of the pages that it writes
// meanwhile. Ours says that it does and keeps none: a machine is stopped first, and with it its device is,
// and nothing is ever written to it. A driver that does want a log is given up.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/listener.h"
#include "base/loop/event_loop.h"
#include "base/loop/lane.h"
#include "base/loop/turn_budget.h"
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

  Virtqueue& queue(unsigned index) { return rings_[index].queue; }
  bool negotiated(std::uint64_t feature) const { return (features_ & feature) != 0; }
  bool connected() const { return static_cast<bool>(connection_); }
  // Whether the driver has stopped a running queue and may let it go on where it stood, as QEMU does with a
  // machine that stands still. Still true in queue_started() of a queue that does go on.
  bool paused(unsigned queue) const { return rings_[queue].paused; }
  // Tells the guest of used buffers, if it wants to be told. Several in one turn become one message.
  void call(unsigned queue);
  // What is left of this turn for the device. A model that finds nothing left stops, and says again().
  TurnBudget& budget() {
    if (lane_ == nullptr) budget_.renew(loop_.turns());
    return budget_;
  }
  // The queue is to be looked at as if it had been kicked: in the next turn, behind all others; with a lane,
  // while the guest still rests.
  void again(unsigned queue);
  // Why the last connection was given up, if it was for a fault of the guest's.
  const std::string& fault() const { return fault_; }

 private:
  Endpoint(EventLoop& loop, DeviceModel& model, std::filesystem::path path, Lane* lane)
      : loop_(loop),
        model_(model),
        path_(std::move(path)),
        lane_(lane),
        budget_(lane == nullptr ? TurnShare() : TurnShare::in_lockstep()) {}

  void settle() override;
  bool announce() override;

  void accept(UniqueFd peer);
  void readable();
  void work();
  void go_on();
  void act_on_kicks();
  void drop(std::string fault);
  Result<bool> receive(TurnBudget& turn);
  Result<bool> handle_input(TurnBudget& turn);
  Status handle(std::uint32_t request, std::uint32_t flags, ByteView payload);
  struct Ring {
    Virtqueue queue;
    std::optional<VringAddresses> addresses;
    bool enabled = false, paused = false;
    UniqueFd kick, call;  // none: in-band
    Watch kick_watch;
  };
  Status handle_ring(std::uint32_t request, ByteView payload, ByteBuffer& reply);
  Status handle_ring_file(Request request, ByteView payload);
  Status enable(unsigned queue, bool enabled);
  Status start(unsigned queue);
  void kick_readable(unsigned queue);
  Status kick_said(unsigned queue);
  Status kicked(unsigned queue);
  Status set_memory(ByteView payload);
  Status ring_exists(std::uint32_t index) const;
  Result<UniqueFd> take_file();
  Status send(const ByteBuffer& message);
  void send_calls();
  void slave_readable();

  EventLoop& loop_;
  DeviceModel& model_;
  std::filesystem::path path_;
  Lane* lane_;
  std::unique_ptr<Listener> listener_;

  UniqueFd connection_, slave_;
  Watch connection_watch_, slave_watch_;
  ByteBuffer input_;
  std::vector<UniqueFd> received_files_;
  std::uint64_t features_ = 0, protocol_features_ = 0;
  std::optional<GuestMemory> memory_;
  std::vector<Ring> rings_;
  std::uint64_t calls_pending_ = 0;  // one bit a queue
  EventId call_event_;
  std::uint64_t kicks_pending_ = 0;  // likewise; until the guest rests, or a turn has room for them
  TurnBudget budget_;
  EventId resume_event_;
  std::string fault_;
};

}  // namespace rookery::vhost_user
