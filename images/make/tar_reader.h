// Reads a system's tar as a stream, compressed or not: the one place that speaks with libarchive's reader.
// Owns nothing; what it gives is good until the callback returns.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

struct archive;
struct archive_entry;

namespace rookery::images {

// Calls `use` with each entry of the tar, its path without "./" in front.
Status for_each_entry(const std::filesystem::path& tar,
                      const std::function<Status(archive*, archive_entry*, const std::string&)>& use);
// The content of the entry that `use` was called with, in pieces.
Status read_blocks(archive* reader, const std::function<Status(ByteView)>& take);
// The same as one text of at most `limit` bytes.
Result<std::string> read_text(archive* reader, std::size_t limit);

}  // namespace rookery::images
