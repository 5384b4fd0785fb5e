#include "vboot/control/stream_frames.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kHeader = 5;

}  // namespace

void append_frame(ByteBuffer& to, StreamFrame::Kind kind, ByteView bytes) {
  ByteWriter header;
  header.u8(static_cast<std::uint8_t>(kind)).be32(static_cast<std::uint32_t>(bytes.size()));
  to.insert(to.end(), header.buffer().begin(), header.buffer().end());
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::optional<Result<StreamFrame>> StreamFrameReader::next() {
  if (broken_) return std::nullopt;
  ByteReader in(ByteView(buffer_).subspan(start_));
  const std::uint8_t kind = in.u8();
  const std::uint32_t length = in.be32();
  if (!in.ok()) return std::nullopt;
  const bool one_byte = kind == static_cast<std::uint8_t>(StreamFrame::Kind::exited);
  if (kind < 1 || kind > 5 || length > kStreamFrameMost || (one_byte && length != 1)) {
    broken_ = true;
    return Result<StreamFrame>(fail("the supervisor sent what is no frame of a stream"));
  }
  const ByteView bytes = in.take(length);
  if (!in.ok()) return std::nullopt;
  StreamFrame frame{static_cast<StreamFrame::Kind>(kind), ByteBuffer(bytes.begin(), bytes.end())};
  start_ += kHeader + length;
  if (start_ == buffer_.size() || start_ > kStreamFrameMost) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(start_));
    start_ = 0;
  }
  return Result<StreamFrame>(std::move(frame));
}

}  // namespace rookery::vboot
