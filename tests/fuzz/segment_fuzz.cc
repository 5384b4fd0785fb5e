// Ten bytes as what virtio says of a frame, the rest as the frame: what the check lets through must be cut
// into frames that carry the whole payload, once, and each of them finished and no longer than it should be.
#include <algorithm>
#include <cstring>

#include "base/result.h"
#include "netsim/segment.h"

namespace {

using namespace rookery;
using namespace rookery::netsim;

class Count final : public Port {
 public:
  void send(Frame frame) override {
    if (!is_finished(frame)) bug("a frame that is not finished");
    ++frames;
    bytes += frame.size();
    largest = std::max(largest, frame.size());
  }
  std::size_t frames = 0, bytes = 0, largest = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 10;
  if (size < kHead) return 0;
  FrameBuilder builder(size - kHead);
  if (!builder) return 0;
  std::memcpy(builder.bytes().data(), data + kHead, size - kHead);
  const auto word = [&](std::size_t at) { return static_cast<std::uint16_t>(data[at] | data[at + 1] << 8); };
  Offload offload{data[0], data[1], word(2), word(4), word(6), word(8)};
  if (!check_offload(builder.bytes(), offload)) return 0;
  builder.offload() = offload;
  const Frame frame = std::move(builder).freeze();
  Count wire;
  const std::size_t sent = send_finished(frame, wire);
  if (sent != wire.frames || sent == 0) bug("a checked frame was not sent");
  const std::size_t headers = offload.header_length;
  if (wire.bytes != frame.size() + (sent - 1) * headers) bug("payload was lost or sent twice");
  if (frame.is_super_frame() && (sent < 2 || wire.largest > headers + offload.segment_size)) bug("badly cut");
  return 0;
}
