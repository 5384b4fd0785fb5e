// One direction of a cable: a rate, a propagation delay and a bounded queue in front of another port. Owned
// by whoever plugs the cable; it outlives what sends to it, is outlived by the loop and the next port, and
// must not be destroyed from within a delivery of its own.
#pragma once

#include <cstdint>
#include <optional>

#include "base/loop/event_loop.h"
#include "base/units.h"
#include "netsim/port.h"
#include "netsim/ring.h"

namespace rookery::netsim {

struct BitRate {
  std::uint64_t bits_per_second = 0;
  friend constexpr auto operator<=>(const BitRate&, const BitRate&) = default;
};
constexpr BitRate megabits_per_second(std::uint64_t n) {
  return BitRate{n * 1'000'000};
}
constexpr BitRate gigabits_per_second(std::uint64_t n) {
  return BitRate{n * 1'000'000'000};
}

struct LinkRules {
  // None: bits take no time. A rate of zero carries nothing.
  std::optional<BitRate> rate;
  Duration delay{0};  // from the last bit sent to the last bit received
  // What may wait for its first bit to be sent; the frame being sent does not count. Only a rate makes frames
  // wait.
  Bytes queue{std::uint64_t{512} << 10};

  friend bool operator==(const LinkRules&, const LinkRules&) = default;
};

struct LinkCounters {
  std::uint64_t frames = 0;  // delivered
  std::uint64_t bytes = 0;
  std::uint64_t queue_full = 0;      // dropped: no room in the queue (tail drop)
  std::uint64_t in_flight_full = 0;  // dropped: Link::kInFlightFrames or kInFlightBytes were under way
};

// The octets that a frame takes on a wire: with its padding, preamble, checksum and inter-frame gap; for a
// super-frame those of all its segments.
std::uint64_t wire_octets(const Frame& frame);

class Link final : public WrappingPort {
 public:
  // A delay without a rate has no queue that would bound it; this does.
  static constexpr std::size_t kInFlightFrames = 65'536;
  static constexpr std::uint64_t kInFlightBytes = std::uint64_t{64} << 20;

  Link(EventLoop& loop, const LinkRules& rules) : loop_(loop), rules_(rules) {}
  Link(EventLoop& loop, const LinkRules& rules, Port& next)
      : WrappingPort(next), loop_(loop), rules_(rules) {}
  ~Link() override { loop_.cancel(event_); }

  // Frames leave in the order in which they came, whatever happens to the rules in between.
  void send(Frame frame) override;

  const LinkRules& rules() const { return rules_; }
  // For frames from now on; what is under way keeps its time of arrival.
  void set_rules(const LinkRules& rules) { rules_ = rules; }
  // Loses what is under way (a cable pulled). Returns how many frames that were.
  std::size_t clear();

  const LinkCounters& counters() const { return counters_; }
  std::size_t frames_under_way() const { return under_way_.size(); }

 private:
  struct UnderWay {
    Frame frame;
    Time first_bit;  // when it leaves the queue
    Time arrival;
  };

  bool queue_takes(std::size_t bytes, Time first_bit, Time now);
  Duration time_on_wire(const Frame& frame, bool wire_was_busy);
  void deliver();
  void wait_for_front();

  EventLoop& loop_;
  LinkRules rules_;
  LinkCounters counters_;
  // In order of arrival. The first `started_` of them have left the queue; the others hold `queued_bytes_`.
  Ring<UnderWay> under_way_;
  std::size_t started_ = 0;
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t under_way_bytes_ = 0;
  Time wire_free_{};
  Time last_arrival_{};
  std::uint64_t fraction_ =
      0;  // of a nanosecond, in units of 1/rate, that the wire is busy beyond wire_free_
  EventId event_{};
  bool delivering_ = false;
};

}  // namespace rookery::netsim
