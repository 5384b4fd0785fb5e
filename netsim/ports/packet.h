// A network port on a real NIC of the host, by AF_PACKET (packet(7)): what comes in on the wire goes to the
// connected port, what is sent to this port goes out on the wire, under whatever MAC address it has. The
// host's own traffic on that NIC is neither seen nor hindered; lab and host do not hear each other. Owned by
// whoever wires the lab; it needs CAP_NET_RAW to be opened, and nothing afterwards.
#pragma once

#include <linux/if_packet.h>

#include <memory>
#include <string>
#include <vector>

#include "base/loop/event_loop.h"
#include "base/loop/turn_budget.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "netsim/port.h"

namespace rookery::netsim {

class PacketPort final : public WrappingPort {
 public:
  // Whether it could be opened now; the NIC's own address. Refused, and why in words: an interface that does
  // not exist or is no Ethernet (kind usage), or is down; and want of the capability.
  static Result<MacAddress> look(const std::string& interface);
  static Result<std::unique_ptr<PacketPort>> open(EventLoop& loop, const std::string& interface);

  void send(Frame frame) override;  // to the wire

  const std::string& interface() const { return interface_; }
  MacAddress address() const { return address_; }  // the NIC's own
  // Whether the NIC is up and has a carrier, at this moment; if not, how it is, in words.
  Status link() const;

  struct Counters {
    std::uint64_t to_wire = 0, from_wire = 0;  // frames
    std::uint64_t dropped_down = 0;            // to the wire: the NIC is down, or gone
    std::uint64_t dropped_full = 0;            // to the wire: its queue is full
    std::uint64_t dropped_long = 0;            // to the wire: longer than its MTU; from it: than a frame is
    std::uint64_t dropped_malformed = 0;       // from the wire: its offload, or its tag, is none that we know
    std::uint64_t dropped_no_buffer = 0;       // from the wire: beyond its share of the pool of frames
  };
  const Counters& counters() const { return counters_; }

 private:
  // Takes frames that were finished here: no driver is asked to cut a tagged super-frame.
  class Finished final : public Port {
   public:
    explicit Finished(PacketPort& port) : port_(port) {}
    void send(Frame frame) override { port_.put(frame); }

   private:
    PacketPort& port_;
  };

  PacketPort(EventLoop& loop, std::string interface) : loop_(loop), interface_(std::move(interface)) {}
  Status open_socket(int index);
  void receive();
  void put(const Frame& frame);

  EventLoop& loop_;
  std::string interface_;
  MacAddress address_;
  UniqueFd socket_;
  Watch watch_;
  TurnBudget turn_;
  std::vector<std::uint8_t> room_;  // for the frame that comes
  FrameShare share_;
  Finished finished_{*this};
  Counters counters_;
};

}  // namespace rookery::netsim
