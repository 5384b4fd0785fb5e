#include "vboot/trace/record.h"

#include <algorithm>
#include <tuple>

namespace rookery::vboot {
namespace {

// Seven bits to a byte, the low ones first; the top bit says that more follow.
void put_number(ByteWriter& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.u8(static_cast<std::uint8_t>(value | 0x80));
  out.u8(static_cast<std::uint8_t>(value));
}

}  // namespace

std::string_view to_string(RecordKind kind) {
  switch (kind) {
    case RecordKind::frame:
      return "frame";
    case RecordKind::console:
      return "console";
    case RecordKind::machine:
      return "machine";
    case RecordKind::step:
      return "step";
    case RecordKind::fault:
      return "fault";
    case RecordKind::program:
      return "program";
    case RecordKind::end:
      return "end";
  }
  return "unknown";
}

bool TraceRecord::same_as(const TraceRecord& other) const {
  const auto all = [](const TraceRecord& r) {
    return std::tie(r.kind, r.time, r.machine, r.text, r.management, r.direction, r.offload_flags, r.segments,
                    r.segment_size, r.length, r.digest);
  };
  return all(*this) == all(other);
}

ByteBuffer encode(const TraceRecord& record, Time before) {
  ByteWriter out;
  out.u8(static_cast<std::uint8_t>(record.kind));
  put_number(out, static_cast<std::uint64_t>((record.time - before).count()));
  put_number(out, record.machine ? std::uint64_t{*record.machine} + 1 : 0);
  if (record.kind != RecordKind::frame) {
    const auto length = std::min(record.text.size(), kTraceTextMost);
    put_number(out, length);
    out.text(std::string_view(record.text).substr(0, length));
    return out.take();
  }
  out.u8(static_cast<std::uint8_t>((record.management ? 2 : 0) |
                                   (record.direction == netsim::Direction::outbound ? 1 : 0)));
  out.u8(record.offload_flags).u8(record.segments);
  put_number(out, record.segment_size);
  put_number(out, record.length);
  out.bytes(record.digest);
  return out.take();
}

}  // namespace rookery::vboot
