// A network port for a machine that speaks frames over unix datagram sockets, one in each: QEMU's `-netdev
// dgram` (net/dgram.c there). Works with every NIC model. Owned by whoever wires the machine; the machine may
// come, go and come again.
//
// A datagram socket's queue holds few frames (net.unix.max_dgram_qlen), and a switch that drops what does not
// fit loses a burst of more. So what a machine has not taken waits here, as in a switch's port.
#pragma once

#include <deque>
#include <filesystem>
#include <memory>

#include "base/loop/event_loop.h"
#include "base/loop/turn_budget.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "netsim/port.h"

namespace rookery::netsim {

class DatagramPort final : public MachinePort {
 public:
  static constexpr const char* kMachine = ".machine";  // behind `socket`: where the machine's own is
  static constexpr std::size_t kBacklogBytes = 1 << 20;

  // Takes frames at `socket`.
  static Result<std::unique_ptr<DatagramPort>> bind(EventLoop& loop, const std::filesystem::path& socket);
  ~DatagramPort() override;

  void send(Frame frame) override;  // to the machine

  const std::string& fault() const override { return no_fault_; }  // there is no connection
  PortLosses losses() const override {
    return {counters_.dropped_absent, counters_.dropped_full, counters_.dropped_bad,
            counters_.dropped_no_buffer};
  }

  struct Counters {
    std::uint64_t to_guest = 0, from_guest = 0;  // frames
    std::uint64_t dropped_absent = 0;            // nobody was there
    std::uint64_t dropped_full = 0;              // the machine does not read, and the backlog was full
    std::uint64_t dropped_bad = 0;               // what came is too short or too long to be a frame
    std::uint64_t dropped_no_buffer = 0;         // of the machine: beyond its share of the pool of frames
  };
  const Counters& counters() const { return counters_; }

 private:
  // Takes frames that were finished here: the other side knows nothing of offload.
  class Finished final : public Port {
   public:
    explicit Finished(DatagramPort& port) : port_(port) {}
    void send(Frame frame) override { port_.put(std::move(frame)); }

   private:
    DatagramPort& port_;
  };
  enum class Sent { yes, later, nobody };

  DatagramPort(EventLoop& loop, std::filesystem::path path) : loop_(loop), path_(std::move(path)) {}
  void receive();
  void put(Frame frame);
  bool find_machine();
  Sent try_to_send(const Frame& frame);
  void flush();

  EventLoop& loop_;
  std::filesystem::path path_;
  UniqueFd ours_, theirs_;  // theirs is connected, so that it can be waited for
  Watch ours_watch_, theirs_watch_;
  ByteBuffer buffer_;
  TurnBudget turn_;
  std::deque<Frame> backlog_;
  std::size_t backlog_bytes_ = 0;
  Finished finished_{*this};
  Counters counters_;
  std::string no_fault_;
};

}  // namespace rookery::netsim
