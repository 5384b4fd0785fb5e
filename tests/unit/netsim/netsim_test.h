// What the tests of the simulated network share: frames made of a few words, and a port that keeps what it
// gets.
#pragma once

#include <boost/test/unit_test.hpp>
#include <memory>
#include <ostream>
#include <vector>

#include "base/loop/event_loop.h"
#include "netsim/frame.h"
#include "netsim/port.h"

namespace rookery::netsim {

inline std::ostream& operator<<(std::ostream& out, const MacAddress& address) {
  return out << address.text();
}

// Machine n's address: 52:54:00:00:xx:xx.
inline MacAddress machine(unsigned n) {
  return MacAddress::from_bits(0x5254'0000'0000 + n);
}

inline Frame make_frame(MacAddress to, MacAddress from, std::size_t size = 60,
                        std::uint16_t ethertype = 0x88b5) {
  FrameBuilder builder(size);
  BOOST_REQUIRE(builder);
  const auto bytes = builder.bytes();
  for (std::size_t i = 14; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  to.write(bytes.data());
  from.write(bytes.data() + 6);
  bytes[12] = static_cast<std::uint8_t>(ethertype >> 8);
  bytes[13] = static_cast<std::uint8_t>(ethertype);
  return std::move(builder).freeze();
}

inline ByteBuffer copy_of(const Frame& frame) {
  return {frame.bytes().begin(), frame.bytes().end()};
}

// Keeps frames, with the time at which they came if it has a loop.
class Recorder final : public Port {
 public:
  Recorder() = default;
  explicit Recorder(EventLoop& loop) : loop_(&loop) {}

  void send(Frame frame) override {
    if (loop_ != nullptr) times.push_back(loop_->now());
    frames.push_back(std::move(frame));
  }

  std::vector<Frame> frames;
  std::vector<Time> times;

 private:
  EventLoop* loop_ = nullptr;
};

inline Time at_ns(std::int64_t nanoseconds) {
  return Time{Duration(nanoseconds)};
}

}  // namespace rookery::netsim

namespace rookery {
inline std::ostream& operator<<(std::ostream& out, Bytes bytes) {
  return out << bytes.count << " bytes";
}
inline std::ostream& operator<<(std::ostream& out, Time time) {
  return out << time.since_start.count() << " ns";
}
}  // namespace rookery
