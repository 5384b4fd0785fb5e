// What a disk holds: bytes by offset. The device in front of it (vhost_block) checks ranges; a store may keep
// a write cache of its own and lose it at power_cut(). Owned by whoever makes the disk, which outlives the
// device.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace rookery::disks {

class BlockStore {
 public:
  virtual ~BlockStore() = default;
  virtual Bytes size() const = 0;
  virtual bool read_only() const = 0;
  virtual bool read(std::uint64_t offset, std::span<std::uint8_t> into) = 0;  // false: an I/O error
  virtual bool write(std::uint64_t offset, std::span<const std::uint8_t> from) = 0;
  virtual bool flush() = 0;
  virtual void power_cut() {}
};

// A file that is only read: a medium.
class ReadOnlyFile final : public BlockStore {
 public:
  static Result<std::unique_ptr<ReadOnlyFile>> open(const std::filesystem::path& path);
  Bytes size() const override { return size_; }
  bool read_only() const override { return true; }
  bool read(std::uint64_t offset, std::span<std::uint8_t> into) override;
  bool write(std::uint64_t, std::span<const std::uint8_t>) override { return false; }
  bool flush() override { return true; }

 private:
  UniqueFd fd_;
  Bytes size_;
};

}  // namespace rookery::disks
