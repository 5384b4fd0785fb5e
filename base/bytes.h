// Reading and writing wire formats by checked offset. A reader never reads past its end: it returns zero and
// turns bad, and stays bad, so that a parser checks once, at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rookery {

using ByteView = std::span<const std::uint8_t>;
using ByteBuffer = std::vector<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Reads from a view that it does not own.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }
  std::size_t offset() const { return offset_; }

  // `count` bytes, or an empty view (and not ok) if there are fewer.
  ByteView take(std::size_t count) {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return {};
    }
    ByteView taken = bytes_.subspan(offset_, count);
    offset_ += count;
    return taken;
  }
  ByteView rest() { return take(remaining()); }

  std::uint8_t u8() { return static_cast<std::uint8_t>(big(1)); }
  std::uint16_t be16() { return static_cast<std::uint16_t>(big(2)); }
  std::uint32_t be32() { return static_cast<std::uint32_t>(big(4)); }
  std::uint64_t be64() { return big(8); }
  std::uint16_t le16() { return static_cast<std::uint16_t>(little(2)); }
  std::uint32_t le32() { return static_cast<std::uint32_t>(little(4)); }
  std::uint64_t le64() { return little(8); }

 private:
  std::uint64_t big(std::size_t width) {
    std::uint64_t value = 0;
    for (std::uint8_t byte : take(width)) value = value << 8 | byte;
    return value;
  }
  std::uint64_t little(std::size_t width) {
    std::uint64_t value = 0;
    unsigned shift = 0;
    for (std::uint8_t byte : take(width)) {
      value |= std::uint64_t{byte} << shift;
      shift += 8;
    }
    return value;
  }

  ByteView bytes_;
  std::size_t offset_ = 0;
  bool ok_ = true;
};

// Appends to a buffer that it owns.
class ByteWriter {
 public:
  ByteWriter& u8(std::uint8_t v) { return big(v, 1); }
  ByteWriter& be16(std::uint16_t v) { return big(v, 2); }
  ByteWriter& be32(std::uint32_t v) { return big(v, 4); }
  ByteWriter& be64(std::uint64_t v) { return big(v, 8); }
  ByteWriter& le16(std::uint16_t v) { return little(v, 2); }
  ByteWriter& le32(std::uint32_t v) { return little(v, 4); }
  ByteWriter& le64(std::uint64_t v) { return little(v, 8); }
  ByteWriter& bytes(ByteView view) {
    buffer_.insert(buffer_.end(), view.begin(), view.end());
    return *this;
  }
  ByteWriter& text(std::string_view view) { return bytes(as_bytes(view)); }
  ByteWriter& zeros(std::size_t count) {
    buffer_.insert(buffer_.end(), count, 0);
    return *this;
  }

  std::size_t size() const { return buffer_.size(); }
  const ByteBuffer& buffer() const { return buffer_; }
  ByteBuffer take() { return std::move(buffer_); }

 private:
  ByteWriter& big(std::uint64_t v, unsigned width) {
    for (unsigned i = width; i-- > 0;) buffer_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
    return *this;
  }
  ByteWriter& little(std::uint64_t v, unsigned width) {
    for (unsigned i = 0; i < width; ++i) buffer_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
    return *this;
  }

  ByteBuffer buffer_;
};

}  // namespace rookery
