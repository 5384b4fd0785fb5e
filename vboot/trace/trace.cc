#include "vboot/trace/trace.h"

#include <fmt/format.h>

#include <algorithm>

#include "vboot/trace/trace_file.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kKnownFrames = 256;
constexpr std::size_t kWorthKnowing = 1024;  // smaller frames are hashed again sooner than found

}  // namespace

Trace::Trace(EventLoop& loop) : loop_(loop), known_(kKnownFrames) {}
Trace::~Trace() = default;

Result<std::unique_ptr<Trace>> Trace::create(EventLoop& loop, const Json& header,
                                             const TraceOptions& options) {
  auto trace = std::make_unique<Trace>(loop);
  trace->keep_frames_ = options.keep_frames;
  if (options.file.empty()) return trace;
  trace->on_failure_ = options.on_failure;
  auto file = TraceFile::create(options.file, header, options.limit, options.when_full);
  if (!file) return tl::unexpected<Error>(file.error());
  trace->file_ = std::move(*file);
  return trace;
}

void Trace::seen(std::uint32_t tag, netsim::Direction direction, const netsim::Frame& frame) {
  TraceRecord record;
  record.kind = RecordKind::frame;
  record.machine = tag / 2;
  record.management = tag % 2 != 0;
  record.direction = direction;
  record.offload_flags = frame.offload().flags;
  record.segments = frame.offload().segments;
  record.segment_size = frame.offload().segment_size;
  record.length = static_cast<std::uint32_t>(frame.size());
  record.digest = digest_of(frame);
  ++summary_.frames;
  end_instant();
  record.time = loop_.now();
  write(record, frame.bytes().first(std::min<std::size_t>(frame.size(), keep_frames_.count)));
}

FrameDigest Trace::digest_of(const netsim::Frame& frame) {
  const auto hash = [&] {
    FrameDigest digest;
    const Digest256 whole = blake2b(frame.bytes());
    std::copy_n(whole.begin(), digest.size(), digest.begin());
    return digest;
  };
  if (frame.size() < kWorthKnowing) return hash();
  KnownFrame& known = known_[reinterpret_cast<std::uintptr_t>(frame.bytes().data()) / 64 % kKnownFrames];
  if (!known.frame || known.frame.bytes().data() != frame.bytes().data() ||
      known.frame.size() != frame.size())
    known = {frame, hash()};
  return known.digest;
}

void Trace::console(std::uint32_t machine, std::string_view bytes) {
  end_instant();
  instant_ = loop_.now();
  Console& console = consoles_[machine];
  for (const char c : bytes) {
    if (c != '\n') console.line.push_back(c);
    if (c == '\n' || console.line.size() == kLongestLine) end_line(console);
  }
}

void Trace::end_line(Console& console) {
  std::string line = std::exchange(console.line, {});
  if (!line.empty() && line.back() == '\r') line.pop_back();
  lines_wait_ = true;
  if (console.held + line.size() <= kInstantMost) {
    console.held += line.size() + 1;
    console.lines.push_back(std::move(line));
    return;
  }
  if (!console.beyond) console.beyond = std::make_unique<Hasher>(Hasher::Kind::blake2b);
  console.beyond->add(as_bytes(line)).add(as_bytes("\n"));
  console.bytes_beyond += line.size() + 1;
}

void Trace::end_instant() {
  if (lines_wait_ && loop_.now() != instant_) put_lines();
}

void Trace::put_lines() {
  lines_wait_ = false;
  const auto put = [this](std::uint32_t machine, std::string text) {
    TraceRecord record;
    record.kind = RecordKind::console;
    record.machine = machine;
    record.time = instant_;
    record.text = std::move(text);
    write(record);
  };
  for (auto& [machine, console] : consoles_) {
    for (std::string& line : console.lines) put(machine, std::move(line));
    console.lines.clear();
    console.held = 0;
    if (!console.beyond) continue;
    put(machine, fmt::format("(and {} bytes at this instant, BLAKE2b {})", console.bytes_beyond,
                             to_hex(console.beyond->finish())));
    console.beyond.reset();
    console.bytes_beyond = 0;
  }
}

void Trace::note(RecordKind kind, std::optional<std::uint32_t> machine, std::string_view text) {
  end_instant();
  TraceRecord record;
  record.kind = kind;
  record.machine = machine;
  record.time = loop_.now();
  record.text = text.substr(0, kTraceTextMost);
  write(record);
}

void Trace::write(const TraceRecord& record, ByteView kept) {
  const ByteBuffer encoded = encode(record, last_);
  last_ = record.time;
  digest_.add(encoded);
  ++summary_.records;
  if (!file_) return;
  file_->write(encoded, kept);
  if (!file_->has_failed()) return;
  if (const auto tell = std::exchange(on_failure_, nullptr)) tell();
}

Result<TraceSummary> Trace::finish() {
  end_instant();
  instant_ = loop_.now();
  for (auto& [machine, console] : consoles_) {
    if (!console.line.empty()) end_line(console);
  }
  put_lines();
  note(RecordKind::end, std::nullopt, "");
  summary_.digest = digest_.finish();
  if (!file_) return summary_;
  summary_.whole = !file_->is_full();
  ROOKERY_TRY(file_->close());
  return summary_;
}

}  // namespace rookery::vboot
