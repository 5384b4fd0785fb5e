#include "guest/protocol/agent_channel.h"

#include <algorithm>

namespace rookery::agent {
namespace {

constexpr std::uint16_t kMagic = 0x524b;
constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kCarriesData = 1;
constexpr std::uint8_t kEndsMessage = 2;
constexpr std::uint8_t kResume = 4;

}  // namespace

Channel Channel::guest(std::uint32_t epoch) {
  Channel channel(false);
  if (epoch == 0) bug("an agent session needs an epoch other than 0");
  channel.begin_session(epoch);
  return channel;
}

Channel Channel::host() {
  return Channel(true);
}

void Channel::begin_session(std::uint32_t epoch) {
  if (epoch_ != 0) {
    retired_.push_back(epoch_);
    if (retired_.size() > kRetiredEpochs) retired_.pop_front();
  }
  Channel fresh(is_host_);
  fresh.retired_ = std::move(retired_);
  fresh.counters_ = counters_;
  fresh.counters_.sessions += 1;
  fresh.epoch_ = epoch;
  fresh.first_unacknowledged_ = epoch;
  fresh.expected_ = epoch;
  // Whole messages of the old session stay readable: they arrived. Only its unfinished ones go.
  fresh.inbox_ = std::move(inbox_);
  fresh.inbox_bytes_ = inbox_bytes_;
  *this = std::move(fresh);
}

void Channel::reset() {
  const Counters counters = counters_;
  *this = Channel(is_host_);
  counters_ = counters;
}

Status Channel::send(ByteView message) {
  if (epoch_ == 0) return fail("the machine's agent has not spoken yet");
  if (message.empty()) return fail("an agent message may not be empty");
  if (message.size() > kMessageMax) {
    return fail("an agent message of " + std::to_string(message.size()) + " bytes exceeds the limit of " +
                std::to_string(kMessageMax));
  }
  if (!has_room(message.size())) return fail("the queue to the machine's agent is full");
  queued_bytes_ += message.size();
  while (!message.empty()) {
    const ByteView part = message.first(std::min(message.size(), kSegmentData));
    message = message.subspan(part.size());
    outgoing_.push_back(Segment{ByteBuffer(part.begin(), part.end()), message.empty()});
  }
  return {};
}

bool Channel::belongs(std::uint32_t epoch, bool has_data, std::uint32_t sequence) {
  if (epoch == epoch_ && epoch != 0) return true;
  // Only the very first segment of a session that we have not left behind may open it: anything else of an
  // unknown epoch is late, or comes before the first and will be sent again.
  const bool opens = is_host_ && epoch != 0 && has_data && sequence == epoch &&
                     std::find(retired_.begin(), retired_.end(), epoch) == retired_.end();
  if (opens) begin_session(epoch);
  return opens;
}

void Channel::receive(ByteView segment, Time now) {
  ByteReader in(segment);
  const std::uint16_t magic = in.be16();
  const std::uint8_t version = in.u8();
  const std::uint8_t flags = in.u8();
  const std::uint32_t epoch = in.be32();
  const std::uint32_t sequence = in.be32();
  const std::uint32_t acknowledged = in.be32();
  const ByteView data = in.take(in.be16());
  if (!in.ok() || magic != kMagic || version != kVersion || data.size() > kSegmentData) {
    counters_.malformed += 1;
    return;
  }
  const bool has_data = (flags & kCarriesData) != 0;
  if (!belongs(epoch, has_data, sequence)) {
    counters_.stray += 1;
    return;
  }
  take_acknowledgement(acknowledged, (flags & kResume) != 0, now);
  if (has_data) take_data(sequence, (flags & kEndsMessage) != 0, data);
}

void Channel::take_acknowledgement(std::uint32_t acknowledged, bool resume, Time now) {
  const std::uint32_t count = acknowledged - first_unacknowledged_;
  if (count > in_flight_) return;  // old, or of something never sent
  if (resume && count == 0 && in_flight_ > 0) {
    retransmit_first_ = true;
    recovering_ = true;
    recover_until_ = first_unacknowledged_ + in_flight_;
    retry_ = kFirstRetry;
  }
  if (count == 0) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    queued_bytes_ -= outgoing_.front().data.size();
    outgoing_.pop_front();
  }
  first_unacknowledged_ += count;
  in_flight_ -= count;
  retry_ = kFirstRetry;
  // What was lost together is sent again one by one as acknowledgements return, not one per timeout.
  const std::uint32_t left = recover_until_ - first_unacknowledged_;
  recovering_ = recovering_ && left > 0 && left <= kWindow && in_flight_ > 0;
  retransmit_first_ = recovering_;
  deadline_ = in_flight_ > 0 ? std::optional(now + retry_) : std::nullopt;
}

bool Channel::inbox_full() const {
  return inbox_bytes_ >= kQueueMax || inbox_.size() >= kQueuedMessagesMax;
}

void Channel::take_data(std::uint32_t sequence, bool ends_message, ByteView data) {
  acknowledge_ = true;
  const std::uint32_t ahead = sequence - expected_;
  if (ahead >= kWindow) {
    // Behind us: a duplicate, whose acknowledgement was lost. Ahead of the window: nothing we asked for.
    const bool behind = expected_ - sequence <= kWindow;
    (behind ? counters_.duplicates : counters_.stray) += 1;
    return;
  }
  if (inbox_full()) {
    counters_.held_back += 1;
    starved_ = true;
    return;
  }
  const auto [at, is_new] = early_.try_emplace(sequence);
  if (!is_new) {
    counters_.duplicates += 1;
    return;
  }
  at->second = Segment{ByteBuffer(data.begin(), data.end()), ends_message};
  for (auto next = early_.find(expected_); next != early_.end(); next = early_.find(expected_)) {
    deliver(std::move(next->second));
    early_.erase(next);
    expected_ += 1;
  }
}

void Channel::deliver(Segment segment) {
  if (!skipping_ && partial_.size() + segment.data.size() > kMessageMax) {
    counters_.oversized += 1;
    skipping_ = true;
    partial_ = ByteBuffer();
  }
  if (!skipping_) partial_.insert(partial_.end(), segment.data.begin(), segment.data.end());
  if (!segment.ends_message) return;
  if (!skipping_) {
    inbox_bytes_ += partial_.size();
    inbox_.push_back(std::move(partial_));
  }
  partial_ = ByteBuffer();
  skipping_ = false;
}

std::optional<ByteBuffer> Channel::take_message() {
  if (inbox_.empty()) return std::nullopt;
  ByteBuffer message = std::move(inbox_.front());
  inbox_.pop_front();
  inbox_bytes_ -= message.size();
  if (starved_ && !inbox_full()) {
    starved_ = false;
    acknowledge_ = resume_ = true;
  }
  return message;
}

ByteBuffer Channel::encode(std::uint8_t flags, std::uint32_t sequence, ByteView data) {
  if (resume_) flags |= kResume;
  acknowledge_ = resume_ = false;
  ByteWriter out;
  out.be16(kMagic).u8(kVersion).u8(flags).be32(epoch_).be32(sequence).be32(expected_);
  out.be16(static_cast<std::uint16_t>(data.size())).bytes(data);
  return out.take();
}

std::optional<ByteBuffer> Channel::next_segment(Time now) {
  if (deadline_ && *deadline_ <= now) {
    retransmit_first_ = true;
    recovering_ = true;
    recover_until_ = first_unacknowledged_ + in_flight_;
    retry_ = std::min(retry_ * 2, kLastRetry);
    deadline_ = now + retry_;
  }
  std::uint32_t index = in_flight_;
  if (retransmit_first_) {
    retransmit_first_ = false;
    counters_.retransmitted += 1;
    index = 0;
  } else if (in_flight_ < kWindow && in_flight_ < outgoing_.size()) {
    in_flight_ += 1;
    if (!deadline_) deadline_ = now + retry_;
  } else if (acknowledge_) {
    return encode(0, 0, {});
  } else {
    return std::nullopt;
  }
  const Segment& segment = outgoing_[index];
  const auto flags = static_cast<std::uint8_t>(kCarriesData | (segment.ends_message ? kEndsMessage : 0));
  return encode(flags, first_unacknowledged_ + index, segment.data);
}

}  // namespace rookery::agent
