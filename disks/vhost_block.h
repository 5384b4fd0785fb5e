// A disk for a virtual machine: the device side of virtio-blk over vhost-user (virtio 1.2 §5.2). Unlike UML's
// ubd its completions follow the run's clock, so that it works in virtual time.
#pragma once

#include <memory>
#include <string>

#include "base/vhost_user/endpoint.h"
#include "disks/block_store.h"

namespace rookery::disks {

class VhostBlockDevice final : private vhost_user::DeviceModel {
 public:
  // Listens for the guest's driver at `socket`; `serial` is what the guest reads as the disk's serial (20
  // bytes).
  static Result<std::unique_ptr<VhostBlockDevice>> listen(EventLoop& loop,
                                                          const std::filesystem::path& socket,
                                                          BlockStore& store, std::string serial,
                                                          Lane* lane = nullptr);

  // Of data in one request. The guest is told of it.
  static constexpr std::size_t kRequestMost = std::size_t{126} << 16;

  struct Counters {
    std::uint64_t reads = 0, bytes_read = 0, writes = 0, flushes = 0, errors = 0, malformed = 0,
                  too_long = 0;  // requests of more than kRequestMost
  };
  const Counters& counters() const { return counters_; }
  const std::string& fault() const { return endpoint_->fault(); }

 private:
  VhostBlockDevice(BlockStore& store, std::string serial) : store_(store), serial_(std::move(serial)) {}

  std::uint64_t features() const override;
  unsigned queue_count() const override { return 1; }
  ByteBuffer config_space() const override;
  void queue_started(unsigned) override {}
  void kicked(unsigned queue) override;
  void disconnected() override {}

  struct Outcome {
    std::uint8_t status;
    std::size_t written;    // data bytes given to the guest
    std::size_t moved = 0;  // either way
  };
  Outcome execute(const vhost_user::Chain& chain, std::size_t data_room);
  Outcome read(const vhost_user::Chain& chain, std::uint64_t offset, std::size_t data_room);
  Outcome write(const vhost_user::Chain& chain, std::uint64_t offset);

  BlockStore& store_;
  std::string serial_;
  std::unique_ptr<vhost_user::Endpoint> endpoint_;
  vhost_user::Chain chain_;
  Counters counters_;
};

}  // namespace rookery::disks
