#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace rookery {

namespace fs = std::filesystem;

Result<std::string> read_file(const fs::path& path, Bytes limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("cannot read " + path.string());
  std::string content;
  for (;;) {
    constexpr std::size_t kBlock = 1 << 16;
    const std::size_t had = content.size();
    content.resize(had + kBlock);
    const ssize_t got = ::read(fd.get(), content.data() + had, kBlock);
    if (got < 0 && errno == EINTR) {
      content.resize(had);
      continue;
    }
    if (got < 0) return fail_errno("cannot read " + path.string());
    content.resize(had + static_cast<std::size_t>(got));
    if (content.size() > limit.count) {
      return fail(path.string() + " is larger than the " + std::to_string(limit.count) + " bytes expected");
    }
    if (got == 0) return content;
  }
}

bool read_what_is_there(const UniqueFd& fd, const std::function<void(std::string_view)>& on_piece) {
  std::array<char, 4096> piece;
  constexpr std::size_t kMost = (1 << 20) / piece.size();  // fs.pipe-max-size, unless root raised it
  for (std::size_t i = 0; i < kMost;) {
    const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 && errno == EAGAIN;
    on_piece({piece.data(), static_cast<std::size_t>(got)});
    ++i;
  }
  return true;
}

Status write_file(const fs::path& path, std::string_view content, unsigned mode) {
  std::string temporary = path.string() + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail_errno("cannot write " + path.string());
  const auto give_up = [&](const char* what) {
    const int saved = errno;
    ::unlink(temporary.c_str());
    return fail_errno(std::string(what) + " " + path.string(), saved);
  };
  while (!content.empty()) {
    const ssize_t written = ::write(fd.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return give_up("cannot write");
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fchmod(fd.get(), mode) != 0) return give_up("cannot set the mode of");
  if (::fsync(fd.get()) != 0) return give_up("cannot sync");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return give_up("cannot replace");
  return {};
}

namespace {
// Of this user, and closed to others: what `sudo -E`, or somebody who was quicker, left is neither.
Status check_private(const struct stat& status, const fs::path& path) {
  if (status.st_uid != ::geteuid())
    return fail(path.string() + " belongs to another user (uid " + std::to_string(status.st_uid) +
                "); have it removed and try again");
  if (!S_ISDIR(status.st_mode) || (status.st_mode & 077) != 0)
    return fail(path.string() + " is not a private folder of this user; remove it and try again");
  return {};
}
}  // namespace

bool ClaimedFolder::stands() const {
  struct stat ours {
  }, there{};
  return ::fstat(claim.get(), &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

Result<std::optional<ClaimedFolder>> claim_folder(const fs::path& path) {
  constexpr int kRounds = 100;  // each is one removal by another between two of our steps
  for (int round = 0; round < kRounds; ++round) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
      return fail_errno("cannot make " + path.string());
    ClaimedFolder folder{path,
                         UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))};
    if (!folder.claim && errno == ENOENT) continue;
    if (!folder.claim) {
      // A folder of another user cannot even be opened; whose it is says more than that.
      const int saved = errno;
      struct stat status {};
      if (::lstat(path.c_str(), &status) == 0) ROOKERY_TRY(check_private(status, path));
      return fail_errno("cannot open " + path.string(), saved);
    }
    struct stat status {};
    if (::fstat(folder.claim.get(), &status) != 0) return fail_errno("cannot look at " + path.string());
    ROOKERY_TRY(check_private(status, path));
    if (::flock(folder.claim.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::optional<ClaimedFolder>{};
      return fail_errno("cannot claim " + path.string());
    }
    if (folder.stands()) return std::optional<ClaimedFolder>(std::move(folder));
  }
  return std::optional<ClaimedFolder>{};
}

Result<TemporaryFolder> TemporaryFolder::make(const fs::path& parent, std::string_view prefix) {
  std::error_code error;
  fs::create_directories(parent, error);
  if (error) return fail("cannot make " + parent.string() + ": " + error.message());
  std::string path = (parent / (std::string(prefix) + "XXXXXX")).string();
  if (::mkdtemp(path.data()) == nullptr) return fail_errno("cannot make a folder in " + parent.string());
  return TemporaryFolder(path);
}

TemporaryFolder& TemporaryFolder::operator=(TemporaryFolder&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

namespace {
const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value == '/' ? value : nullptr;  // XDG: relative paths are to be ignored
}
}  // namespace

fs::path cache_folder() {
  if (const char* cache = environment("XDG_CACHE_HOME")) return fs::path(cache) / "rookery";
  const char* home = environment("HOME");
  return fs::path(home != nullptr ? home : "/tmp") / ".cache" / "rookery";
}

Result<fs::path> runtime_folder() {
  fs::path folder = "/tmp/rookery-" + std::to_string(::geteuid());
  struct stat status {};
  const char* runtime = environment("XDG_RUNTIME_DIR");
  if (runtime != nullptr && ::stat(runtime, &status) == 0) {
    if (status.st_uid != ::geteuid())
      return fail(ErrorKind::usage,
                  std::string("XDG_RUNTIME_DIR names ") + runtime + ", which belongs to another user (uid " +
                      std::to_string(status.st_uid) + "); unset it, or name a folder of your own");
    if (::access(runtime, W_OK) == 0) folder = fs::path(runtime) / "rookery";
  }
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("cannot make " + folder.string());
  if (::lstat(folder.c_str(), &status) != 0) return fail_errno("cannot look at " + folder.string());
  ROOKERY_TRY(check_private(status, folder));
  return folder;
}

}  // namespace rookery
