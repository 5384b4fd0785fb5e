// Any bytes as an agent message, and as a hostile guest's segments: what decodes encodes back to the same
// bytes, and the host's end of a channel stays within its bounds.
#include <algorithm>
#include <cstdlib>

#include "guest/protocol/agent_channel.h"
#include "guest/protocol/agent_protocol.h"

using namespace rookery;
using namespace rookery::agent;

namespace {

void decode_message(ByteView bytes) {
  const Result<Message> message = decode(bytes);
  if (!message || std::holds_alternative<Unknown>(*message)) return;
  const ByteBuffer again = encode(*message);
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
}

// The input as a list of segments: raw ones behind a length byte, and ones that are well-formed but wild.
void feed_channel(ByteView bytes) {
  Channel host = Channel::host();
  ByteReader in(bytes);
  Time now;
  while (in.ok() && in.remaining() > 0) {
    const std::uint8_t head = in.u8();
    now = now + std::chrono::milliseconds(head);
    if (head < 128) {
      host.receive(in.take(std::min<std::size_t>(head, in.remaining())), now);
    } else {
      const std::uint8_t flags = in.u8(), sequence = in.u8(), acknowledged = in.u8();
      const std::size_t size = head & 63;
      ByteWriter out;
      out.be16(0x524b).u8(1).u8(flags & 7).be32(1u + (flags >> 6)).be32(1u + sequence).be32(acknowledged);
      host.receive(out.be16(static_cast<std::uint16_t>(size)).zeros(size).take(), now);
    }
    if (host.in_session() && (head & 1) != 0) (void)host.send(as_bytes("answer"));
    for (std::uint32_t sent = 0; host.next_segment(now); ++sent) {
      if (sent > kWindow + 2) std::abort();
    }
    if (host.queued_bytes() > kQueueMax) std::abort();
    if (head % 5 == 0) {
      if (const auto message = host.take_message()) decode_message(*message);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  decode_message(bytes);
  feed_channel(bytes);
  (void)check_role_path(as_text(bytes));
  return 0;
}
