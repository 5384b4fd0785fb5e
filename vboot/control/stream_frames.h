// What a supervisor says on a connection that has become a stream (StreamRequest, requests.h): frames of one
// byte that says what it is, a be32 length, and that many bytes. The other direction is the bare bytes of the
// stream, whose end is the end of the connection's direction. Pure: sockets are elsewhere.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace rookery::vboot {

struct StreamFrame {
  enum class Kind : std::uint8_t {
    out = 1,
    err = 2,
    out_ends = 3,  // no bytes
    exited = 4,    // one byte: the program's exit code; of a connection 0, or 1 if there is none. The last
    lost = 5,      // why the stream ended otherwise. The last
  };
  Kind kind = Kind::out;
  ByteBuffer bytes;
  friend bool operator==(const StreamFrame&, const StreamFrame&) = default;
};

inline constexpr std::size_t kStreamFrameMost = 1u << 20;

void append_frame(ByteBuffer& to, StreamFrame::Kind kind, ByteView bytes);

// One for each connection; owns what was fed and not given out.
class StreamFrameReader {
 public:
  void feed(ByteView bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }
  // The next whole frame, or what is wrong with it (after which nothing more comes), or nothing yet.
  std::optional<Result<StreamFrame>> next();

 private:
  ByteBuffer buffer_;
  std::size_t start_ = 0;
  bool broken_ = false;
};

}  // namespace rookery::vboot
