// A trace on its way to the disk, or to who reads a pipe: the format that record.h describes, compressed as
// it goes. One owner; a file that was not closed is one of a run that did not end. Nothing is left out but
// what comes after the limit: who reads too slowly slows the run, or ends it (Sink::WhenFull).
#pragma once

#include <filesystem>
#include <memory>

#include "base/bytes.h"
#include "base/json/json.h"
#include "base/result.h"
#include "base/sink.h"
#include "base/units.h"

namespace rookery::vboot {

class TraceFile {
 public:
  static Result<std::unique_ptr<TraceFile>> create(const std::filesystem::path& path, const Json& header,
                                                   Bytes limit, Sink::WhenFull when_full);
  ~TraceFile();
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  // After the limit, or an error that close() gives, it does nothing.
  void write(ByteView record, ByteView kept);
  bool is_full() const { return full_; }
  bool has_failed() const { return failed_; }
  Status close();

 private:
  TraceFile(std::filesystem::path path, Bytes limit, std::unique_ptr<Sink> sink);
  void compress(bool last);
  void put(ByteView bytes);

  struct Compressor;
  std::filesystem::path path_;
  std::uint64_t limit_;
  std::unique_ptr<Sink> sink_;
  std::unique_ptr<Compressor> compressor_;
  ByteWriter pending_;
  std::uint64_t size_ = 0;
  bool full_ = false;
  bool failed_ = false;
};

}  // namespace rookery::vboot
