#include "disks/vhost_block.h"

#include <algorithm>
#include <array>

namespace rookery::disks {
namespace {

// virtio 1.2 §5.2.3, §5.2.4, §5.2.6
constexpr std::uint64_t kFeatureSizeMax = 1ull << 1;
constexpr std::uint64_t kFeatureSegMax = 1ull << 2;
constexpr std::uint64_t kFeatureReadOnly = 1ull << 5;
constexpr std::uint64_t kFeatureFlush = 1ull << 9;
constexpr std::uint32_t kIn = 0, kOut = 1, kFlush = 4, kGetId = 8;
constexpr std::uint8_t kOk = 0, kIoError = 1, kUnsupported = 2;
constexpr std::size_t kRequestHeader = 16;
constexpr std::size_t kSector = 512;
constexpr std::size_t kSerialSize = 20;
constexpr std::uint32_t kSegmentsPerRequest = 126;  // a queue of 256 holds two such requests
constexpr std::uint32_t kSegmentMost = 1 << 16;
static_assert(kSegmentsPerRequest * kSegmentMost == VhostBlockDevice::kRequestMost);

}  // namespace

Result<std::unique_ptr<VhostBlockDevice>> VhostBlockDevice::listen(EventLoop& loop,
                                                                   const std::filesystem::path& socket,
                                                                   BlockStore& store, std::string serial,
                                                                   Lane* lane) {
  std::unique_ptr<VhostBlockDevice> device(new VhostBlockDevice(store, std::move(serial)));
  auto endpoint = vhost_user::Endpoint::listen(loop, socket, *device, lane);
  if (!endpoint) return tl::unexpected<Error>(endpoint.error());
  device->endpoint_ = std::move(*endpoint);
  return device;
}

std::uint64_t VhostBlockDevice::features() const {
  return kFeatureSizeMax | kFeatureSegMax | kFeatureFlush | (store_.read_only() ? kFeatureReadOnly : 0);
}

ByteBuffer VhostBlockDevice::config_space() const {
  ByteWriter space;
  space.le64(store_.size().count / kSector)
      .le32(kSegmentMost)
      .le32(kSegmentsPerRequest)
      .zeros(4)
      .le32(kSector);
  return space.take();
}

void VhostBlockDevice::kicked(unsigned) {
  vhost_user::Virtqueue& queue = endpoint_->queue(0);
  TurnBudget& turn = endpoint_->budget();
  bool answered = false;
  while (turn.left() && queue.pop(chain_)) {
    const std::size_t room = chain_.writable_size();
    if (room == 0) {  // nowhere to put the status: given back as it is
      turn.spend(1, chain_.descriptors, 0);
      ++counters_.malformed;
      queue.push(chain_.head, 0);
      continue;
    }
    const Outcome outcome = execute(chain_, room - 1);
    turn.spend(1, chain_.descriptors, outcome.moved);
    if (outcome.status != kOk) ++counters_.errors;
    const std::uint8_t status = outcome.status;
    chain_.write(room - 1, {&status, 1});  // the last writable byte
    queue.push(chain_.head, static_cast<std::uint32_t>(outcome.written + 1));
    answered = true;
  }
  if (!turn.left() && queue.has_available()) endpoint_->again(0);
  if (answered) endpoint_->call(0);
}

VhostBlockDevice::Outcome VhostBlockDevice::execute(const vhost_user::Chain& chain, std::size_t data_room) {
  std::array<std::uint8_t, kRequestHeader> header{};
  if (chain.read(0, header) != header.size()) {
    ++counters_.malformed;
    return {kIoError, 0};
  }
  ByteReader reader(header);
  const std::uint32_t type = reader.le32();
  reader.le32();  // reserved
  const std::uint64_t sector = reader.le64();
  const std::uint64_t sectors = store_.size().count / kSector;
  const std::size_t data = type == kOut ? chain.readable_size() - kRequestHeader : data_room;
  if ((type == kIn || type == kOut) &&
      (data % kSector != 0 || sector > sectors || data / kSector > sectors - sector)) {
    return {kIoError, 0};
  }
  if ((type == kIn || type == kOut) && data > kRequestMost) {
    ++counters_.too_long;
    return {kIoError, 0};
  }
  switch (type) {
    case kIn:
      return read(chain, sector * kSector, data_room);
    case kOut:
      return write(chain, sector * kSector);
    case kFlush:
      ++counters_.flushes;
      return {store_.flush() ? kOk : kIoError, 0};
    case kGetId: {
      std::array<std::uint8_t, kSerialSize> id{};
      std::copy_n(serial_.begin(), std::min(serial_.size(), kSerialSize), id.begin());
      return {kOk, chain.write(0, ByteView(id).first(std::min(data_room, kSerialSize)))};
    }
    default:
      return {kUnsupported, 0};
  }
}

VhostBlockDevice::Outcome VhostBlockDevice::read(const vhost_user::Chain& chain, std::uint64_t offset,
                                                 std::size_t data_room) {
  ++counters_.reads;
  std::size_t done = 0;
  for (const auto& part : chain.writable) {
    const auto data = part.first(std::min(part.size(), data_room - done));
    if (!store_.read(offset + done, data)) return {kIoError, done, done};
    done += data.size();
  }
  counters_.bytes_read += done;
  return {kOk, done, done};
}

VhostBlockDevice::Outcome VhostBlockDevice::write(const vhost_user::Chain& chain, std::uint64_t offset) {
  ++counters_.writes;
  if (store_.read_only()) return {kIoError, 0};
  std::size_t skip = kRequestHeader, done = 0;
  for (const auto& part : chain.readable) {
    const auto data = part.subspan(std::min(skip, part.size()));
    skip -= part.size() - data.size();
    if (!store_.write(offset + done, data)) return {kIoError, 0, done};
    done += data.size();
  }
  return {kOk, 0, done};
}

}  // namespace rookery::disks
