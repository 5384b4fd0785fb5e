// Captures frames to a pcapng file (draft-ietf-opsawg-pcapng) that Wireshark reads, while it is written too.
// A CaptureFile is shared by its taps and by whoever made it; what is captured is in the file a moment later,
// a reader who does not keep up loses frames, which are counted, and it stops at a limit instead of filling
// the disk. A CaptureTap sits in a cable for good and costs one branch while it captures nothing.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/sink.h"
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
  // For a run whose time does not pass meanwhile: wait for a slow reader instead of leaving frames out.
  Sink::WhenFull when_full = Sink::WhenFull::refuse;
};

// What became of the frames.
struct CaptureTold {
  std::uint64_t frames = 0;    // in the file
  std::uint64_t left_out = 0;  // that are not
  std::string why;             // what kept them out, or ended the capture; empty: nothing did
};

class CaptureFile {
 public:
  static constexpr std::size_t kInterfaces = 65'536;
  // How long a file that is to be closed may take without one byte of it being written.
  static constexpr Duration kPatience = std::chrono::seconds(2);

  // Replaces `path`; see Sink::open().
  static Result<std::shared_ptr<CaptureFile>> create(const std::filesystem::path& path,
                                                     const CaptureRules& rules);
  // To a descriptor that somebody else opened and calls `name`; see Sink::of().
  static Result<std::shared_ptr<CaptureFile>> create(UniqueFd fd, const std::string& name, bool replace,
                                                     const CaptureRules& rules);
  CaptureFile(const CaptureFile&) = delete;
  CaptureFile& operator=(const CaptureFile&) = delete;

  // Declares an interface ("n7", "n7.mgmt"); returns the number that its frames are written with.
  Result<std::uint32_t> add_interface(std::string_view name);
  // Frames in the order of writing; after the limit or a failed write it only counts them.
  void write(std::uint32_t interface, Direction direction, Time time, const Frame& frame);

  std::uint64_t frames() const { return frames_; }  // that were taken for the file
  std::uint64_t frames_left_out() const { return left_out_; }
  Bytes size() const { return Bytes{size_}; }
  bool is_full() const { return full_; }
  const std::string& name() const { return name_; }

  // Waits until what was captured is in the file.
  Status flush(Duration patience) { return sink_->flush(patience); }
  // Takes no frame any more, and closes the file when all that it has is written: then told() is final.
  // Either without waiting, and news() becomes readable; or as Sink::close().
  void close();
  void close(Duration patience);
  void abandon() { sink_->abandon(); }
  bool is_open() const { return sink_->state() == Sink::State::open; }
  int news() const { return sink_->news(); }
  std::uint64_t bytes_written() const { return sink_->bytes_written(); }
  CaptureTold told() const;
  std::string in_words() const;  // the same, for people
  // An Error if it could not be written. That its reader left, or did not keep up, is none: told() says it.
  Status status() const;
  std::optional<Sink::Identity> identity() const { return sink_->identity(); }

 private:
  CaptureFile(std::string name, const CaptureRules& rules, std::unique_ptr<Sink> sink);
  static Result<std::shared_ptr<CaptureFile>> begin(std::string name, const CaptureRules& rules,
                                                    Result<std::unique_ptr<Sink>> sink);

  std::string name_;
  CaptureRules rules_;
  std::unique_ptr<Sink> sink_;
  ByteBuffer block_;
  std::uint64_t size_ = 0;  // of the file with what is on its way
  std::uint32_t interfaces_ = 0;
  std::uint64_t frames_ = 0;
  std::uint64_t left_out_ = 0;
  bool full_ = false;      // no frame comes into the file any more
  bool at_limit_ = false;  // because of its size
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
