// Reads the files of an ISO 9660 medium one after another, in the order in which they lie there: the one
// place that speaks with libarchive's reader. It owns the open file; memory that it reads from must outlive
// it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"

struct archive;

namespace rookery::images {

// More files than any medium of ours has: a medium with more is refused.
inline constexpr std::size_t kMediumFilesLimit = 4096;

inline constexpr Bytes kDirectoriesLimit = mebibytes(16);

class MediumReader {
 public:
  struct Entry {
    std::string path;  // without a slash in front: "rookery/manifest.json"
    Bytes size;
    bool regular = false;
  };

  static Result<MediumReader> open_file(const std::filesystem::path& path);
  static Result<MediumReader> open_memory(ByteView medium);

  // The next file, or nothing after the last.
  Result<std::optional<Entry>> next();
  // The content of the file that next() gave, in pieces; at most `limit` bytes, or an error.
  Status stream(Bytes limit, const std::function<Status(ByteView)>& take);
  Result<std::string> content(Bytes limit);

 private:
  struct Close {
    void operator()(archive* reader) const;
  };
  struct Source;
  explicit MediumReader(std::unique_ptr<Source> source);
  Status start();
  std::string why() const;

  // libarchive keeps a pointer to it: it stays where it is, and goes after the reader.
  struct DropSource {
    void operator()(Source* source) const;
  };
  std::unique_ptr<Source, DropSource> source_;
  std::unique_ptr<archive, Close> reader_;
  std::size_t files_ = 0;
};

}  // namespace rookery::images
