// The framing of the control channel: one JSON object to a line. Bytes go in as they come, messages come out.
// Pure: sockets are elsewhere.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/json/json.h"
#include "base/result.h"
#include "base/units.h"

namespace rookery::vboot {

inline constexpr Bytes kMessageMost = mebibytes(1);  // a request's line, its end included
// What a supervisor answers: the state of the largest lab is one message (4,096 machines, each with its
// reasons).
inline constexpr Bytes kReplyMost = mebibytes(48);

// The line that carries a message, its end included. A message above `most` is an error (kind usage): the
// sender splits what is long, as output into several events.
Result<std::string> encode_message(JsonView message, Bytes most = kMessageMost);

// One for each connection and direction; owns at most a message and what was fed since.
class MessageReader {
 public:
  explicit MessageReader(Bytes most = kMessageMost) : most_(most.count) {}

  void feed(ByteView bytes);

  // The next message, or what is wrong with the next line (kind usage; the lines after it are good), or
  // nothing until more bytes come. Empty lines are skipped. After a line above the limit has been
  // reported, the reader is broken and takes nothing more: the connection is to be closed.
  std::optional<Result<Json>> next();
  bool broken() const { return broken_; }
  // What was fed and is no message yet, for a connection that becomes something else. The last that is asked.
  std::string take_rest() && { return std::move(buffer_).substr(start_); }

  // Whether the bytes so far end inside of a line: at the end of a connection, a cut message.
  bool inside_line() const { return start_ < buffer_.size(); }

 private:
  Result<Json> parse_line(std::string_view line);
  void drop_read();

  std::size_t most_;
  std::string buffer_;
  std::size_t start_ = 0;    // of the first line that was not given out
  std::size_t scanned_ = 0;  // up to here there is no end of that line
  bool broken_ = false;
};

}  // namespace rookery::vboot
