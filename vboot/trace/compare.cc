#include "vboot/trace/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "netsim/dissect.h"
#include "vboot/trace/trace_reader.h"

namespace rookery::vboot {
namespace {

// Ports, numbers and flags of TCP and UDP over IPv4: what the boot watch's dissector has no use for.
std::string transport(ByteView frame, bool tagged) {
  ByteReader in(frame);
  in.take(tagged ? 18 : 14);
  const std::uint8_t version = in.u8();
  in.take(8);
  const std::uint8_t protocol = in.u8();
  if (version >> 4 != 4 || (version & 15) < 5) return {};
  in.take(10 + static_cast<std::size_t>((version & 15) - 5) * 4);
  const std::uint16_t from = in.be16(), to = in.be16();
  if (!in.ok()) return {};
  if (protocol == 17) return fmt::format(" UDP {} to {}, {} bytes", from, to, in.be16());  // RFC 768
  if (protocol != 6) return {};
  const std::uint32_t sequence = in.be32(), acknowledged = in.be32();  // RFC 9293 §3.1
  const std::uint16_t bits = in.be16();
  if (!in.ok()) return {};
  constexpr std::string_view kNames = "FSRPAU";
  std::string flags;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if ((bits >> i & 1) != 0) flags += kNames[i];
  }
  return fmt::format(" TCP {} to {}, seq {}, ack {}, {}", from, to, sequence, acknowledged, flags);
}

std::string hex_line(ByteView bytes, std::size_t from) {
  constexpr std::size_t kShown = 16;
  const ByteView some = bytes.subspan(from, std::min(kShown, bytes.size() - from));
  std::string hex, letters;
  for (const std::uint8_t byte : some) {
    hex += fmt::format("{:02x} ", byte);
    letters += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
  }
  return fmt::format("{}|{}|", hex, letters);
}

// What of two frames differs, for a person.
std::string hint_of(const TraceRecord& a, const TraceRecord& b) {
  if (a.kind != RecordKind::frame || b.kind != RecordKind::frame || a.digest == b.digest) return {};
  const auto differ = std::mismatch(a.kept.begin(), a.kept.end(), b.kept.begin(), b.kept.end());
  const auto at = static_cast<std::size_t>(differ.first - a.kept.begin());
  if (at >= a.kept.size() || at >= b.kept.size()) {
    if (a.kept.empty() || b.kept.empty()) return "their bytes differ, and were not kept";
    return fmt::format("their first {} bytes, which were kept, are the same: the difference is behind them",
                       at);
  }
  return fmt::format("the first byte that differs is number {}:\n    {}\n    {}", at,
                     hex_line(a.kept, at & ~std::size_t{15}), hex_line(b.kept, at & ~std::size_t{15}));
}

std::string machine_of(const TraceRecord& record, const Json& header) {
  if (!record.machine) return "the lab";
  const auto names = header.find("machines");
  const auto name = names ? names->at(*record.machine).as_string() : std::nullopt;
  return name ? std::string(*name) : fmt::format("machine {}", *record.machine);
}

}  // namespace

std::string decoded(const TraceRecord& record) {
  if (record.kept.empty()) return "its bytes were not kept";
  netsim::Dissector dissector;
  const netsim::Summary summary = dissector.look(record.kept);
  std::string out = netsim::text(summary);
  if (!summary.is_boot_step()) out += transport(record.kept, summary.vlan.has_value());
  return out;
}

std::string in_words(const TraceRecord& record, const Json& header) {
  const std::string start = fmt::format("{:.9f} s {}", seconds(record.time), machine_of(record, header));
  if (record.kind != RecordKind::frame)
    return fmt::format("{}, {}: {}", start, to_string(record.kind), record.text);
  return fmt::format("{}, {}{} bytes {}, digest {}: {}", start, record.management ? "management, " : "",
                     record.length, record.direction == netsim::Direction::outbound ? "sent" : "received",
                     to_hex(record.digest), decoded(record));
}

Result<std::optional<TraceDifference>> first_difference(const std::filesystem::path& first,
                                                        const std::filesystem::path& second) {
  auto a = TraceReader::open(first), b = TraceReader::open(second);
  if (!a) return tl::unexpected<Error>(a.error());
  if (!b) return tl::unexpected<Error>(b.error());
  TraceDifference difference;
  for (;; ++difference.records_alike) {
    auto one = (*a)->next(), other = (*b)->next();
    if (!one) return tl::unexpected<Error>(one.error());
    if (!other) return tl::unexpected<Error>(other.error());
    if (!*one && !*other) return std::nullopt;
    if (*one && *other && (*one)->same_as(**other)) continue;
    difference.first = std::move(*one);
    difference.second = std::move(*other);
    break;
  }
  const Json& header = (*a)->header();
  const auto words = [&](const std::optional<TraceRecord>& record) {
    return record ? in_words(*record, header) : std::string("(this run had ended)");
  };
  difference.first_text = words(difference.first);
  difference.second_text = words(difference.second);
  const bool second_is_earlier =
      !difference.first || (difference.second && difference.second->time < difference.first->time);
  const TraceRecord& earlier = second_is_earlier ? *difference.second : *difference.first;
  difference.time = earlier.time;
  if (earlier.machine) difference.machine = machine_of(earlier, header);
  if (difference.first && difference.second) difference.hint = hint_of(*difference.first, *difference.second);
  return difference;
}

Json to_json(const TraceDifference& difference) {
  return Json::object()
      .set("seconds", Json::number(seconds(difference.time)))
      .set("machine", difference.machine ? Json::string(*difference.machine) : Json())
      .set("records_alike", Json::count(difference.records_alike))
      .set("first", difference.first_text)
      .set("second", difference.second_text)
      .set("hint", difference.hint);
}

}  // namespace rookery::vboot
