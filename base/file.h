// Whole files and folders.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace rookery {

// The content of a file of at most `limit` bytes; a longer one is an error, not a cut.
Result<std::string> read_file(const std::filesystem::path& path, Bytes limit = mebibytes(64));

// What there is to be read of a pipe or terminal that does not block, in pieces, and no more than a mebibyte:
// what a pipe can hold at the most, so that a writer who never stops leaves others their turn. False at its
// end.
bool read_what_is_there(const UniqueFd& fd, const std::function<void(std::string_view)>& on_piece);

// Replaces the file in one step (written beside it, synced, renamed), so that a reader never sees half of it.
Status write_file(const std::filesystem::path& path, std::string_view content, unsigned mode = 0644);

// A private folder (mode 0700) that is claimed: nobody else can claim it as long as `claim`, or a copy of it
// in another process, is open. Who removes the folder gives the name free, not the claim.
struct ClaimedFolder {
  std::filesystem::path path;
  UniqueFd claim;

  bool stands() const;  // the name is still that of the folder that was claimed
};
// Makes the folder if there is none. Nothing while another has it. One that belongs to another user, or that
// others may enter, is an Error.
Result<std::optional<ClaimedFolder>> claim_folder(const std::filesystem::path& path);

// A folder of our own for the time of one object, removed with all that is in it.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> make(const std::filesystem::path& parent, std::string_view prefix);
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept;
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// $XDG_CACHE_HOME/rookery or ~/.cache/rookery: what can be made again (downloads, kernels, images).
std::filesystem::path cache_folder();
// $XDG_RUNTIME_DIR/rookery or /tmp/rookery-<uid>: sockets and state of running labs; mode 0700, made if
// missing. Another user's is an Error.
Result<std::filesystem::path> runtime_folder();

}  // namespace rookery
