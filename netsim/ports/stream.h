// A network port for a machine that speaks frames over a unix stream socket, each behind its length in four
// bytes, big-endian: QEMU's `-netdev stream` (net/stream.c there), libvirt's interface types client and
// server. Works with every NIC model. Owned by whoever wires the machine; the machine may come, go and come
// again.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/listener.h"
#include "base/loop/event_loop.h"
#include "base/loop/turn_budget.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "netsim/port.h"

namespace rookery::netsim {

// Finds the frames in a stream of bytes. Once it has a fault it gives nothing more: there is no finding back.
class StreamFraming {
 public:
  static constexpr std::size_t kPrefix = 4;

  // Where to put what comes next, and how much of it came.
  std::span<std::uint8_t> room();
  void filled(std::size_t count) { end_ += count; }
  // The next whole frame, valid until room() is asked for; shorter ones than there can be are skipped.
  std::optional<ByteView> next();
  std::uint64_t take_skipped() { return std::exchange(skipped_, 0); }
  const std::string& fault() const { return fault_; }

 private:
  ByteBuffer buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of what was not given out yet
  std::uint64_t skipped_ = 0;
  std::string fault_;
};

class StreamPort final : public MachinePort {
 public:
  // Listens for the machine at `socket`. The last one to connect is the one.
  static Result<std::unique_ptr<StreamPort>> listen(EventLoop& loop, const std::filesystem::path& socket);
  ~StreamPort() override;

  void send(Frame frame) override;  // to the machine

  bool connected() const { return static_cast<bool>(connection_); }
  const std::string& fault() const override { return fault_; }
  PortLosses losses() const override {
    return {counters_.dropped_absent, counters_.dropped_full, counters_.dropped_short,
            counters_.dropped_no_buffer};
  }

  struct Counters {
    std::uint64_t to_guest = 0, from_guest = 0;  // frames
    std::uint64_t dropped_absent = 0;            // nobody was connected
    std::uint64_t dropped_full = 0;              // the machine does not read, and the backlog was full
    std::uint64_t dropped_short = 0;             // what came is too short to be a frame
    std::uint64_t dropped_no_buffer = 0;         // of the machine: beyond its share of the pool of frames
  };
  const Counters& counters() const { return counters_; }

 private:
  // Takes frames that were finished here: the other side knows nothing of offload.
  class Finished final : public Port {
   public:
    explicit Finished(StreamPort& port) : port_(port) {}
    void send(Frame frame) override { port_.put(frame); }

   private:
    StreamPort& port_;
  };

  StreamPort(EventLoop& loop, std::filesystem::path path) : loop_(loop), path_(std::move(path)) {}
  void accept(UniqueFd peer);
  void drop(std::string fault);
  void ready(std::uint32_t events);
  void receive();
  void take_frames();
  void put(const Frame& frame);
  void flush();

  EventLoop& loop_;
  std::filesystem::path path_;
  std::unique_ptr<Listener> listener_;
  UniqueFd connection_;
  Watch connection_watch_;
  StreamFraming framing_;
  ByteBuffer output_;
  std::size_t written_ = 0;  // of output_
  TurnBudget turn_;
  EventId flush_, resume_;
  bool blocked_ = false;
  std::string fault_;
  Finished finished_{*this};
  Counters counters_;
};

}  // namespace rookery::netsim
