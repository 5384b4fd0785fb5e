// A network port for a virtual machine: the device side of virtio-net over vhost-user (virtio 1.2 §5.1). What
// the guest sends goes to the connected port; what is sent to this port goes to the guest. Owned by whoever
// wires the machine; the guest may come, go and come again.
#pragma once

#include <deque>
#include <memory>

#include "base/vhost_user/endpoint.h"
#include "netsim/port.h"

namespace rookery::netsim {

struct VhostNetRules {
  // Offer checksum and TCP segmentation offload both ways, with mergeable receive buffers (without those, a
  // guest that takes super-frames posts some 72 KB for each of its buffers). What a guest does not take up is
  // done for it here.
  bool offload = false;
};

class VhostNetPort final : public MachinePort, private vhost_user::DeviceModel {
 public:
  // Listens for the guest's driver at `socket`. `mac` is the address that the guest will find in its device;
  // `lane` is its machine's, in lockstep.
  static Result<std::unique_ptr<VhostNetPort>> listen(EventLoop& loop, const std::filesystem::path& socket,
                                                      MacAddress mac, const VhostNetRules& rules = {},
                                                      Lane* lane = nullptr);

  void send(Frame frame) override;  // to the guest

  // Whether a driver is there.
  bool connected() const { return endpoint_->connected(); }
  const std::string& fault() const override { return endpoint_->fault(); }
  PortLosses losses() const override {
    return {counters_.dropped_absent, counters_.dropped_full, counters_.dropped_malformed,
            counters_.dropped_no_buffer};
  }

  struct Counters {
    std::uint64_t to_guest = 0, from_guest = 0;  // frames
    std::uint64_t dropped_absent = 0;            // the guest has no running queue
    std::uint64_t dropped_full = 0;              // the backlog was full
    std::uint64_t dropped_malformed = 0;         // what the guest sent is no frame, or its buffers hold none
    std::uint64_t dropped_no_buffer = 0;         // of the guest: beyond its share of the pool of frames
  };
  const Counters& counters() const { return counters_; }

 private:
  VhostNetPort(EventLoop& loop, MacAddress mac, const VhostNetRules& rules, Lane* lane)
      : loop_(loop), lane_(lane), mac_(mac), rules_(rules) {}

  std::uint64_t features() const override;
  unsigned queue_count() const override { return 2; }
  ByteBuffer config_space() const override;
  void queue_started(unsigned queue) override;
  void kicked(unsigned queue) override;
  void disconnected() override;

  void transmit();
  std::size_t forward(const vhost_user::Chain& chain);
  std::size_t header_size() const;
  bool takes(const Offload& offload) const;
  void receive(Frame frame);
  bool deliver(const Frame& frame);
  void drain_backlog();
  void forget_backlog();

  EventLoop& loop_;
  Lane* lane_;
  MacAddress mac_;
  VhostNetRules rules_;
  std::unique_ptr<vhost_user::Endpoint> endpoint_;
  std::deque<Frame> backlog_;
  std::size_t backlog_bytes_ = 0;
  std::size_t entering_ = 0, entering_bytes_ = 0;  // on their way into the lane
  // Where frames go that were finished here for a guest that does not take them as they were.
  class Finished final : public Port {
   public:
    explicit Finished(VhostNetPort& port) : port_(port) {}
    void send(Frame frame) override { port_.receive(std::move(frame)); }

   private:
    VhostNetPort& port_;
  };
  Finished finished_{*this};
  vhost_user::Chain receive_chain_, more_chain_, transmit_chain_;
  Counters counters_;
};

}  // namespace rookery::netsim
