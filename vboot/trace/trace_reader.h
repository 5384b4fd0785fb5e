// Reads a trace back, record by record. The file is not trusted: whatever stands in it, reading ends with a
// record, the end, or an Error that names the file. Owns its descriptor; needs little memory.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/json/json.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "vboot/trace/record.h"

namespace rookery::vboot {

class TraceReader {
 public:
  static Result<std::unique_ptr<TraceReader>> open(const std::filesystem::path& path);
  ~TraceReader();
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;

  const Json& header() const { return header_; }
  // Nothing: that was all. An Error if the file ends within a record, or before the run did.
  Result<std::optional<TraceRecord>> next();

 private:
  TraceReader(std::filesystem::path path, UniqueFd fd);
  tl::unexpected<Error> damaged(std::string_view how) const;
  Status read_header();
  Status want(std::size_t count);  // so many bytes in buffer_, or as many as there are
  Result<std::optional<TraceRecord>> parse(ByteReader& in);

  struct Decompressor;
  std::filesystem::path path_;
  UniqueFd fd_;
  std::unique_ptr<Decompressor> decompressor_;
  Json header_;
  ByteBuffer buffer_;  // unpacked and not yet read from `at_` on
  std::size_t at_ = 0;
  Time last_{};
  bool packed_ended_ = false, ended_ = false;
};

}  // namespace rookery::vboot
