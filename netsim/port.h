// Where frames go: one verb. A port is owned by whoever made it and outlives all that send to it; it may send
// on in the same call (so send() can be re-entered), or later through the event loop. Nobody holds a null
// port.
#pragma once

#include <cstdint>
#include <string>

#include "netsim/frame.h"

namespace rookery::netsim {

class Port {
 public:
  virtual ~Port() = default;
  // Takes one frame (never an empty handle).
  virtual void send(Frame frame) = 0;
};

// Where frames end; it counts them.
class NullPort final : public Port {
 public:
  void send(Frame frame) override {
    ++frames_;
    bytes_ += frame.size();
  }
  std::uint64_t frames() const { return frames_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::uint64_t frames_ = 0;
  std::uint64_t bytes_ = 0;
};

// A port in front of another one: links, taps and faults are such wrappers, stacked in any order. Before
// connect(), frames end in a NullPort of its own, so that two ends which need each other can be made one
// after the other.
class WrappingPort : public Port {
 public:
  WrappingPort() = default;
  explicit WrappingPort(Port& next) : next_(&next) {}
  WrappingPort(const WrappingPort&) = delete;
  WrappingPort& operator=(const WrappingPort&) = delete;

  void connect(Port& next) { next_ = &next; }
  void disconnect() { next_ = &nowhere_; }
  // Frames that came while it was connected to nothing.
  std::uint64_t frames_to_nowhere() const { return nowhere_.frames(); }

 protected:
  Port& next() { return *next_; }

 private:
  NullPort nowhere_;
  Port* next_ = &nowhere_;
};

// What a port to a machine has not passed on, and why.
struct PortLosses {
  std::uint64_t absent = 0;     // to the machine: it was not there
  std::uint64_t full = 0;       // to the machine: it did not take what waited for it
  std::uint64_t malformed = 0;  // what it sent is no frame, or what it takes them with holds none
  std::uint64_t no_buffer =
      0;  // of the machine: more of its frames were under way than its share of the pool
};

// The network's end of a machine's NIC.
class MachinePort : public WrappingPort {
 public:
  virtual PortLosses losses() const = 0;
  // Why the machine's last connection was given up, if it was for a fault of the machine's.
  virtual const std::string& fault() const = 0;

 protected:
  FrameShare share_;
};

}  // namespace rookery::netsim
