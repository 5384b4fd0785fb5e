// A guest's memory as a vhost-user device sees it: files that the guest handed over, mapped here. Every
// address comes from the guest and is checked before use. A guest that truncates such a file afterwards would
// kill us by SIGBUS; instead the lost pages read as zeros and damaged() turns true (see memory.cc).
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/vhost_user/protocol.h"

namespace rookery::vhost_user {

class GuestMemory {
 public:
  // Maps the regions; files[i] belongs to regions[i]. A region beyond the end of its file is refused.
  static Result<GuestMemory> map(const std::vector<MemoryRegion>& regions, std::vector<UniqueFd> files);

  // `size` bytes at an address of the guest (as in descriptors), or an empty span if any of them is not its
  // memory.
  std::span<std::uint8_t> at_guest_address(std::uint64_t address, std::uint64_t size) const;
  // The same by an address of the peer's process (as in vring addresses).
  std::span<std::uint8_t> at_user_address(std::uint64_t address, std::uint64_t size) const;

  bool damaged() const;

 private:
  struct Mapping;
  struct Region {
    MemoryRegion layout;
    std::shared_ptr<Mapping> mapping;
  };
  template <std::uint64_t MemoryRegion::*Base>
  std::span<std::uint8_t> find(std::uint64_t address, std::uint64_t size) const;

  std::vector<Region> regions_;
};

}  // namespace rookery::vhost_user
