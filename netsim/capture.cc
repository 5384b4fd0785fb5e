#include "netsim/capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>

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
constexpr std::size_t kWriteAtOnce = std::size_t{256} << 10;

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

CaptureFile::CaptureFile(std::filesystem::path path, const CaptureRules& rules, UniqueFd fd)
    : path_(std::move(path)), rules_(rules), fd_(std::move(fd)) {}

Result<std::shared_ptr<CaptureFile>> CaptureFile::create(const std::filesystem::path& path,
                                                         const CaptureRules& rules) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail_errno("cannot write the capture " + path.string());
  std::shared_ptr<CaptureFile> file(new CaptureFile(path, rules, std::move(fd)));
  ByteWriter body;
  body.le32(kByteOrderMagic).le16(1).le16(0).le64(~std::uint64_t{0});  // version 1.0, length not known
  put_option(body, kUserApplication, as_bytes(std::string_view(rules.application).substr(0, kLongestText)));
  body.le16(kEndOfOptions).le16(0);
  append_block(file->pending_, kSectionHeader, body.buffer());
  file->size_ = file->pending_.size();
  ROOKERY_TRY(file->flush());
  return file;
}

CaptureFile::~CaptureFile() {
  if (const Status done = flush(); !done) spdlog::warn("{}", done.error().message);
}

Result<std::uint32_t> CaptureFile::add_interface(std::string_view name) {
  if (interfaces_ >= kInterfaces) {
    return fail(fmt::format("the capture {} has {} interfaces already", path_.string(), kInterfaces));
  }
  if (full_) return fail(fmt::format("the capture {} has ended", path_.string()));
  ByteWriter body;
  const std::uint64_t snap = rules_.snap.count == 0 ? kLargestFrame : rules_.snap.count;
  body.le16(kLinkTypeEthernet)
      .le16(0)
      .le32(static_cast<std::uint32_t>(std::min<std::uint64_t>(snap, kLargestFrame)));
  put_option(body, kInterfaceName, as_bytes(name.substr(0, kLongestText)));
  put_option(body, kTimestampResolution, ByteView(&kNanoseconds, 1));
  body.le16(kEndOfOptions).le16(0);
  const std::size_t before = pending_.size();
  append_block(pending_, kInterfaceDescription, body.buffer());
  size_ += pending_.size() - before;
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
    end(fmt::format("its limit is {} bytes", rules_.limit.count));
    return;
  }
  const auto stamp = static_cast<std::uint64_t>((rules_.started_at + time.since_start).count());
  const std::size_t at = pending_.size();
  pending_.resize(at + total);  // zeroes, which padding and the end of the options are
  std::uint8_t* to = pending_.data() + at;
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
  size_ += total;
  ++frames_;
  if (pending_.size() >= kWriteAtOnce) {
    if (const Status written = flush(); !written) end(written.error().message);
  }
}

Status CaptureFile::flush() {
  ByteBuffer pending = std::exchange(pending_, {});
  std::size_t done = 0;
  while (done < pending.size()) {
    const ssize_t wrote = ::write(fd_.get(), pending.data() + done, pending.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      full_ = true;  // a file with a hole is not a capture: what follows would be misread
      return fail_errno("cannot write the capture " + path_.string(), wrote < 0 ? errno : ENOSPC);
    }
    done += static_cast<std::size_t>(wrote);
  }
  pending.clear();
  pending_ = std::move(pending);  // keeps its memory
  return {};
}

void CaptureFile::end(std::string_view why) {
  full_ = true;
  spdlog::warn("the capture {} has ended ({}); later frames are counted, not kept", path_.string(), why);
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
