#include "netsim/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "netsim/segment.h"

// Block and option codes: draft-ietf-opsawg-pcapng §4.1 (section header), §4.2 (interface description), §4.3
// (enhanced packet), §3.5 (options). Written little-endian, as the byte-order magic says.

namespace rookery::netsim {
namespace {

constexpr std::uint32_t kSectionHeader = 0x0A0D0D0A;
constexpr std::uint32_t kByteOrderMagic = 0x1A2B3C4D;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint16_t kEndOfOptions = 0;
constexpr std::uint16_t kUserApplication = 4;      // shb_userappl
constexpr std::uint16_t kInterfaceName = 2;        // if_name
constexpr std::uint16_t kTimestampResolution = 9;  // if_tsresol
constexpr std::uint8_t kNanoseconds = 9;           // 10^-9 s
constexpr std::uint16_t kPacketFlags = 2;          // epb_flags: bits 0-1 are the direction, 01 in, 10 out
constexpr std::uint16_t kLinkTypeEthernet = 1;     // LINKTYPE_ETHERNET, draft-ietf-opsawg-pcaplinktype §3
constexpr std::size_t kLongestText = 1024;

std::size_t padding(std::size_t size) {
  return (4 - size % 4) % 4;
}

void put_option(ByteWriter& body, std::uint16_t code, ByteView value) {
  body.le16(code).le16(static_cast<std::uint16_t>(value.size())).bytes(value).zeros(padding(value.size()));
}

// Type, total length, body, total length again (§3.1).
void append_block(ByteBuffer& to, std::uint32_t type, ByteView body) {
  const auto total = static_cast<std::uint32_t>(body.size() + 12);
  ByteWriter block;
  block.le32(type).le32(total).bytes(body).le32(total);
  to.insert(to.end(), block.buffer().begin(), block.buffer().end());
}

void put_le32(std::uint8_t* at, std::uint32_t value) {
  for (unsigned i = 0; i < 4; ++i) at[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

}  // namespace

CaptureFile::CaptureFile(std::string name, const CaptureRules& rules, std::unique_ptr<Sink> sink)
    : name_(std::move(name)), rules_(rules), sink_(std::move(sink)) {}

Result<std::shared_ptr<CaptureFile>> CaptureFile::create(const std::filesystem::path& path,
                                                         const CaptureRules& rules) {
  const std::string name = path.string();
  return begin(name, rules, Sink::open(path, {.name = "the capture " + name, .when_full = rules.when_full}));
}

Result<std::shared_ptr<CaptureFile>> CaptureFile::create(UniqueFd fd, const std::string& name, bool replace,
                                                         const CaptureRules& rules) {
  return begin(
      name, rules,
      Sink::of(std::move(fd), replace, {.name = "the capture " + name, .when_full = rules.when_full}));
}

Result<std::shared_ptr<CaptureFile>> CaptureFile::begin(std::string name, const CaptureRules& rules,
                                                        Result<std::unique_ptr<Sink>> sink) {
  if (!sink) return tl::unexpected<Error>(sink.error());
  std::shared_ptr<CaptureFile> file(new CaptureFile(std::move(name), rules, std::move(*sink)));
  ByteWriter body;
  body.le32(kByteOrderMagic).le16(1).le16(0).le64(~std::uint64_t{0});  // version 1.0, length not known
  put_option(body, kUserApplication, as_bytes(std::string_view(rules.application).substr(0, kLongestText)));
  body.le16(kEndOfOptions).le16(0);
  append_block(file->block_, kSectionHeader, body.buffer());
  file->size_ = file->block_.size();
  (void)file->sink_->put(file->block_, Sink::As::always);  // told() has what comes of it
  return file;
}

Result<std::uint32_t> CaptureFile::add_interface(std::string_view name) {
  if (interfaces_ >= kInterfaces) {
    return fail(fmt::format("the capture {} has {} interfaces already", name_, kInterfaces));
  }
  if (full_) return fail(fmt::format("the capture {} has ended", name_));
  ByteWriter body;
  const std::uint64_t snap = rules_.snap.count == 0 ? kLargestFrame : rules_.snap.count;
  body.le16(kLinkTypeEthernet)
      .le16(0)
      .le32(static_cast<std::uint32_t>(std::min<std::uint64_t>(snap, kLargestFrame)));
  put_option(body, kInterfaceName, as_bytes(name.substr(0, kLongestText)));
  put_option(body, kTimestampResolution, ByteView(&kNanoseconds, 1));
  body.le16(kEndOfOptions).le16(0);
  block_.clear();
  append_block(block_, kInterfaceDescription, body.buffer());
  (void)sink_->put(block_, Sink::As::always);
  size_ += block_.size();
  return interfaces_++;
}

void CaptureFile::write(std::uint32_t interface, Direction direction, Time time, const Frame& frame) {
  if (full_ || interface >= interfaces_) {
    ++left_out_;
    return;
  }
  const std::size_t length = frame.size();
  const std::size_t kept = rules_.snap.count == 0 ? length : std::min<std::size_t>(length, rules_.snap.count);
  // Head 28, the frame, its padding, one option of 8, the end of the options 4, the length again 4.
  const std::size_t total = 28 + kept + padding(kept) + 8 + 4 + 4;
  if (size_ + total > rules_.limit.count) {
    ++left_out_;
    full_ = at_limit_ = true;
    return;
  }
  const auto stamp = static_cast<std::uint64_t>((rules_.started_at + time.since_start).count());
  block_.assign(total, 0);  // zeroes, which padding and the end of the options are
  std::uint8_t* to = block_.data();
  put_le32(to, kEnhancedPacket);
  put_le32(to + 4, static_cast<std::uint32_t>(total));
  put_le32(to + 8, interface);
  put_le32(to + 12, static_cast<std::uint32_t>(stamp >> 32));
  put_le32(to + 16, static_cast<std::uint32_t>(stamp));
  put_le32(to + 20, static_cast<std::uint32_t>(kept));
  put_le32(to + 24, static_cast<std::uint32_t>(length));
  std::memcpy(to + 28, frame.bytes().data(), kept);
  to += 28 + kept + padding(kept);
  put_le32(to, kPacketFlags | 4U << 16);
  put_le32(to + 4, direction == Direction::inbound ? 1 : 2);
  put_le32(to + 12, static_cast<std::uint32_t>(total));
  if (!sink_->put(block_)) {
    ++left_out_;
    full_ = !is_open();  // a queue that is full may have room again
    return;
  }
  size_ += total;
  ++frames_;
}

void CaptureFile::close() {
  full_ = true;
  sink_->close();
}

void CaptureFile::close(Duration patience) {
  full_ = true;
  (void)sink_->close(patience);  // told() and status() have it
}

CaptureTold CaptureFile::told() const {
  CaptureTold told;
  const Sink::State state = sink_->state();
  // What the queue took and nobody will read is lost, too.
  told.frames = state == Sink::State::open ? frames_ : sink_->pieces_written();
  told.left_out = left_out_ + frames_ - told.frames;
  if (state == Sink::State::reader_left) {
    told.why = "its reader has left";
  } else if (state == Sink::State::failed) {
    told.why = sink_->status().error().message;
  } else if (at_limit_) {
    told.why = fmt::format("its limit is {} bytes", rules_.limit.count);
  } else if (told.left_out > 0) {
    told.why = "its reader does not keep up";
  }
  return told;
}

std::string CaptureFile::in_words() const {
  const CaptureTold is = told();
  std::string words = fmt::format("{} frames in the capture {}", is.frames, name_);
  if (is.left_out > 0) words += fmt::format(", {} are not", is.left_out);
  return is.why.empty() ? words : words + ": " + is.why;
}

Status CaptureFile::status() const {
  return sink_->state() == Sink::State::failed ? sink_->status() : Status();
}

// As it would be on the wire: a super-frame is cut, a checksum filled in.
void CaptureTap::capture(const Frame& frame) {
  if (is_finished(frame)) return file_->write(interface_, direction_, loop_.now(), frame);
  class Writer final : public Port {
   public:
    explicit Writer(CaptureTap& tap) : tap_(tap) {}
    void send(Frame cut) override {
      tap_.file_->write(tap_.interface_, tap_.direction_, tap_.loop_.now(), cut);
    }

   private:
    CaptureTap& tap_;
  };
  Writer writer(*this);
  send_finished(frame, writer);
}

}  // namespace rookery::netsim
