#include "vboot/trace/trace_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <array>
#include <cerrno>

#include "vboot/trace/record.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kAtOnce = 64u << 10;  // bytes that are given to the compressor together
constexpr int kLevel = 3;

}  // namespace

struct TraceFile::Compressor {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ~Compressor() { ZSTD_freeCCtx(context); }
};

TraceFile::TraceFile(std::filesystem::path path, Bytes limit, UniqueFd fd)
    : path_(std::move(path)),
      limit_(limit.count),
      fd_(std::move(fd)),
      compressor_(std::make_unique<Compressor>()) {
  if (compressor_->context == nullptr) bug("no memory for a compressor");
  ZSTD_CCtx_setParameter(compressor_->context, ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(compressor_->context, ZSTD_c_checksumFlag, 1);
}

TraceFile::~TraceFile() = default;

Result<std::unique_ptr<TraceFile>> TraceFile::create(const std::filesystem::path& path, const Json& header,
                                                     Bytes limit) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail_errno("cannot write the trace " + path.string());
  const std::string text = header.dump();
  if (text.size() > kTraceHeaderMost) return fail("the lab is too large for a trace");
  std::unique_ptr<TraceFile> file(new TraceFile(path, limit, std::move(fd)));
  ByteWriter head;
  head.text(kTraceMagic).le32(static_cast<std::uint32_t>(text.size())).text(text);
  file->put(head.buffer());
  return file;
}

void TraceFile::write(ByteView record, ByteView kept) {
  if (full_ || error_ != 0) return;
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
  for (bool more = true; more && error_ == 0;) {
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    const std::size_t left =
        ZSTD_compressStream2(compressor_->context, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) bug("the compressor of the trace failed");  // it has memory and sound input
    put({room.data(), out.pos});
    more = last ? left != 0 : in.pos < in.size;
  }
}

void TraceFile::put(ByteView bytes) {
  while (!bytes.empty() && error_ == 0) {
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno != EINTR) error_ = errno;
      continue;
    }
    size_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

Status TraceFile::close() {
  compress(true);
  if (error_ != 0) return fail_errno("cannot write the trace " + path_.string(), error_);
  return {};
}

}  // namespace rookery::vboot
