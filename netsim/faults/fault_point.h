// Where faults strike the frames of one direction of a cable: a port in front of its link. Without a fault it
// is a branch. Owned by whoever owns the cable; outlived by the loop and the next port.
//
// Each rule looks at every frame that comes in, and draws from a stream of its own; only then are the effects
// of all rules applied: lost, changed, held back, doubled. So neither setting nor clearing a rule changes
// what another one decides. Rules are about single frames, so super-frames are cut while any is set.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop/event_loop.h"
#include "base/random.h"
#include "netsim/faults/effects.h"
#include "netsim/faults/frame_filter.h"
#include "netsim/faults/separation.h"
#include "netsim/port.h"

namespace rookery::netsim {

struct FrameRule {
  FrameEffect effect;
  FrameLimits limits;
  std::shared_ptr<const FrameFilter> filter;  // null: every frame
};

struct FaultCounters {
  std::uint64_t seen = 0;  // frames that matched
  std::uint64_t hit = 0;   // of them, those that were struck
};

class FaultPoint final : public WrappingPort {
 public:
  static constexpr std::size_t kHeldFrames = 16'384;
  static constexpr std::uint64_t kHeldBytes = std::uint64_t{64} << 20;

  // The station whose cable it is: where it is what the station sends, frames are marked with it; where it is
  // what the station hears, a Separation goes by it. 0: a cable between switches.
  enum class Side : std::uint8_t { sends, hears, trunk };
  FaultPoint(EventLoop& loop, Side side, std::uint16_t station);
  ~FaultPoint() override;

  void send(Frame frame) override {
    if (side_ == Side::sends) frame.set_origin(station_);
    if (quiet_) return next().send(std::move(frame));
    strike(std::move(frame));
  }

  // Told of each frame that a rule strikes, and that it will not strike any more because its count is used
  // up. Must not change the point within the call.
  struct Hits {
    std::function<void(const Frame&)> hit;
    std::function<void()> spent;
  };
  void set_rule(const std::string& name, FrameRule rule, Random stream, Hits hits);
  // What it holds back stays until its time.
  FaultCounters clear_rule(const std::string& name);
  FaultCounters counters(const std::string& name) const;

  // A cable pulled: nothing passes, and what is held back is lost.
  void set_down(bool down);
  // Null: everyone hears everyone.
  void set_separation(const Separation* separation);

  std::size_t frames_held() const { return held_.size(); }
  std::uint64_t overflowed() const { return overflowed_; }  // dropped: kHeldFrames or kHeldBytes were held

 private:
  class Rule;
  struct Verdict;
  void strike(Frame frame);
  void judge(Frame frame);
  void hold(Time until, Frame frame);
  void let_go();
  void look_if_quiet();

  EventLoop& loop_;
  std::uint16_t station_;
  Side side_;
  bool quiet_ = true;
  bool down_ = false;
  const Separation* separation_ = nullptr;
  std::map<std::string, std::unique_ptr<Rule>> rules_;  // in this order they look
  std::multimap<Time, Frame> held_;  // those of one instant in the order in which they came
  std::uint64_t held_bytes_ = 0;
  std::uint64_t overflowed_ = 0;
  EventId release_{};
};

}  // namespace rookery::netsim
