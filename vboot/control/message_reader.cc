#include "vboot/control/message_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::vboot {

Result<std::string> encode_message(JsonView message, Bytes most) {
  std::string line = message.dump();
  line += '\n';
  if (line.size() > most.count) {
    return fail(ErrorKind::usage,
                fmt::format("a control message of {} bytes; at most {}", line.size(), most.count));
  }
  return line;
}

void MessageReader::feed(ByteView bytes) {
  if (!broken_) buffer_.append(as_text(bytes));
}

std::optional<Result<Json>> MessageReader::next() {
  while (!broken_) {
    const std::size_t end = buffer_.find('\n', std::max(scanned_, start_));
    const bool ended = end != std::string::npos;
    const std::size_t length = (ended ? end + 1 : buffer_.size()) - start_;
    if (length > most_) {
      broken_ = true;
      buffer_.clear();
      buffer_.shrink_to_fit();
      start_ = scanned_ = 0;
      return fail(ErrorKind::usage, fmt::format("a control message above {} bytes", most_));
    }
    if (!ended) {
      drop_read();
      scanned_ = buffer_.size();
      return std::nullopt;
    }
    const std::string_view line = std::string_view(buffer_).substr(start_, end - start_);
    start_ = end + 1;
    if (!line.empty()) return parse_line(line);
  }
  return std::nullopt;
}

Result<Json> MessageReader::parse_line(std::string_view line) {
  auto value = Json::parse(line);
  if (!value) return tl::unexpected(std::move(value.error()).while_doing("control message"));
  if (!value->view().is_object()) {
    return fail(ErrorKind::usage,
                fmt::format("control message: expected an object, found {}", to_text(value->kind())));
  }
  return value;
}

// Gives back the memory of the lines that were given out; only here, so that a burst of lines moves nothing.
void MessageReader::drop_read() {
  buffer_.erase(0, start_);
  start_ = 0;
}

}  // namespace rookery::vboot
