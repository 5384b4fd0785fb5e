#include "images/make/archive_writer.h"

#include <archive.h>
#include <archive_entry.h>

namespace rookery::images {
namespace {

constexpr const char* kLevel = "9";  // 19 is 20 times as slow for a tenth of the size
constexpr int kInitramfsAlignment = 4;

struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
using EntryOwner = std::unique_ptr<archive_entry, FreeEntry>;

EntryOwner new_entry(const std::string& path, unsigned type, unsigned mode) {
  EntryOwner entry(archive_entry_new());
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_filetype(entry.get(), type);
  archive_entry_set_perm(entry.get(), mode & 07777);
  archive_entry_set_nlink(entry.get(), type == AE_IFDIR ? 2 : 1);
  return entry;
}

}  // namespace

void ArchiveWriter::Close::operator()(archive* writer) const {
  archive_write_free(writer);
}

tl::unexpected<Error> ArchiveWriter::failed() const {
  const char* why = archive_error_string(writer_.get());
  return fail(std::string("cannot write an archive: ") + (why != nullptr ? why : "unknown error"));
}

Result<ArchiveWriter> ArchiveWriter::create(const std::filesystem::path& path, Format format,
                                            std::int64_t date) {
  ArchiveWriter writer(archive_write_new(), date);
  archive* raw = writer.writer_.get();
  if (format == Format::tar) {
    archive_write_set_format_pax_restricted(raw);
    // Names are bytes: they are not to be translated into UTF-8, which not all of them are.
    if (archive_write_set_format_option(raw, "pax", "hdrcharset", "BINARY") != ARCHIVE_OK)
      return writer.failed();
  } else {
    archive_write_set_format_cpio_newc(raw);
  }
  if (format == Format::packed_initramfs &&
      (archive_write_add_filter_zstd(raw) != ARCHIVE_OK ||
       archive_write_set_filter_option(raw, "zstd", "compression-level", kLevel) != ARCHIVE_OK ||
       archive_write_set_bytes_in_last_block(raw, kInitramfsAlignment) != ARCHIVE_OK)) {
    return writer.failed();
  }
  if (archive_write_open_filename(raw, path.c_str()) != ARCHIVE_OK) return writer.failed();
  return writer;
}

Status ArchiveWriter::add_parents(const std::string& path) {
  for (std::size_t slash = 0; (slash = path.find('/', slash)) != std::string::npos; ++slash) {
    const std::string folder = path.substr(0, slash);
    if (!folders_.contains(folder)) ROOKERY_TRY(begin(new_entry(folder, AE_IFDIR, 0755).get()));
  }
  return {};
}

Status ArchiveWriter::begin(archive_entry* entry) {
  std::string path = archive_entry_pathname(entry);
  while (path.ends_with('/')) path.pop_back();
  if (archive_entry_filetype(entry) == AE_IFDIR) folders_.insert(path);
  archive_entry_set_mtime(
      entry,
      std::min<std::int64_t>(archive_entry_mtime_is_set(entry) ? archive_entry_mtime(entry) : date_, date_),
      0);
  archive_entry_unset_atime(entry);
  archive_entry_unset_ctime(entry);
  archive_entry_unset_birthtime(entry);
  archive_entry_set_uname(entry, nullptr);
  archive_entry_set_gname(entry, nullptr);
  archive_entry_set_ino64(entry, 0);
  // A hard link that was read has no size, and one that is written must have.
  if (!archive_entry_size_is_set(entry)) archive_entry_set_size(entry, 0);
  if (archive_write_header(writer_.get(), entry) != ARCHIVE_OK) return failed();
  return {};
}

Status ArchiveWriter::write(ByteView bytes) {
  const auto written = archive_write_data(writer_.get(), bytes.data(), bytes.size());
  if (written < 0 || static_cast<std::size_t>(written) != bytes.size()) return failed();
  return {};
}

Status ArchiveWriter::add(const ImageFile& file) {
  ROOKERY_TRY(add_parents(file.path));
  if (is_folder(file) && folders_.contains(file.path)) return {};
  const auto entry = new_entry(file.path,
                               is_link(file)     ? AE_IFLNK
                               : is_folder(file) ? AE_IFDIR
                                                 : AE_IFREG,
                               is_link(file) ? 0777 : file.mode);
  if (is_link(file)) archive_entry_set_symlink(entry.get(), file.content.c_str());
  if (is_link(file) || is_folder(file)) return begin(entry.get());
  archive_entry_set_size(entry.get(), static_cast<std::int64_t>(file.content.size()));
  ROOKERY_TRY(begin(entry.get()));
  return file.content.empty() ? Status{} : write(as_bytes(file.content));
}

Status ArchiveWriter::add_device(const std::string& path, unsigned mode, unsigned device_major,
                                 unsigned device_minor) {
  ROOKERY_TRY(add_parents(path));
  const auto entry = new_entry(path, AE_IFCHR, mode);
  archive_entry_set_rdevmajor(entry.get(), device_major);
  archive_entry_set_rdevminor(entry.get(), device_minor);
  return begin(entry.get());
}

Status ArchiveWriter::finish() {
  if (archive_write_close(writer_.get()) != ARCHIVE_OK) return failed();
  return {};
}

}  // namespace rookery::images
