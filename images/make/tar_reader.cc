#include "images/make/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>

#include "images/make/byte_names.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kFilesLimit = 1u << 20;

struct CloseReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, CloseReader>;

}  // namespace

Status read_blocks(archive* reader, const std::function<Status(ByteView)>& take) {
  for (;;) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(reader, &block, &size, &offset);
    if (result == ARCHIVE_EOF) return {};
    if (result != ARCHIVE_OK)
      return fail(std::string("cannot read the system: ") + archive_error_string(reader));
    ROOKERY_TRY(take({static_cast<const std::uint8_t*>(block), size}));
  }
}

Result<std::string> read_text(archive* reader, std::size_t limit) {
  std::string text;
  ROOKERY_TRY(read_blocks(reader, [&](ByteView bytes) -> Status {
    text += as_text(bytes);
    if (text.size() > limit) return fail("a file of the system is unexpectedly large");
    return {};
  }));
  return text;
}

Status for_each_entry(const fs::path& tar,
                      const std::function<Status(archive*, archive_entry*, const std::string&)>& use) {
  const ByteNames as_bytes;
  const Reader reader(archive_read_new());
  archive_read_support_filter_all(reader.get());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_filename(reader.get(), tar.c_str(), 1 << 20) != ARCHIVE_OK) {
    return fail("cannot read " + tar.string() + ": " + archive_error_string(reader.get()));
  }
  archive_entry* entry = nullptr;
  for (std::size_t count = 0;; ++count) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) return {};
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      return fail("cannot read " + tar.string() + ": " + archive_error_string(reader.get()));
    }
    if (count == kFilesLimit) return fail(tar.string() + " has more files than a system of ours");
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) return fail("cannot read " + tar.string() + ": the name of an entry");
    std::string path = name;
    if (path.starts_with("./")) path.erase(0, 2);
    while (path.ends_with('/')) path.pop_back();
    if (!path.empty() && path != ".") ROOKERY_TRY(use(reader.get(), entry, path));
  }
}

}  // namespace rookery::images
