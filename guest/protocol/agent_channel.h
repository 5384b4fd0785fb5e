// The reliable, in-order message channel between a machine's agent and the supervisor, over raw Ethernet
// frames that may be lost, doubled or reordered. Pure: segments in, segments out, time given by the caller;
// it owns no socket, no clock and no thread. One Channel per end, owned by whoever owns the frames.
//
// The guest opens a session by choosing an epoch and saying anything at all; every segment of both directions
// carries that epoch, and sequence numbers of both directions begin at it. A guest that restarts (or the next
// stage's process) takes another epoch, and the host drops what belonged to the old one. A segment:
//
//    0  be16  magic 0x524b "RK"
//    2  u8    version 1
//    3  u8    flags: 1 carries data, 2 ends its message, 4 resume: room again, send anew what I dropped
//    4  be32  epoch
//    8  be32  sequence number (of this segment; without data: 0)
//   12  be32  acknowledged: the next sequence number that the sender expects
//   16  be16  length of the data that follows (the frame may be padded)
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"

namespace rookery::agent {

inline constexpr std::size_t kSegmentHeader = 18;
inline constexpr std::size_t kSegmentData = 1400;          // with both headers well below an MTU of 1,500
inline constexpr std::size_t kMessageMax = 1u << 20;       // 1 MiB
inline constexpr std::size_t kQueueMax = 4 * kMessageMax;  // bytes waiting to be sent, or to be taken
inline constexpr std::size_t kQueuedMessagesMax = 16384;   // messages waiting to be taken, however small
inline constexpr std::uint32_t kWindow = 32;               // segments in flight
inline constexpr std::size_t kRetiredEpochs = 8;           // old sessions whose late segments are known
inline constexpr Duration kFirstRetry = std::chrono::milliseconds(200);
inline constexpr Duration kLastRetry = std::chrono::seconds(10);  // doubles up to this

class Channel {
 public:
  struct Counters {
    std::uint64_t malformed = 0;      // not a segment of this protocol
    std::uint64_t stray = 0;          // of a session that is not ours, or outside the window
    std::uint64_t duplicates = 0;     // data that had arrived before
    std::uint64_t retransmitted = 0;  // segments sent again
    std::uint64_t oversized = 0;      // messages dropped for being longer than kMessageMax
    std::uint64_t held_back = 0;      // segments refused while the inbox was full
    std::uint64_t sessions = 0;       // sessions that began
  };

  // The guest's end; `epoch` is not 0 and differs from that of any session this machine had before.
  static Channel guest(std::uint32_t epoch);
  // The host's end: it has no session, and can send nothing, until the guest has spoken.
  static Channel host();

  // Queues one message (1 byte to kMessageMax). Refuses by name: no session, too long, queue full.
  Status send(ByteView message);
  bool has_room(std::size_t message_bytes) const { return queued_bytes_ + message_bytes <= kQueueMax; }
  // Takes what came in: the payload of one frame of our ethertype.
  void receive(ByteView segment, Time now);
  // The next segment to put on the wire at `now`. Call until empty after each send, receive, take_message and
  // at each deadline.
  std::optional<ByteBuffer> next_segment(Time now);
  // The next whole message that arrived.
  std::optional<ByteBuffer> take_message();

  // When next_segment wants to be called again if nothing else happens; empty: never.
  std::optional<Time> deadline() const { return deadline_; }
  // Everything sent has been acknowledged.
  bool drained() const { return outgoing_.empty(); }
  std::size_t queued_bytes() const { return queued_bytes_; }
  bool in_session() const { return epoch_ != 0; }
  std::uint32_t epoch() const { return epoch_; }
  const Counters& counters() const { return counters_; }

  // Host: forgets the session and every retired epoch; for when the machine was powered on anew.
  void reset();

 private:
  struct Segment {
    ByteBuffer data;
    bool ends_message = false;
  };

  explicit Channel(bool is_host) : is_host_(is_host) {}
  void begin_session(std::uint32_t epoch);
  bool belongs(std::uint32_t epoch, bool has_data, std::uint32_t sequence);
  void take_acknowledgement(std::uint32_t acknowledged, bool resume, Time now);
  void take_data(std::uint32_t sequence, bool ends_message, ByteView data);
  void deliver(Segment segment);
  bool inbox_full() const;
  ByteBuffer encode(std::uint8_t flags, std::uint32_t sequence, ByteView data);

  bool is_host_;
  std::uint32_t epoch_ = 0;
  std::deque<std::uint32_t> retired_;

  // Sending: outgoing_[0] has sequence first_unacknowledged_; the first in_flight_ of them are on the wire.
  std::deque<Segment> outgoing_;
  std::size_t queued_bytes_ = 0;
  std::uint32_t first_unacknowledged_ = 0;
  std::uint32_t in_flight_ = 0;
  std::uint32_t recover_until_ = 0;  // what was in flight at the last timeout is sent again up to here
  bool recovering_ = false;
  bool retransmit_first_ = false;
  Duration retry_ = kFirstRetry;
  std::optional<Time> deadline_;

  // Receiving
  std::uint32_t expected_ = 0;
  std::map<std::uint32_t, Segment> early_;  // keyed by distance-safe sequence; at most kWindow
  ByteBuffer partial_;
  bool skipping_ = false;  // the message being assembled is too long: drop it up to its end
  std::deque<ByteBuffer> inbox_;
  std::size_t inbox_bytes_ = 0;
  bool starved_ = false;
  bool acknowledge_ = false;
  bool resume_ = false;

  Counters counters_;
};

}  // namespace rookery::agent
