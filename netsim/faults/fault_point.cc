#include "netsim/faults/fault_point.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "netsim/segment.h"

namespace rookery::netsim {
namespace {

constexpr std::size_t kEthernet = 14;
constexpr double kParetoCut = 100;
// A frame whose turn would come later than this is lost: keeps Time far from its end at absurd rates.
constexpr Duration kLongestHold = std::chrono::hours(24 * 365);

// Sums and square roots only, which are the same bits on every processor; a logarithm is not.
double drawn(Distribution distribution, Random& stream) {
  switch (distribution) {
    case Distribution::uniform:
      return 2 * stream.unit();
    case Distribution::normal: {
      double sum = -6;  // twelve uniform numbers: mean 6, variance 1
      for (int i = 0; i < 12; ++i) sum += stream.unit();
      return std::max(0.0, 1 + sum / 3);
    }
    case Distribution::pareto:
      return std::min(kParetoCut, 0.5 / std::sqrt(1 - stream.unit()));
  }
  return 1;
}

}  // namespace

// What becomes of one frame, collected from all rules.
struct FaultPoint::Verdict {
  bool lost = false;
  unsigned copies = 0;
  Duration delay{0};
  Time not_before{};  // so that a rule keeps the order of what it delays
  std::vector<Duration> held_back;
  std::vector<std::pair<std::uint64_t, bool>> flips;  // a drawn number, and whether checksums are made right
};

class FaultPoint::Rule {
 public:
  Rule(FrameRule rule, Random stream, Hits hits)
      : rule_(std::move(rule)), stream_(stream), hits_(std::move(hits)) {}

  FaultCounters counters;

  // True if it delays the frame in order: then it is told when the frame goes.
  bool look(const Frame& frame, Time now, Verdict& verdict) {
    if (rule_.filter && !rule_.filter->matches(frame)) return false;
    const std::uint64_t index = counters.seen++;
    const FrameLimits& limits = rule_.limits;
    if (index < limits.skip || (limits.count && index - limits.skip >= *limits.count)) return false;
    const bool last = limits.count && index - limits.skip + 1 == *limits.count;
    const bool struck =
        (limits.chance >= 1 || stream_.chance(limits.chance)) &&
        std::visit([&](auto& effect) { return apply(effect, frame, now, verdict); }, rule_.effect);
    if (struck) {
      ++counters.hit;
      hits_.hit(frame);
    }
    if (last) hits_.spent();
    return struck && in_order();
  }
  void goes(Time at) { latest_ = at; }

 private:
  bool in_order() const {
    return std::holds_alternative<Delay>(rule_.effect) || std::holds_alternative<Jitter>(rule_.effect) ||
           std::holds_alternative<RateLimit>(rule_.effect);
  }
  bool apply(const Loss&, const Frame&, Time, Verdict& verdict) { return verdict.lost = true; }
  bool apply(const BurstLoss& burst, const Frame&, Time, Verdict& verdict) {
    // Both numbers are drawn for every frame, so that the losses do not shift the states.
    const bool moves = stream_.chance(bad_ ? burst.end : burst.begin);
    const bool lost = stream_.chance(bad_ != moves ? burst.loss_inside : burst.loss_outside);
    bad_ = bad_ != moves;
    verdict.lost = verdict.lost || lost;
    return lost;
  }
  bool apply(const Delay& delay, const Frame&, Time, Verdict& verdict) {
    verdict.delay += delay.by;
    verdict.not_before = std::max(verdict.not_before, latest_);
    return true;
  }
  bool apply(const Jitter& jitter, const Frame&, Time, Verdict& verdict) {
    const double by = static_cast<double>(jitter.mean.count()) * drawn(jitter.distribution, stream_);
    verdict.delay += Duration(static_cast<Duration::rep>(by));
    verdict.not_before = std::max(verdict.not_before, latest_);
    return true;
  }
  // The time at which the slow stretch would have let it through; what waits there is what that time is worth
  // in bytes.
  bool apply(const RateLimit& limit, const Frame& frame, Time now, Verdict& verdict) {
    const double rate = static_cast<double>(limit.rate.bits_per_second);
    const Time first_bit = std::max(now, wire_free_);
    const double waiting = static_cast<double>((first_bit - now).count()) * rate / 8e9;
    if (limit.rate.bits_per_second == 0 || first_bit - now > kLongestHold ||
        (first_bit > now &&
         waiting + static_cast<double>(frame.size()) > static_cast<double>(limit.queue.count))) {
      return verdict.lost = true;
    }
    wire_free_ = first_bit +
                 Duration(static_cast<Duration::rep>(static_cast<double>(wire_octets(frame)) * 8e9 / rate));
    verdict.delay += wire_free_ - now;
    verdict.not_before = std::max(verdict.not_before, latest_);
    return true;
  }
  bool apply(const Duplicate&, const Frame&, Time, Verdict& verdict) {
    ++verdict.copies;
    return true;
  }
  bool apply(const Reorder& reorder, const Frame&, Time, Verdict& verdict) {
    verdict.held_back.push_back(reorder.by);
    return true;
  }
  bool apply(const Corrupt& corrupt, const Frame& frame, Time, Verdict& verdict) {
    const std::uint64_t number = stream_.next();
    if (frame.size() <= kEthernet) return false;
    verdict.flips.emplace_back(number, corrupt.checksum_valid);
    return true;
  }

  FrameRule rule_;
  Random stream_;
  Hits hits_;
  bool bad_ = false;  // BurstLoss
  Time wire_free_{};  // RateLimit
  Time latest_{};     // when the last frame goes that it delayed
};

namespace {

// One bit turned over: of the payload if the change is to go unnoticed, else of anything behind the
// addresses.
Frame flipped(const Frame& frame, std::uint64_t number, bool checksum_valid) {
  FrameBuilder builder(frame.size(), frame);
  if (!builder) return {};
  const auto bytes = builder.bytes();
  std::memcpy(bytes.data(), frame.bytes().data(), frame.size());
  std::size_t from = kEthernet;
  if (checksum_valid) from = std::min(payload_offset(frame.bytes()), frame.size() - 1);
  const std::uint64_t bit = number % ((frame.size() - from) * 8);
  bytes[from + bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
  if (checksum_valid) refresh_checksums(bytes);
  return std::move(builder).freeze();
}

}  // namespace

FaultPoint::FaultPoint(EventLoop& loop, Side side, std::uint16_t station)
    : loop_(loop), station_(station), side_(side) {}

FaultPoint::~FaultPoint() {
  loop_.cancel(release_);
}

void FaultPoint::set_rule(const std::string& name, FrameRule rule, Random stream, Hits hits) {
  rules_[name] = std::make_unique<Rule>(std::move(rule), stream, std::move(hits));
  look_if_quiet();
}

FaultCounters FaultPoint::clear_rule(const std::string& name) {
  const FaultCounters last = counters(name);
  rules_.erase(name);
  look_if_quiet();
  return last;
}

FaultCounters FaultPoint::counters(const std::string& name) const {
  const auto found = rules_.find(name);
  return found == rules_.end() ? FaultCounters{} : found->second->counters;
}

void FaultPoint::set_down(bool down) {
  down_ = down;
  if (down) {
    held_.clear();
    held_bytes_ = 0;
    loop_.cancel(std::exchange(release_, {}));
  }
  look_if_quiet();
}

void FaultPoint::set_separation(const Separation* separation) {
  separation_ = separation;
  look_if_quiet();
}

void FaultPoint::look_if_quiet() {
  quiet_ = rules_.empty() && !down_ && separation_ == nullptr;
}

void FaultPoint::strike(Frame frame) {
  if (down_) return;
  if (separation_ != nullptr && side_ == Side::hears && !separation_->lets(frame, station_)) return;
  if (rules_.empty()) return next().send(std::move(frame));
  if (is_finished(frame)) return judge(std::move(frame));
  class Judged final : public Port {
   public:
    explicit Judged(FaultPoint& point) : point_(point) {}
    void send(Frame single) override { point_.judge(std::move(single)); }

   private:
    FaultPoint& point_;
  };
  Judged judged(*this);
  send_finished(frame, judged);
}

void FaultPoint::judge(Frame frame) {
  const Time now = loop_.now();
  Verdict verdict;
  std::vector<Rule*> in_order;
  for (const auto& [name, rule] : rules_) {
    if (rule->look(frame, now, verdict)) in_order.push_back(rule.get());
  }
  if (verdict.lost) return;
  for (const auto& [number, checksum_valid] : verdict.flips) {
    frame = flipped(frame, number, checksum_valid);
    if (!frame) return;
  }
  Time goes = std::max(now + verdict.delay, verdict.not_before);
  for (Rule* rule : in_order) rule->goes(goes);
  for (const Duration by : verdict.held_back) goes = goes + by;
  for (unsigned i = 0; i < verdict.copies; ++i) hold(goes, frame);
  hold(goes, std::move(frame));
}

void FaultPoint::hold(Time until, Frame frame) {
  const Time now = loop_.now();
  if (until <= now && (held_.empty() || held_.begin()->first > now)) return next().send(std::move(frame));
  if (held_.size() >= kHeldFrames || held_bytes_ + frame.size() > kHeldBytes) {
    ++overflowed_;
    return;
  }
  held_bytes_ += frame.size();
  held_.emplace(until, std::move(frame));
  if (release_ && held_.begin()->first >= until) loop_.cancel(std::exchange(release_, {}));
  if (!release_) release_ = loop_.at(held_.begin()->first, [this] { let_go(); });
}

// What is due and was held when it began, one by one: a receiver may send, and so bring more in.
void FaultPoint::let_go() {
  release_ = {};
  const Time now = loop_.now();
  for (std::size_t left = held_.size(); left > 0 && !held_.empty() && held_.begin()->first <= now; --left) {
    Frame frame = std::move(held_.begin()->second);
    held_bytes_ -= frame.size();
    held_.erase(held_.begin());
    next().send(std::move(frame));
  }
  if (!held_.empty() && !release_) release_ = loop_.at(held_.begin()->first, [this] { let_go(); });
}

}  // namespace rookery::netsim
