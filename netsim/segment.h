// What a network card does for its machine: cuts a super-frame into the frames that would be on the wire, and
// fills in checksums. Used only where single, finished frames are needed: a guest that did not negotiate
// offload, a capture. Pure; a frame's own word is checked, since a guest wrote it.
#pragma once

#include "netsim/port.h"

namespace rookery::netsim {

// Linux never cuts smaller (include/net/tcp.h, TCP_MIN_GSO_SIZE), and one super-frame should not become
// 65,536 frames.
inline constexpr std::uint16_t kSmallestSegment = 48;

// Makes what virtio says of a frame (virtio 1.2 §5.1.6.2) exact: a checksum to be filled in lies within the
// frame, a super-frame is TCP over IPv4 or IPv6 in at least two segments, header_length is its headers' true
// length. False if that cannot be: then the frame is to be dropped.
bool check_offload(ByteView frame, Offload& offload);

inline bool is_finished(const Frame& frame) {
  return !frame.is_super_frame() && (frame.offload().flags & Offload::kNeedsChecksum) == 0;
}

// Sends the frames that `frame` stands for to `to`, in order, finished; returns how many. Fewer than there
// should be, or none, if the pool of buffers is at its limit or the frame's offload is not what check_offload
// makes of it.
std::size_t send_finished(const Frame& frame, Port& to);

// Where the payload of a TCP or UDP packet over IPv4 or IPv6 begins; behind the Ethernet header of any other.
std::size_t payload_offset(ByteView frame);
// Makes the checksums of such a packet right: of its IPv4 header, and of TCP or UDP where it is no fragment.
// Leaves any other frame as it is.
void refresh_checksums(std::span<std::uint8_t> frame);

}  // namespace rookery::netsim
