#include "base/vhost_user/protocol.h"

namespace rookery::vhost_user {
namespace {

Status whole(const ByteReader& reader, const char* what) {
  if (!reader.ok()) return fail(std::string("vhost-user: ") + what + " is too short");
  return {};
}

}  // namespace

Result<std::optional<Header>> parse_header(ByteView bytes) {
  if (bytes.size() < kHeaderSize) return std::nullopt;
  ByteReader reader(bytes);
  Header header;
  header.request = reader.le32();
  header.flags = reader.le32();
  header.size = reader.le32();
  if ((header.flags & 3) != kVersion) return fail("vhost-user: not version 1 of the protocol");
  if (header.size > kPayloadLimit) {
    return fail("vhost-user: a message of " + std::to_string(header.size) + " bytes is refused");
  }
  return header;
}

ByteBuffer encode(std::uint32_t request, std::uint32_t flags, ByteView payload) {
  ByteWriter writer;
  writer.le32(request).le32(flags | kVersion).le32(static_cast<std::uint32_t>(payload.size())).bytes(payload);
  return writer.take();
}

ByteBuffer encode_u64(std::uint32_t request, std::uint32_t flags, std::uint64_t value) {
  ByteWriter payload;
  payload.le64(value);
  return encode(request, flags, payload.buffer());
}

Result<std::vector<MemoryRegion>> parse_memory_table(ByteView payload) {
  ByteReader reader(payload);
  const std::uint32_t count = reader.le32();
  reader.le32();  // padding
  if (count == 0 || count > kRegionsLimit) {
    return fail("vhost-user: a memory table of " + std::to_string(count) + " regions is refused");
  }
  std::vector<MemoryRegion> regions(count);
  for (MemoryRegion& region : regions) {
    region.guest_address = reader.le64();
    region.size = reader.le64();
    region.user_address = reader.le64();
    region.file_offset = reader.le64();
  }
  ROOKERY_TRY(whole(reader, "a memory table"));
  return regions;
}

Result<VringState> parse_vring_state(ByteView payload) {
  ByteReader reader(payload);
  VringState state;
  state.index = reader.le32();
  state.number = reader.le32();
  ROOKERY_TRY(whole(reader, "a vring state"));
  return state;
}

Result<VringFile> parse_vring_file(ByteView payload) {
  const auto word = parse_u64(payload);
  if (!word) return tl::unexpected<Error>(word.error());
  return VringFile{static_cast<std::uint32_t>(*word & 0xff), (*word & 0x100) == 0};
}

Result<VringAddresses> parse_vring_addresses(ByteView payload) {
  ByteReader reader(payload);
  VringAddresses addresses;
  addresses.index = reader.le32();
  addresses.flags = reader.le32();
  addresses.descriptors = reader.le64();
  addresses.used = reader.le64();
  addresses.available = reader.le64();
  ROOKERY_TRY(whole(reader, "a vring address"));
  return addresses;
}

Result<std::uint64_t> parse_u64(ByteView payload) {
  ByteReader reader(payload);
  const std::uint64_t value = reader.le64();
  ROOKERY_TRY(whole(reader, "a number"));
  return value;
}

Result<ConfigRange> parse_config_range(ByteView payload) {
  ByteReader reader(payload);
  ConfigRange range;
  range.offset = reader.le32();
  range.size = reader.le32();
  range.flags = reader.le32();
  ROOKERY_TRY(whole(reader, "a configuration range"));
  if (range.offset > kPayloadLimit || range.size > kPayloadLimit) {
    return fail("vhost-user: a configuration range beyond any device's is refused");
  }
  return range;
}

}  // namespace rookery::vhost_user
