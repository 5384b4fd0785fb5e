// Any bytes on the control channel, cut anywhere: what comes out is a message or a named error, the reader's
// bound holds, and a request that was taken reads back from its own wire form as it was.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "vboot/control/message_reader.h"
#include "vboot/control/messages.h"
#include "vboot/control/requests.h"
#include "vboot/control/stream_frames.h"

namespace {

using namespace rookery;
using namespace rookery::vboot;

void read_back(const Json& message) {
  if (!encode_message(message) && message.dump().size() < kMessageMost.count / 8) std::abort();
  if (auto reply = parse_reply(message)) {
    if (auto* event = std::get_if<ControlEvent>(&reply->body)) {
      static_cast<void>(output_of(*event));
      static_cast<void>(exited_of(*event));
    }
  }
  auto request = parse_request(message);
  if (!request) {
    if (request.error().message.empty()) std::abort();
    return;
  }
  auto again = parse_request(to_json(*request));
  if (!again || !(*again == *request)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = data[0] % 64 + 1u;
  MessageReader reader;
  for (std::size_t at = 1; at < size; at += step) {
    reader.feed(ByteView(data + at, std::min(step, size - at)));
    while (auto message = reader.next()) {
      if (*message) read_back(**message);
    }
  }
  // The same bytes as the frames of a stream: each that comes out is what went in.
  StreamFrameReader frames;
  std::size_t read = 1;
  for (std::size_t at = 1; at < size; at += step) {
    frames.feed(ByteView(data + at, std::min(step, size - at)));
    for (auto frame = frames.next(); frame && *frame; frame = frames.next()) {
      ByteBuffer again;
      append_frame(again, (*frame)->kind, (*frame)->bytes);
      if (again.size() > size - read || !std::equal(again.begin(), again.end(), data + read)) std::abort();
      read += again.size();
    }
  }
  return 0;
}
