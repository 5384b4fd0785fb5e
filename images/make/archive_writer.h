// Writes a tar or an initramfs (cpio "newc", packed by zstd or not) file: the one place that speaks with
// libarchive's writer.
// Owners, dates and numbers are fixed, so that the same files give the same bytes. It owns the file that it
// writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "images/make/image_file.h"

struct archive;
struct archive_entry;

namespace rookery::images {

class ArchiveWriter {
 public:
  // The kernel takes several initramfs for one that stand in a row, plain ones at offsets of 4 bytes
  // (init/initramfs.c): each is of a size that 4 divides, by zeros behind what is packed.
  enum class Format { tar, initramfs, packed_initramfs };
  // Every file is dated `date` (seconds since 1970).
  static Result<ArchiveWriter> create(const std::filesystem::path& path, Format format, std::int64_t date);

  // Folders above it that are not there yet come first, with mode 0755.
  Status add(const ImageFile& file);
  // A character device; `path` as in ImageFile.
  Status add_device(const std::string& path, unsigned mode, unsigned device_major, unsigned device_minor);
  // An entry read from another archive; its content follows by write().
  Status begin(archive_entry* entry);
  Status write(ByteView bytes);
  Status finish();

 private:
  struct Close {
    void operator()(archive* writer) const;
  };
  ArchiveWriter(archive* writer, std::int64_t date) : writer_(writer), date_(date) {}
  Status add_parents(const std::string& path);
  tl::unexpected<Error> failed() const;

  std::unique_ptr<archive, Close> writer_;
  std::int64_t date_;
  std::set<std::string, std::less<>> folders_;
};

}  // namespace rookery::images
