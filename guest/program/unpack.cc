#include "guest/program/unpack.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/unique_fd.h"
#include "guest/program/system.h"

namespace rookery::guest {
namespace {

constexpr std::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);  // RFC 8878 §3.1.1
constexpr std::size_t kExpandedMax = 256u << 20;
constexpr int kWindowLogMax = 23;  // 8 MiB, what RFC 8878 §3.1.1.1.2 asks of every decoder

struct FreeStream {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

Result<bool> is_packed(const std::string& file) {
  const UniqueFd source(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  char magic[4];
  const ssize_t count = source ? read(source.get(), magic, sizeof magic) : -1;
  if (count < 0) return fail_errno(file);
  return std::string_view(magic, static_cast<std::size_t>(count)) == kZstdMagic;
}

// One frame, and nothing behind it but the zeros that fill its last four bytes.
Status expand(const std::string& from, const std::string& to) {
  const UniqueFd source(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd target(open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!source || !target) return fail_errno(source ? to : from);
  const std::unique_ptr<ZSTD_DStream, FreeStream> stream(ZSTD_createDStream());
  if (!stream) return fail("no memory");
  ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kWindowLogMax);
  std::string in(ZSTD_DStreamInSize(), '\0'), out(ZSTD_DStreamOutSize(), '\0');
  std::size_t written = 0, left = 1;  // left: what the decoder would still have, 0 at the frame's end
  while (true) {
    const ssize_t count = read(source.get(), in.data(), in.size());
    if (count < 0) return fail_errno(from);
    if (count == 0) return left == 0 ? Status() : fail("it ends too early");
    ZSTD_inBuffer input{in.data(), static_cast<std::size_t>(count), 0};
    while (left != 0 && input.pos < input.size) {
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      left = ZSTD_decompressStream(stream.get(), &output, &input);
      if (ZSTD_isError(left) != 0) return fail(ZSTD_getErrorName(left));
      if ((written += output.pos) > kExpandedMax) return fail("it is larger than 256 MiB");
      if (write(target.get(), out.data(), output.pos) != static_cast<ssize_t>(output.pos))
        return fail_errno(to);
    }
    if (std::any_of(in.data() + input.pos, in.data() + input.size, [](char byte) { return byte != 0; }))
      return fail("something stands behind its end");
  }
}

}  // namespace

Status unpack_initramfs(const std::string& file, const std::string& folder) {
  const auto packed = is_packed(file);
  if (!packed) return tl::unexpected(packed.error());
  std::string archive = file;
  if (*packed) {
    archive += ".cpio";
    ROOKERY_TRY(expand(file, archive));
    unlink(file.c_str());
  }
  const Status unpacked =
      run_program({"/bin/busybox", "cpio", "-idmu", "-F", archive}, std::chrono::minutes(2), folder);
  unlink(archive.c_str());
  return unpacked;
}

}  // namespace rookery::guest
