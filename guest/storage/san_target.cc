#include "guest/storage/san_target.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace rookery::san {
namespace {

constexpr std::size_t kAcpiHeader = 36;  // ACPI 6.5 §5.2.6
constexpr std::size_t kTableMax = 4096;
constexpr std::size_t kStep = 16;

std::optional<std::uint16_t> number(std::string_view text, int base, unsigned limit) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value > limit) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

// RFC 3722 leaves letters, digits, '-', '.' and ':'; what is none must not get into a program's arguments.
bool is_iscsi_name(std::string_view name) {
  return (name.starts_with("iqn.") || name.starts_with("eui.") || name.starts_with("naa.")) &&
         name.size() <= kIscsiNameMax && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '.' || c == ':';
         });
}

bool is_ipv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    const std::string_view digits = text.substr(0, text.find('.'));
    if (digits.size() > 3 || !number(digits, 10, 255)) return false;
    text.remove_prefix(digits.size());
    if (part < 3 && text.empty()) return false;
    if (part < 3) text.remove_prefix(1);
  }
  return text.empty();
}

Result<Target> parse_iscsi(std::string_view rest) {
  std::array<std::string_view, 4> fields;  // server, protocol, port, LUN
  for (std::string_view& field : fields) {
    const std::size_t end = rest.find(':');
    if (end == std::string_view::npos)
      return fail("it has not all parts of iscsi:server:protocol:port:LUN:target");
    field = rest.substr(0, end);
    rest.remove_prefix(end + 1);
  }
  IscsiTarget target;
  if (!is_ipv4(fields[0])) return fail("its server is not an IPv4 address");
  target.host = fields[0];
  if (!fields[1].empty() && fields[1] != "6") return fail("its protocol is not 6, which is TCP");
  if (!fields[2].empty()) {
    const auto port = number(fields[2], 10, 65535);
    if (!port || *port == 0) return fail("its port is no number from 1 to 65535");
    target.port = *port;
  }
  if (!fields[3].empty()) {
    const auto lun = number(fields[3], 16, 0xff);
    if (!lun) return fail("its LUN is no hexadecimal number up to ff");
    target.lun = *lun;
  }
  if (!is_iscsi_name(rest)) return fail("its target has no name like iqn.2026-11.example:disk");
  target.name = rest;
  return target;
}

Result<Target> parse_aoe(std::string_view rest) {
  const std::size_t dot = rest.find('.');
  if (!rest.starts_with('e') || dot == std::string_view::npos) return fail("it is not like aoe:e0.1");
  // 65535 and 255 are AoE's broadcast addresses (AoE r11 §2.2).
  const auto shelf = number(rest.substr(1, dot - 1), 10, 65534), slot = number(rest.substr(dot + 1), 10, 254);
  if (!shelf || !slot) return fail("it is not like aoe:e0.1");
  return AoeTarget{*shelf, static_cast<std::uint8_t>(*slot)};
}

// A text of the table's heap: its length and offset stand at `at`.
std::optional<std::string> heap_text(ByteView table, std::size_t at) {
  ByteReader field(table);
  field.take(at);
  const std::uint16_t size = field.le16(), offset = field.le16();
  ByteReader heap(table);
  heap.take(offset);
  const ByteView text = heap.take(size);
  if (!field.ok() || !heap.ok()) return std::nullopt;
  return std::string(as_text(text));
}

// "iSCSI Boot Firmware Table (iBFT) as Defined in ACPI 3.0b", version 1.02; its fields as in Linux's
// drivers/firmware/iscsi_ibft.c: a control structure at 48 that says where the others are.
Result<Target> parse_ibft(ByteView table) {
  constexpr std::size_t kControl = 48;
  ByteReader control(table);
  control.take(kControl + 8);
  const std::uint16_t initiator_at = control.le16();
  control.le16();  // NIC 0
  const std::uint16_t target_at = control.le16();
  ByteReader reader(table);
  reader.take(target_at);
  const ByteView head = reader.take(6);  // id, version, length, index, flags
  const ByteView address = reader.take(16);
  IscsiTarget target;
  target.port = reader.le16();
  const ByteView lun = reader.take(8);
  if (!control.ok() || !reader.ok() || target_at == 0) return fail("the iBFT has no room for its target");
  if (head[0] != 4 || (head[5] & 1) == 0) return fail("the iBFT's first target is not valid");
  const bool is_mapped = std::all_of(address.begin(), address.begin() + 10, [](auto b) { return b == 0; });
  if (!is_mapped || address[10] != 0xff || address[11] != 0xff)
    return fail("the iBFT's target is not on IPv4");
  for (std::size_t i = 12; i < 16; ++i) target.host += (i > 12 ? "." : "") + std::to_string(address[i]);
  if (lun[0] != 0) return fail("the iBFT's LUN is not a flat one");  // SAM-5 §4.7.7.5
  target.lun = lun[1];
  const auto name = heap_text(table, std::size_t{target_at} + 34),
             initiator = heap_text(table, std::size_t{initiator_at} + 70);
  if (!name || !is_iscsi_name(*name)) return fail("the iBFT's target has no iSCSI name");
  if (!initiator || !is_iscsi_name(*initiator)) return fail("the iBFT's initiator has no iSCSI name");
  if (target.port == 0) return fail("the iBFT's target has no port");
  target.name = *name;
  target.initiator = *initiator;
  return target;
}

}  // namespace

std::string AoeTarget::to_string() const {
  return "e" + std::to_string(shelf) + "." + std::to_string(slot);
}

std::string to_text(const Target& target) {
  if (const auto* aoe = std::get_if<AoeTarget>(&target)) return "aoe:" + aoe->to_string();
  const auto& iscsi = std::get<IscsiTarget>(target);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string lun(1, kDigits[iscsi.lun & 15]);
  if (iscsi.lun > 15) lun.insert(lun.begin(), kDigits[iscsi.lun >> 4]);
  return "iscsi:" + iscsi.host + ":6:" + std::to_string(iscsi.port) + ":" + lun + ":" + iscsi.name;
}

Result<std::optional<Target>> parse_target(std::string_view text) {
  const bool is_iscsi = text.starts_with("iscsi:"), is_aoe = text.starts_with("aoe:");
  if (!is_iscsi && !is_aoe) return std::optional<Target>();
  const Result<Target> target = is_iscsi ? parse_iscsi(text.substr(6)) : parse_aoe(text.substr(4));
  if (!target)
    return fail("'" + std::string(text.substr(0, 300)) + "' names no disk: " + target.error().message);
  return std::optional<Target>(*target);
}

Result<Target> parse_boot_table(ByteView table) {
  ByteReader header(table);
  const std::string_view signature = as_text(header.take(4));
  const std::uint32_t length = header.le32();
  if (!header.ok() || length < kAcpiHeader || length > std::min(table.size(), kTableMax))
    return fail("a boot firmware table of a wrong length");
  table = table.first(length);
  std::uint8_t sum = 0;
  for (std::uint8_t byte : table) sum = static_cast<std::uint8_t>(sum + byte);
  if (sum != 0) return fail("a boot firmware table with a wrong checksum");
  if (signature == "iBFT") return parse_ibft(table);
  if (signature != "aBFT") return fail("no boot firmware table");
  // iPXE's src/include/ipxe/aoe.h, struct abft_table: shelf, slot, padding, the client's MAC.
  ByteReader reader(table);
  reader.take(kAcpiHeader);
  const std::uint16_t shelf = reader.le16();
  const ByteView slot = reader.take(1);
  if (!reader.ok() || shelf == 0xffff || slot[0] == 0xff) return fail("the aBFT names no disk");
  return AoeTarget{shelf, slot[0]};
}

std::optional<Target> find_boot_table(ByteView memory) {
  for (std::size_t at = 0; at + kAcpiHeader <= memory.size(); at += kStep) {
    const std::string_view signature = as_text(memory.subspan(at, 4));
    if (signature != "iBFT" && signature != "aBFT") continue;
    if (const Result<Target> target = parse_boot_table(memory.subspan(at))) return *target;
  }
  return std::nullopt;
}

}  // namespace rookery::san
