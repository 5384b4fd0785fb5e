// A network port for a machine whose NIC is an interface of the host that comes and goes with it, as Xen's
// vifN.M do: whoever made the interface connects to a unix stream socket and says its name, and it is ours
// for as long as that connection stands. Owned by whoever wires the machine; the machine may come, go and
// come again.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/listener.h"
#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "netsim/port.h"
#include "netsim/ports/packet.h"

namespace rookery::netsim {

class AnnouncedPort final : public MachinePort {
 public:
  // Listens for the name of an interface at `socket`. The last one to connect is the one.
  static Result<std::unique_ptr<AnnouncedPort>> listen(EventLoop& loop, const std::filesystem::path& socket);
  ~AnnouncedPort() override;

  void send(Frame frame) override;  // to the machine

  bool connected() const { return static_cast<bool>(interface_); }
  const std::string& fault() const override { return fault_; }  // why the last interface could not be had
  PortLosses losses() const override;
  std::uint64_t dropped_absent() const { return dropped_; }  // frames to a machine that was not there

 private:
  // Frames that come from the interface.
  class Inwards final : public Port {
   public:
    explicit Inwards(AnnouncedPort& port) : port_(port) {}
    void send(Frame frame) override { port_.next().send(std::move(frame)); }

   private:
    AnnouncedPort& port_;
  };

  AnnouncedPort(EventLoop& loop, std::filesystem::path path) : loop_(loop), path_(std::move(path)) {}
  void accept(UniqueFd peer);
  void drop(std::string fault);
  void hear();

  EventLoop& loop_;
  std::filesystem::path path_;
  std::unique_ptr<Listener> listener_;
  UniqueFd line_;
  Watch line_watch_;
  Inwards inwards_{*this};
  std::unique_ptr<PacketPort> interface_;
  std::string fault_;
  std::uint64_t dropped_ = 0;
};

}  // namespace rookery::netsim
