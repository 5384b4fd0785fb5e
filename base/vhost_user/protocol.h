// The vhost-user wire protocol, device ("slave") side: as far as User-Mode Linux's virtio_uml driver and QEMU
// speak it. Pure: bytes to messages and back. Numbers: QEMU docs/interop/vhost-user.rst, linux
// arch/um/drivers/vhost_user.h.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace rookery::vhost_user {

enum class Request : std::uint32_t {
  get_features = 1,
  set_features = 2,
  set_owner = 3,
  reset_owner = 4,
  set_mem_table = 5,
  set_vring_num = 8,
  set_vring_addr = 9,
  set_vring_base = 10,
  get_vring_base = 11,
  set_vring_kick = 12,
  set_vring_call = 13,
  set_vring_err = 14,
  get_protocol_features = 15,
  set_protocol_features = 16,
  get_queue_num = 17,
  set_vring_enable = 18,
  set_slave_req_fd = 21,
  get_config = 24,
  set_config = 25,
  vring_kick = 35,
};
constexpr std::uint32_t kSlaveVringCall = 4;

// Header flags: two bits of version, reply, reply wanted.
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kFlagReply = 1u << 2;
constexpr std::uint32_t kFlagNeedReply = 1u << 3;

// Feature bit of the transport, among virtio's own (virtio 1.2 §6).
constexpr std::uint64_t kFeatureProtocolFeatures = 1ull << 30;
constexpr std::uint64_t kFeatureVersion1 = 1ull << 32;
constexpr std::uint64_t kFeatureLogAll = 1ull << 26;  // VHOST_F_LOG_ALL, linux/vhost_types.h

enum ProtocolFeature : std::uint64_t {
  kProtocolLogShmfd = 1ull << 1,
  kProtocolSlaveReq = 1ull << 5,
  kProtocolConfig = 1ull << 9,
  kProtocolInbandNotifications = 1ull << 14,
};

constexpr std::size_t kHeaderSize = 12;
constexpr std::size_t kPayloadLimit = 4096;  // far above any message that is understood here
constexpr unsigned kRegionsLimit = 8;        // VHOST_MEMORY_BASELINE_NREGIONS

struct Header {
  std::uint32_t request = 0;
  std::uint32_t flags = 0;
  std::uint32_t size = 0;  // of the payload
};
// nullopt while there are fewer than kHeaderSize bytes; an Error for a version or a size that cannot be.
Result<std::optional<Header>> parse_header(ByteView bytes);
ByteBuffer encode(std::uint32_t request, std::uint32_t flags, ByteView payload);
ByteBuffer encode_u64(std::uint32_t request, std::uint32_t flags, std::uint64_t value);

struct MemoryRegion {
  std::uint64_t guest_address = 0, size = 0, user_address = 0, file_offset = 0;
};
struct VringState {
  std::uint32_t index = 0, number = 0;
};
// Which queue a notification's descriptor is for, and whether one comes along (its bit 8 says that none
// does).
struct VringFile {
  std::uint32_t index = 0;
  bool has_file = false;
};
struct VringAddresses {
  std::uint32_t index = 0, flags = 0;
  std::uint64_t descriptors = 0, used = 0, available = 0;  // addresses of the peer's address space
};
struct ConfigRange {
  std::uint32_t offset = 0, size = 0, flags = 0;
};
Result<std::vector<MemoryRegion>> parse_memory_table(ByteView payload);
Result<VringState> parse_vring_state(ByteView payload);
Result<VringFile> parse_vring_file(ByteView payload);
Result<VringAddresses> parse_vring_addresses(ByteView payload);
Result<std::uint64_t> parse_u64(ByteView payload);
Result<ConfigRange> parse_config_range(ByteView payload);  // what follows the range is the content

}  // namespace rookery::vhost_user
