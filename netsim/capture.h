// Captures frames to a pcapng file (draft-ietf-opsawg-pcapng) that Wireshark reads. A CaptureFile is shared
// by its taps and by whoever made it; it is written as it goes, closed by its last owner, and stops at a
// limit instead of filling the disk. A CaptureTap sits in a cable for good and costs one branch while it
// captures nothing.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "base/units.h"
#include "netsim/port.h"
#include "netsim/tap.h"

namespace rookery::netsim {

struct CaptureRules {
  Bytes limit = mebibytes(1024);  // of the file; the first frame that does not fit ends the capture
  Bytes snap{0};                  // at most this much of each frame; 0: all of it
  std::string application = "Rookery";
  // What the run's Time zero was, since 1970-01-01 UTC. Zero for a run in virtual time, so that two runs
  // agree.
  Duration started_at{0};
};

class CaptureFile {
 public:
  static constexpr std::size_t kInterfaces = 65'536;

  // Replaces `path`.
  static Result<std::shared_ptr<CaptureFile>> create(const std::filesystem::path& path,
                                                     const CaptureRules& rules);
  CaptureFile(const CaptureFile&) = delete;
  CaptureFile& operator=(const CaptureFile&) = delete;
  ~CaptureFile();

  // Declares an interface ("n7", "n7.mgmt"); returns the number that its frames are written with.
  Result<std::uint32_t> add_interface(std::string_view name);
  // Frames in the order of writing; after the limit or a failed write it only counts them.
  void write(std::uint32_t interface, Direction direction, Time time, const Frame& frame);
  Status flush();

  std::uint64_t frames() const { return frames_; }
  std::uint64_t frames_left_out() const { return left_out_; }
  Bytes size() const { return Bytes{size_}; }
  bool is_full() const { return full_; }

 private:
  CaptureFile(std::filesystem::path path, const CaptureRules& rules, UniqueFd fd);
  void end(std::string_view why);

  std::filesystem::path path_;
  CaptureRules rules_;
  UniqueFd fd_;
  ByteBuffer pending_;
  std::uint64_t size_ = 0;  // of the file with what is pending
  std::uint32_t interfaces_ = 0;
  std::uint64_t frames_ = 0;
  std::uint64_t left_out_ = 0;
  bool full_ = false;
};

class CaptureTap final : public WrappingPort {
 public:
  CaptureTap(EventLoop& loop, Direction direction) : loop_(loop), direction_(direction) {}
  CaptureTap(EventLoop& loop, Direction direction, Port& next)
      : WrappingPort(next), loop_(loop), direction_(direction) {}

  // `interface` as add_interface gave it. Captures from now on, and no longer to a file it had before.
  void start(std::shared_ptr<CaptureFile> file, std::uint32_t interface) {
    file_ = std::move(file);
    interface_ = interface;
  }
  void stop() { file_.reset(); }
  bool is_capturing() const { return file_ != nullptr; }

  void send(Frame frame) override {
    if (file_ != nullptr) capture(frame);
    next().send(std::move(frame));
  }

 private:
  void capture(const Frame& frame);

  EventLoop& loop_;
  Direction direction_;
  std::shared_ptr<CaptureFile> file_;
  std::uint32_t interface_ = 0;
};

}  // namespace rookery::netsim
