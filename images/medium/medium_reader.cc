#include "images/medium/medium_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace rookery::images {
namespace {
constexpr std::size_t kBlock = 1 << 20;
}

// Where the bytes come from: a file, or memory.
struct MediumReader::Source {
  UniqueFd fd;
  ByteView memory;
  std::uint64_t size = 0, offset = 0;
  // What may still be read before the next content begins; contents are bounded by their readers.
  std::uint64_t allowance = kDirectoriesLimit.count;
  bool in_content = false;
  ByteBuffer block;

  la_ssize_t read(archive* reader, const void** data) {
    if (fd) block.resize(kBlock);
    const std::size_t wanted = std::min<std::uint64_t>(kBlock, size - offset);
    if (!in_content && wanted > allowance) {
      archive_set_error(reader, EFBIG, "its directories are larger than a medium's of ours");
      return -1;
    }
    if (!in_content) allowance -= wanted;
    std::size_t got = wanted;
    if (fd) {
      ssize_t result;
      do {
        result = ::pread(fd.get(), block.data(), wanted, static_cast<off_t>(offset));
      } while (result < 0 && errno == EINTR);
      if (result < 0) {
        archive_set_error(reader, errno, "cannot read the file");
        return -1;
      }
      got = static_cast<std::size_t>(result);
      *data = block.data();
    } else {
      *data = memory.data() + offset;
    }
    offset += got;
    return static_cast<la_ssize_t>(got);
  }
  la_int64_t skip(la_int64_t count) {
    const auto skipped =
        std::min<std::uint64_t>(static_cast<std::uint64_t>(std::max<la_int64_t>(count, 0)), size - offset);
    offset += skipped;
    return static_cast<la_int64_t>(skipped);
  }
  la_int64_t seek(la_int64_t to, int whence) {
    const la_int64_t from =
        whence == SEEK_SET ? 0 : static_cast<la_int64_t>(whence == SEEK_CUR ? offset : size);
    if (to < -from || to > static_cast<la_int64_t>(size) - from) return ARCHIVE_FATAL;
    offset = static_cast<std::uint64_t>(from + to);
    return static_cast<la_int64_t>(offset);
  }
};

void MediumReader::Close::operator()(archive* reader) const {
  archive_read_free(reader);
}
void MediumReader::DropSource::operator()(Source* source) const {
  delete source;
}

MediumReader::MediumReader(std::unique_ptr<Source> source)
    : source_(source.release()), reader_(archive_read_new()) {}

Status MediumReader::start() {
  archive* reader = reader_.get();
  // Nothing but ISO 9660 with Rock Ridge: each further format is more code for a hostile file to reach.
  archive_read_support_filter_none(reader);
  archive_read_support_format_iso9660(reader);
  archive_read_set_option(reader, "iso9660", "joliet", nullptr);
  archive_read_set_read_callback(reader, [](archive* from, void* source, const void** data) {
    return static_cast<Source*>(source)->read(from, data);
  });
  archive_read_set_skip_callback(reader, [](archive*, void* source, la_int64_t count) {
    return static_cast<Source*>(source)->skip(count);
  });
  archive_read_set_seek_callback(reader, [](archive*, void* source, la_int64_t to, int whence) {
    return static_cast<Source*>(source)->seek(to, whence);
  });
  archive_read_set_callback_data(reader, source_.get());
  if (archive_read_open1(reader) != ARCHIVE_OK) return fail(why());
  return {};
}

std::string MediumReader::why() const {
  const char* text = archive_error_string(reader_.get());
  return text != nullptr ? text : "unknown error";
}

Result<MediumReader> MediumReader::open_file(const std::filesystem::path& path) {
  auto source = std::make_unique<Source>();
  source->fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!source->fd || ::fstat(source->fd.get(), &status) != 0) return fail_errno("cannot open it");
  if (!S_ISREG(status.st_mode)) return fail("it is not a regular file");
  source->size = static_cast<std::uint64_t>(status.st_size);
  MediumReader medium(std::move(source));
  ROOKERY_TRY(medium.start());
  return medium;
}

Result<MediumReader> MediumReader::open_memory(ByteView medium_bytes) {
  auto source = std::make_unique<Source>();
  source->memory = medium_bytes;
  source->size = medium_bytes.size();
  MediumReader medium(std::move(source));
  ROOKERY_TRY(medium.start());
  return medium;
}

Result<std::optional<MediumReader::Entry>> MediumReader::next() {
  archive_entry* header = nullptr;
  source_->in_content = false;
  source_->allowance = kDirectoriesLimit.count;
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
  source_->in_content = true;
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
