// Any bytes on a stream of frames, cut anywhere: every frame has a size that a frame can have, and the same
// frames come out however the bytes are cut.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "netsim/ports/stream.h"

namespace {

using namespace rookery;

std::vector<ByteBuffer> frames_of(ByteView bytes, std::size_t step) {
  netsim::StreamFraming framing;
  std::vector<ByteBuffer> frames;
  while (!bytes.empty() && framing.fault().empty()) {
    const auto room = framing.room();
    const std::size_t count = std::min({step, room.size(), bytes.size()});
    std::copy_n(bytes.begin(), count, room.begin());
    framing.filled(count);
    bytes = bytes.subspan(count);
    while (const auto frame = framing.next()) {
      if (frame->size() < netsim::kSmallestFrame || frame->size() > netsim::kLargestFrame) std::abort();
      frames.emplace_back(frame->begin(), frame->end());
    }
  }
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  if (frames_of(bytes, data[0] % 64 + 1u) != frames_of(bytes, size)) std::abort();
  return 0;
}
