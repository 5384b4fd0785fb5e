#include "backends/xen/unpacked_kernel.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <memory>

namespace rookery::backends {
namespace {

// Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" (boot protocol 2.08 and later).
constexpr std::size_t kSetupSectors = 0x1f1;
constexpr std::size_t kMagic = 0x202;  // and the protocol's version behind it
constexpr std::size_t kPayloadOffset = 0x248, kPayloadLength = 0x24c;
constexpr std::size_t kSector = 512;
constexpr std::size_t kDefaultSetupSectors = 4;  // "if the setup_sects field contains 0"
constexpr unsigned kOldestProtocol = 0x0208;

constexpr std::size_t kKernelMax = 512u << 20;
constexpr std::string_view kElf =
                               "\x7f"
                               "ELF",
                           kGzip = "\x1f\x8b";  // elf(5), RFC 1952 §2.3.1

struct FreeReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};

Result<std::string> expand(ByteView packed, std::size_t size) {
  const std::unique_ptr<archive, FreeReader> reader(archive_read_new());
  archive* const raw = reader.get();
  // Those that a kernel can be packed with, but lzop, for which libarchive may start a program.
  for (const auto support :
       {archive_read_support_filter_xz, archive_read_support_filter_lzma, archive_read_support_filter_gzip,
        archive_read_support_filter_bzip2, archive_read_support_filter_zstd, archive_read_support_filter_lz4})
    (void)support(raw);
  (void)archive_read_support_format_raw(raw);
  archive_entry* entry = nullptr;
  int status = archive_read_open_memory(raw, packed.data(), packed.size());
  if (status == ARCHIVE_OK) status = archive_read_next_header(raw, &entry);
  std::string kernel;
  while (status == ARCHIVE_OK && kernel.size() <= size) {
    const void* block = nullptr;
    std::size_t count = 0;
    la_int64_t offset = 0;
    status = archive_read_data_block(raw, &block, &count, &offset);
    if (status == ARCHIVE_OK) kernel.append(static_cast<const char*>(block), count);
  }
  if (status != ARCHIVE_OK && status != ARCHIVE_EOF) {
    const char* why = archive_error_string(raw);
    return fail(
        fmt::format("what it is packed of cannot be unpacked: {}", why != nullptr ? why : "no format"));
  }
  if (kernel.size() != size)
    return fail(fmt::format("what it is packed of has not the {} bytes that it says", size));
  return kernel;
}

}  // namespace

bool is_bzimage(ByteView file) {
  return file.size() >= kBzimageHead && as_text(file.subspan(kMagic, 4)) == "HdrS";
}

Result<std::string> unpacked_kernel(ByteView bzimage) {
  if (!is_bzimage(bzimage)) return fail("it is no bzImage");
  if (ByteReader(bzimage.subspan(kMagic + 4)).le16() < kOldestProtocol)
    return fail("it is from before Linux 2.6.26: its header does not say where the kernel is");
  std::size_t sectors = bzimage[kSetupSectors];
  if (sectors == 0) sectors = kDefaultSetupSectors;
  const std::uint64_t begin = (sectors + 1) * kSector + ByteReader(bzimage.subspan(kPayloadOffset)).le32();
  const std::uint64_t length = ByteReader(bzimage.subspan(kPayloadLength)).le32();
  if (length < 4 || begin + length > bzimage.size())
    return fail(fmt::format("its kernel is to be at {} to {} of its {} bytes", begin, begin + length,
                            bzimage.size()));
  ByteView payload = bzimage.subspan(begin, length);
  if (as_text(payload).starts_with(kElf)) return std::string(as_text(payload));
  // Behind what is packed stands its size; gzip's own trailer ends with it (scripts/Makefile.lib:
  // size_append).
  const std::size_t size = ByteReader(payload.last(4)).le32();
  if (size > kKernelMax)
    return fail(fmt::format("its kernel is to have {} bytes, of at most {}", size, kKernelMax));
  if (!as_text(payload).starts_with(kGzip)) payload = payload.first(length - 4);
  auto kernel = expand(payload, size);
  if (kernel && !kernel->starts_with(kElf)) return fail("what it is packed of is no ELF file");
  return kernel;
}

}  // namespace rookery::backends
