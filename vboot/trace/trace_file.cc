#include "vboot/trace/trace_file.h"

#include <zstd.h>

#include <array>

#include "vboot/trace/record.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kAtOnce = 64u << 10;  // bytes that are given to the compressor together
constexpr int kLevel = 3;
constexpr Duration kPatience = std::chrono::seconds(60);  // with who reads nothing

}  // namespace

struct TraceFile::Compressor {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ~Compressor() { ZSTD_freeCCtx(context); }
};

TraceFile::TraceFile(std::filesystem::path path, Bytes limit, std::unique_ptr<Sink> sink)
    : path_(std::move(path)),
      limit_(limit.count),
      sink_(std::move(sink)),
      compressor_(std::make_unique<Compressor>()) {
  if (compressor_->context == nullptr) bug("no memory for a compressor");
  ZSTD_CCtx_setParameter(compressor_->context, ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(compressor_->context, ZSTD_c_checksumFlag, 1);
}

TraceFile::~TraceFile() = default;

Result<std::unique_ptr<TraceFile>> TraceFile::create(const std::filesystem::path& path, const Json& header,
                                                     Bytes limit, Sink::WhenFull when_full) {
  const std::string text = header.dump();
  if (text.size() > kTraceHeaderMost) return fail("the lab is too large for a trace");
  auto sink =
      Sink::open(path, {.name = "the trace " + path.string(), .when_full = when_full, .patience = kPatience});
  if (!sink) return tl::unexpected<Error>(sink.error());
  std::unique_ptr<TraceFile> file(new TraceFile(path, limit, std::move(*sink)));
  ByteWriter head;
  head.text(kTraceMagic).le32(static_cast<std::uint32_t>(text.size())).text(text);
  file->put(head.buffer());
  // What cannot be written at all is known before the run; a reader may come later.
  (void)file->sink_->flush(std::chrono::milliseconds(200));
  ROOKERY_TRY(file->sink_->status());
  return file;
}

void TraceFile::write(ByteView record, ByteView kept) {
  if (full_ || failed_) return;
  pending_.bytes(record);
  if (!kept.empty()) pending_.u8(kKeptBytes).le32(static_cast<std::uint32_t>(kept.size())).bytes(kept);
  if (pending_.size() < kAtOnce) return;
  compress(false);
  full_ = size_ >= limit_;
}

void TraceFile::compress(bool last) {
  const ByteBuffer bytes = pending_.take();
  pending_ = {};
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::array<std::uint8_t, kAtOnce> room;
  for (bool more = true; more && !failed_;) {
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    const std::size_t left =
        ZSTD_compressStream2(compressor_->context, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) bug("the compressor of the trace failed");  // it has memory and sound input
    put({room.data(), out.pos});
    more = last ? left != 0 : in.pos < in.size;
  }
}

void TraceFile::put(ByteView bytes) {
  size_ += bytes.size();
  failed_ = failed_ || !sink_->put(bytes);
}

Status TraceFile::close() {
  compress(true);
  ROOKERY_TRY(sink_->close(kPatience));
  if (failed_) return fail("the trace " + path_.string() + " is not whole: its reader does not keep up");
  return {};
}

}  // namespace rookery::vboot
