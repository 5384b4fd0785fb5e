#include "vboot/trace/trace_reader.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "netsim/frame.h"

namespace rookery::vboot {
namespace {

// The longest record: a frame with all of its bytes kept, or a text, and what stands around them.
constexpr std::size_t kLongestRecord = netsim::kLargestFrame + 128;
static_assert(kLongestRecord > kTraceTextMost + 128);

std::uint64_t number(ByteReader& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = in.u8();
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  (void)in.take(in.remaining() + 1);  // more than 64 bits: no number of ours
  return 0;
}

Result<std::size_t> read_some(int fd, std::span<std::uint8_t> into, const std::filesystem::path& path) {
  for (;;) {
    const ssize_t got = ::read(fd, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail_errno("cannot read " + path.string());
  }
}

}  // namespace

struct TraceReader::Decompressor {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  std::array<std::uint8_t, 64u << 10> packed;
  ZSTD_inBuffer in{packed.data(), 0, 0};
  ~Decompressor() { ZSTD_freeDCtx(context); }
};

TraceReader::TraceReader(std::filesystem::path path, UniqueFd fd)
    : path_(std::move(path)), fd_(std::move(fd)), decompressor_(std::make_unique<Decompressor>()) {
  if (decompressor_->context == nullptr) bug("no memory for a decompressor");
}

TraceReader::~TraceReader() = default;

tl::unexpected<Error> TraceReader::damaged(std::string_view how) const {
  return fail("the trace " + path_.string() + " " + std::string(how));
}

Result<std::unique_ptr<TraceReader>> TraceReader::open(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("cannot open the trace " + path.string());
  std::unique_ptr<TraceReader> reader(new TraceReader(path, std::move(fd)));
  ROOKERY_TRY(reader->read_header());
  return reader;
}

Status TraceReader::read_header() {
  const auto read_all = [this](std::size_t count) -> Result<ByteBuffer> {
    ByteBuffer bytes(count);
    for (std::size_t have = 0; have < count;) {
      const auto got = read_some(fd_.get(), std::span(bytes).subspan(have), path_);
      if (!got) return tl::unexpected<Error>(got.error());
      if (*got == 0) return damaged("is no trace of Rookery, or only its beginning");
      have += *got;
    }
    return bytes;
  };
  const auto head = read_all(kTraceMagic.size() + 4);
  if (!head) return tl::unexpected<Error>(head.error());
  ByteReader in(*head);
  if (as_text(in.take(kTraceMagic.size())) != kTraceMagic)
    return damaged("is no trace of Rookery, or of another version");
  const std::uint32_t length = in.le32();
  if (length > kTraceHeaderMost) return damaged("has too long a header");
  const auto text = read_all(length);
  if (!text) return tl::unexpected<Error>(text.error());
  auto header = Json::parse(as_text(*text));
  if (!header || !header->view().is_object()) return damaged("has a damaged header");
  header_ = std::move(*header);
  return {};
}

Status TraceReader::want(std::size_t count) {
  if (buffer_.size() - at_ >= count) return {};
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
  at_ = 0;
  Decompressor& from = *decompressor_;
  std::array<std::uint8_t, 64u << 10> room;
  while (buffer_.size() < count && !packed_ended_) {
    if (from.in.pos == from.in.size) {
      const auto got = read_some(fd_.get(), from.packed, path_);
      if (!got) return tl::unexpected<Error>(got.error());
      if (*got == 0) return damaged("breaks off: its run did not come to its end");
      from.in = {from.packed.data(), *got, 0};
    }
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    const std::size_t left = ZSTD_decompressStream(from.context, &out, &from.in);
    if (ZSTD_isError(left)) return damaged(std::string("is damaged: ") + ZSTD_getErrorName(left));
    buffer_.insert(buffer_.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(out.pos));
    packed_ended_ = left == 0;
  }
  return {};
}

Result<std::optional<TraceRecord>> TraceReader::next() {
  if (ended_) return std::nullopt;
  ROOKERY_TRY(want(2 * kLongestRecord));
  ByteReader in(ByteView(buffer_).subspan(at_));
  if (in.remaining() == 0) return damaged("has no end: it reached its limit");
  auto record = parse(in);
  if (record) at_ += in.offset();
  return record;
}

Result<std::optional<TraceRecord>> TraceReader::parse(ByteReader& in) {
  TraceRecord record;
  const std::uint8_t kind = in.u8();
  record.kind = static_cast<RecordKind>(kind);
  if (to_string(record.kind) == "unknown") return damaged("has a record of an unknown kind");
  const std::uint64_t passed = number(in);
  constexpr auto kMost = static_cast<std::uint64_t>(Duration::max().count());
  if (passed > kMost - static_cast<std::uint64_t>(last_.since_start.count()))
    return damaged("has a time beyond all times");
  record.time = last_ = last_ + Duration(passed);
  if (const std::uint64_t machine = number(in); machine > 0)
    record.machine = static_cast<std::uint32_t>(machine - 1);
  if (record.kind != RecordKind::frame) {
    record.text = as_text(in.take(std::min<std::uint64_t>(number(in), kTraceTextMost)));
  } else {
    const std::uint8_t flags = in.u8();
    record.management = (flags & 2) != 0;
    record.direction = (flags & 1) != 0 ? netsim::Direction::outbound : netsim::Direction::inbound;
    record.offload_flags = in.u8();
    record.segments = in.u8();
    record.segment_size = static_cast<std::uint16_t>(number(in));
    record.length = static_cast<std::uint32_t>(number(in));
    const ByteView digest = in.take(record.digest.size());
    std::copy(digest.begin(), digest.end(), record.digest.begin());
    if (ByteReader ahead = in; ahead.remaining() > 0 && ahead.u8() == kKeptBytes) {
      const ByteView kept = ahead.take(ahead.le32());
      record.kept.assign(kept.begin(), kept.end());
      in = ahead;
    }
  }
  if (!in.ok()) return damaged("ends within a record");
  ended_ = record.kind == RecordKind::end;
  return record;
}

}  // namespace rookery::vboot
