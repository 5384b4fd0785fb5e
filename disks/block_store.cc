#include "disks/block_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace rookery::disks {

Result<std::unique_ptr<ReadOnlyFile>> ReadOnlyFile::open(const std::filesystem::path& path) {
  auto file = std::make_unique<ReadOnlyFile>();
  file->fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file->fd_ || ::fstat(file->fd_.get(), &status) != 0)
    return fail_errno("cannot open the disk " + path.string());
  if (!S_ISREG(status.st_mode)) return fail("the disk " + path.string() + " is not a file");
  file->size_ = Bytes{static_cast<std::uint64_t>(status.st_size)};
  return file;
}

bool ReadOnlyFile::read(std::uint64_t offset, std::span<std::uint8_t> into) {
  while (!into.empty()) {
    const ssize_t got = ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    offset += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

}  // namespace rookery::disks
