#include "images/medium_reader.h"

#include <archive.h>
#include <archive_entry.h>

namespace rookery::images {
namespace {
constexpr std::size_t kBlock = 1 << 20;
}

void MediumReader::Close::operator()(archive* reader) const {
  archive_read_free(reader);
}

MediumReader::MediumReader(archive* reader) : reader_(reader) {
  // Nothing but ISO 9660 with Rock Ridge: each further format is more code for a hostile file to reach.
  archive_read_support_filter_none(reader);
  archive_read_support_format_iso9660(reader);
  archive_read_set_option(reader, "iso9660", "joliet", nullptr);
}

std::string MediumReader::why() const {
  const char* text = archive_error_string(reader_.get());
  return text != nullptr ? text : "unknown error";
}

Result<MediumReader> MediumReader::open_file(const std::filesystem::path& path) {
  MediumReader medium(archive_read_new());
  if (archive_read_open_filename(medium.reader_.get(), path.c_str(), kBlock) != ARCHIVE_OK)
    return fail(medium.why());
  return medium;
}

Result<MediumReader> MediumReader::open_memory(ByteView medium_bytes) {
  MediumReader medium(archive_read_new());
  if (archive_read_open_memory(medium.reader_.get(), medium_bytes.data(), medium_bytes.size()) !=
      ARCHIVE_OK) {
    return fail(medium.why());
  }
  return medium;
}

Result<std::optional<MediumReader::Entry>> MediumReader::next() {
  archive_entry* header = nullptr;
  const int result = archive_read_next_header(reader_.get(), &header);
  if (result == ARCHIVE_EOF) return std::optional<Entry>{};
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return fail(why());
  if (++files_ > kMediumFilesLimit) return fail("more than " + std::to_string(kMediumFilesLimit) + " files");
  Entry entry;
  if (const char* path = archive_entry_pathname(header)) entry.path = path;
  entry.size.count = static_cast<std::uint64_t>(std::max<std::int64_t>(archive_entry_size(header), 0));
  entry.regular = archive_entry_filetype(header) == AE_IFREG && archive_entry_hardlink(header) == nullptr;
  return std::optional<Entry>{std::move(entry)};
}

Status MediumReader::stream(Bytes limit, const std::function<Status(ByteView)>& take) {
  std::uint64_t expected = 0;
  for (;;) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(reader_.get(), &block, &size, &offset);
    if (result == ARCHIVE_EOF) return {};
    if (result != ARCHIVE_OK) return fail(why());
    // Files of ours have no holes.
    if (offset < 0 || static_cast<std::uint64_t>(offset) != expected) return fail("has a hole");
    expected += size;
    if (expected > limit.count) return fail("is longer than " + std::to_string(limit.count) + " bytes");
    ROOKERY_TRY(take({static_cast<const std::uint8_t*>(block), size}));
  }
}

Result<std::string> MediumReader::content(Bytes limit) {
  std::string content;
  ROOKERY_TRY(stream(limit, [&](ByteView bytes) -> Status {
    content += as_text(bytes);
    return {};
  }));
  return content;
}

}  // namespace rookery::images
