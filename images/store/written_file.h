// A file on its way: written under a passing name, then synced and renamed to its place in one step. It owns
// the passing file, and removes it unless it was kept.
#pragma once

#include <filesystem>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery::images {

class WrittenFile {
 public:
  // For a later keep(place) on the same file system: beside `place`.
  static Result<WrittenFile> make(const std::filesystem::path& place);
  WrittenFile(WrittenFile&&) noexcept = default;
  WrittenFile& operator=(WrittenFile&&) = delete;
  ~WrittenFile();

  Status write(ByteView bytes);
  Status keep(const std::filesystem::path& place, unsigned mode);

 private:
  WrittenFile(std::filesystem::path passing, UniqueFd fd)
      : passing_(std::move(passing)), fd_(std::move(fd)) {}
  std::filesystem::path passing_;
  UniqueFd fd_;
};

}  // namespace rookery::images
