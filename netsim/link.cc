#include "netsim/link.h"

#include <algorithm>

namespace rookery::netsim {
namespace {

// IEEE 802.3-2018: preamble 7 and start delimiter 1 (§3.1.1), frame check sequence 4 (§3.2.9), inter-packet
// gap 12 (96 bits, table 4-2); and a frame is padded to 64 octets with its check sequence (minFrameSize,
// table 4-2).
constexpr std::uint64_t kOverheadOctets = 7 + 1 + 4 + 12;
constexpr std::uint64_t kPaddedFrame = 60;

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
// A frame whose turn would come later than this is not taken: keeps Time far from its end at absurd rates.
constexpr Duration kLongestWait = std::chrono::hours(24 * 365);

}  // namespace

std::uint64_t wire_octets(const Frame& frame) {
  const std::uint64_t size = frame.size();
  std::uint64_t segments = 1;
  std::uint64_t repeated_header = 0;
  if (frame.is_super_frame()) {
    const Offload& offload = frame.offload();
    const std::uint64_t header =
        std::min<std::uint64_t>(std::max<std::uint64_t>(offload.header_length, 14), size);
    if (offload.segment_size > 0 && size > header) {
      segments = (size - header + offload.segment_size - 1) / offload.segment_size;
      repeated_header = header;
    }
  }
  return std::max(size, kPaddedFrame) + (segments - 1) * repeated_header + segments * kOverheadOctets;
}

void Link::send(Frame frame) {
  if (!rules_.rate && rules_.delay == Duration{0} && under_way_.empty()) {
    ++counters_.frames;
    counters_.bytes += frame.size();
    next().send(std::move(frame));
    return;
  }
  const Time now = loop_.now();
  const std::size_t bytes = frame.size();
  Time first_bit = now;
  Time last_bit = now;
  if (rules_.rate) {
    const bool busy = wire_free_ > now;
    if (busy) first_bit = wire_free_;
    if (rules_.rate->bits_per_second == 0 || (busy && !queue_takes(bytes, first_bit, now))) {
      ++counters_.queue_full;
      return;
    }
  }
  if (under_way_.size() >= kInFlightFrames || under_way_bytes_ + bytes > kInFlightBytes) {
    ++counters_.in_flight_full;
    return;
  }
  if (rules_.rate) {
    last_bit = first_bit + time_on_wire(frame, wire_free_ >= now);
    wire_free_ = last_bit;
  }
  last_arrival_ = std::max(last_arrival_, last_bit + rules_.delay);
  // Behind something that waits, nothing counts as started, even if the rate was lifted meanwhile.
  if (first_bit <= now && started_ == under_way_.size()) {
    ++started_;
  } else {
    queued_bytes_ += bytes;
  }
  under_way_bytes_ += bytes;
  under_way_.push(UnderWay{std::move(frame), first_bit, last_arrival_});
  if (!event_ && !delivering_) wait_for_front();
}

bool Link::queue_takes(std::size_t bytes, Time first_bit, Time now) {
  while (started_ < under_way_.size() && under_way_[started_].first_bit <= now) {
    queued_bytes_ -= under_way_[started_].frame.size();
    ++started_;
  }
  return queued_bytes_ + bytes <= rules_.queue.count && first_bit - now <= kLongestWait;
}

// Rounded down, with the rest carried to the next frame, so that a train of frames takes its exact time.
Duration Link::time_on_wire(const Frame& frame, bool wire_was_busy) {
  const std::uint64_t rate = rules_.rate->bits_per_second;
  if (!wire_was_busy || fraction_ >= rate) fraction_ = 0;
  const std::uint64_t total = wire_octets(frame) * 8 * kNanosecondsPerSecond + fraction_;
  fraction_ = total % rate;
  return Duration(static_cast<Duration::rep>(total / rate));
}

void Link::wait_for_front() {
  event_ = loop_.at(under_way_.front().arrival, [this] { deliver(); });
}

// Delivers what has arrived and was under way when it began: what the receivers send in answer waits for the
// next event, so that no answer to an answer can keep us here.
void Link::deliver() {
  event_ = {};
  delivering_ = true;
  const Time now = loop_.now();
  for (std::size_t left = under_way_.size(); left > 0 && !under_way_.empty(); --left) {
    if (under_way_.front().arrival > now) break;
    Frame frame = std::move(under_way_.front().frame);
    const std::size_t bytes = frame.size();
    under_way_.pop();
    if (started_ > 0)
      --started_;
    else
      queued_bytes_ -= bytes;
    under_way_bytes_ -= bytes;
    ++counters_.frames;
    counters_.bytes += bytes;
    next().send(std::move(frame));
  }
  delivering_ = false;
  if (!under_way_.empty()) wait_for_front();
}

std::size_t Link::clear() {
  const std::size_t lost = under_way_.size();
  under_way_.clear();
  started_ = 0;
  queued_bytes_ = 0;
  under_way_bytes_ = 0;
  wire_free_ = {};
  last_arrival_ = {};
  loop_.cancel(event_);
  event_ = {};
  return lost;
}

}  // namespace rookery::netsim
