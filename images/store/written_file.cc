#include "images/store/written_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace rookery::images {

namespace fs = std::filesystem;

Result<WrittenFile> WrittenFile::make(const fs::path& place) {
  std::string passing = place.string() + ".XXXXXX";
  UniqueFd fd(::mkostemp(passing.data(), O_CLOEXEC));
  if (!fd) return fail_errno("cannot write " + place.string());
  return WrittenFile(passing, std::move(fd));
}

WrittenFile::~WrittenFile() {
  if (fd_) ::unlink(passing_.c_str());
}

Status WrittenFile::write(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("cannot write " + passing_.string());
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status WrittenFile::keep(const fs::path& place, unsigned mode) {
  if (::fchmod(fd_.get(), mode) != 0) return fail_errno("cannot set the mode of " + place.string());
  if (::fsync(fd_.get()) != 0) return fail_errno("cannot sync " + place.string());
  if (::rename(passing_.c_str(), place.c_str()) != 0) return fail_errno("cannot rename to " + place.string());
  fd_.reset();
  // A rename is safe from a crash once its folder is.
  const fs::path folder = place.has_parent_path() ? place.parent_path() : fs::path(".");
  const UniqueFd parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return fail_errno("cannot sync " + folder.string());
  return {};
}

}  // namespace rookery::images
