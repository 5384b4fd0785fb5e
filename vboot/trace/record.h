// What a trace consists of: one record for each thing that can be seen of a run, in the order of the run's
// event loop. Plain values; trace.h writes them, trace_reader.h reads them back, compare.h tells two runs
// apart.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"
#include "netsim/tap.h"

namespace rookery::vboot {

// The values stand in files: they are not used again for something else.
enum class RecordKind : std::uint8_t {
  frame = 1,
  console = 2,  // one line
  machine = 3,  // a stage, its power, its end
  step = 4,     // something that the scenario did
  fault = 5,    // a fault began, changed or ended
  program = 6,  // what a program of the workload printed, and how it ended
  end = 8       // the last one
};
std::string_view to_string(RecordKind kind);

// The first 128 bits of BLAKE2b-256 over a frame's bytes.
using FrameDigest = std::array<std::uint8_t, 16>;

struct TraceRecord {
  RecordKind kind = RecordKind::end;
  Time time{};
  std::optional<std::uint32_t> machine;  // its index in the lab's plan; none: the lab as a whole
  std::string text;                      // of all but frames

  // Of frames.
  bool management = false;
  netsim::Direction direction = netsim::Direction::outbound;
  std::uint8_t offload_flags = 0;  // netsim::Offload::flags
  std::uint8_t segments = 0;       // netsim::Offload::segments
  std::uint16_t segment_size = 0;  // netsim::Offload::segment_size
  std::uint32_t length = 0;
  FrameDigest digest{};
  ByteBuffer kept;  // its first bytes, if they were kept; no part of the run's digest

  // Whether it says the same; what was kept of a frame is left out, for its digest has all of it.
  bool same_as(const TraceRecord& other) const;
};

// A record as it goes into the run's digest and into the file (without `kept`). The time is counted from the
// record before.
ByteBuffer encode(const TraceRecord& record, Time before);

// The file: this magic, the header's length (le32), the header (JSON), and a zstd stream of records, each
// frame with what was kept of it behind.
inline constexpr std::string_view kTraceMagic = "rookery trace 1\n";
inline constexpr std::size_t kTraceHeaderMost = 4u << 20;
inline constexpr std::size_t kTraceTextMost = 16u << 10;  // longer texts are cut
// Behind a frame, in the file only: as many of its first bytes as were kept.
inline constexpr std::uint8_t kKeptBytes = 0x80;

}  // namespace rookery::vboot
