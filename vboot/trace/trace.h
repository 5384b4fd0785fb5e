// Takes down everything that can be seen of a run: a digest over all of it and, if asked for, a compact file.
// Two runs that have the same digest did the same, byte for byte. Owned by whoever makes the run; given to
// the RunningLab as its FrameWatcher; must be outlived by the loop. Needs the same memory however long the
// run is.
//
// Records stand in the order of the event loop. Only the lines of consoles do not follow it: a console is
// read when the host gets to it, so that lines of one instant come, machine by machine, behind all else of
// that instant.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/json/json.h"
#include "base/loop/event_loop.h"
#include "base/sink.h"
#include "netsim/frame.h"
#include "netsim/tap.h"
#include "vboot/trace/record.h"

namespace rookery::vboot {

struct TraceOptions {
  std::filesystem::path file;     // none: only the digest
  Bytes keep_frames{0};           // so many of each frame's first bytes go into the file
  Bytes limit = mebibytes(4096);  // of the file; what comes after is in the digest only
  // A run in virtual time waits for who reads the file, one in real time cannot.
  Sink::WhenFull when_full = Sink::WhenFull::wait;
  std::function<void()> on_failure{};  // called once, when the file cannot be written; finish() says why
};

struct TraceSummary {
  Digest256 digest{};
  std::uint64_t records = 0, frames = 0;
  bool whole = true;  // the file has all of it
};

class TraceFile;

class Trace final : public netsim::FrameWatcher {
 public:
  static constexpr std::size_t kLongestLine = 4096;  // a longer one is taken in pieces
  static constexpr std::size_t kInstantMost = 256u
                                              << 10;  // of one console at one instant; the rest as a digest

  // Only the digest.
  explicit Trace(EventLoop& loop);
  // `header` is for people and for comparing (lab, seed, build, host); no part of the digest.
  static Result<std::unique_ptr<Trace>> create(EventLoop& loop, const Json& header,
                                               const TraceOptions& options);
  ~Trace() override;

  // Tags as in NodeSetup: 2i is the cable of machine i, 2i + 1 its management NIC.
  void seen(std::uint32_t tag, netsim::Direction direction, const netsim::Frame& frame) override;
  void console(std::uint32_t machine, std::string_view bytes);
  void note(RecordKind kind, std::optional<std::uint32_t> machine, std::string_view text);

  std::uint64_t frames() const { return summary_.frames; }
  // Ends it. An Error if the file could not be written.
  Result<TraceSummary> finish();

 private:
  struct Console {
    std::string line;                // begun and not ended
    std::vector<std::string> lines;  // of this instant
    std::size_t held = 0;            // bytes in `lines`
    std::unique_ptr<Hasher> beyond;  // of what came beyond kInstantMost
    std::uint64_t bytes_beyond = 0;
  };
  struct KnownFrame {
    netsim::Frame frame;  // kept, so that its bytes stay what and where they are
    FrameDigest digest{};
  };

  void end_line(Console& console);
  void end_instant();  // puts the lines that wait once time has moved on
  void put_lines();
  void write(const TraceRecord& record, ByteView kept = {});
  FrameDigest digest_of(const netsim::Frame& frame);

  EventLoop& loop_;
  std::unique_ptr<TraceFile> file_;
  Bytes keep_frames_;
  std::function<void()> on_failure_;
  Hasher digest_{Hasher::Kind::blake2b};
  TraceSummary summary_;
  Time last_{};     // of the last record
  Time instant_{};  // of the lines that wait
  bool lines_wait_ = false;
  std::map<std::uint32_t, Console> consoles_;
  std::vector<KnownFrame> known_;  // a frame is seen leaving and, a link later, coming in
};

}  // namespace rookery::vboot
