// The driver of a vhost-user device, as a test or benchmark plays it: a socket, memory that both share, and
// queues in it, of which the rings lie at fixed places. Owned by the test, which fills and reads them; the
// memory is gone with it. A device that does not listen is an exception.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>

#include "base/bytes.h"
#include "base/unix_socket.h"
#include "base/vhost_user/protocol.h"

namespace rookery {

class VhostDriver {
 public:
  // Of a queue, from its beginning: 16 bytes a descriptor, the available ring, the used ring (virtio 1.2
  // §2.7).
  static constexpr std::uint64_t kAvailable = 0x1000, kUsed = 0x2000;

  // The device sees the memory from the address `base` on.
  VhostDriver(const std::filesystem::path& socket, std::uint64_t size, std::uint64_t base)
      : socket_(connect_unix(socket).value()),
        file_(::memfd_create("driver", MFD_CLOEXEC)),
        size_(size),
        base_(base) {
    if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) throw std::runtime_error("no memory");
    void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    if (mapped == MAP_FAILED) throw std::runtime_error("no memory");
    memory_ = static_cast<std::uint8_t*>(mapped);
  }
  ~VhostDriver() { ::munmap(memory_, size_); }
  VhostDriver(const VhostDriver&) = delete;
  VhostDriver& operator=(const VhostDriver&) = delete;

  std::uint8_t* memory() const { return memory_; }
  int socket() const { return socket_.get(); }

  void ask(vhost_user::Request request, ByteView payload = {}, int fd = -1) {
    const ByteBuffer message = vhost_user::encode(static_cast<std::uint32_t>(request), 0, payload);
    const std::span<const int> files(&fd, fd >= 0 ? 1 : 0);
    if (!send_with_files(socket_.get(), message, files))
      throw std::runtime_error("the device does not listen");
  }
  void share_memory() {
    ask(vhost_user::Request::set_mem_table,
        ByteWriter().le32(1).le32(0).le64(base_).le64(size_).le64(base_).le64(0).take(), file_.get());
  }
  // `at`: where in the memory it begins.
  void enable(std::uint32_t queue, std::uint32_t entries, std::uint64_t at) {
    using vhost_user::Request;
    const std::uint64_t rings = base_ + at;
    ask(Request::set_vring_num, ByteWriter().le32(queue).le32(entries).take());
    ask(Request::set_vring_addr, ByteWriter()
                                     .le32(queue)
                                     .le32(0)
                                     .le64(rings)
                                     .le64(rings + kUsed)
                                     .le64(rings + kAvailable)
                                     .le64(0)
                                     .take());
    ask(Request::set_vring_enable, ByteWriter().le32(queue).le32(1).take());
  }
  void kick(std::uint32_t queue) {
    ask(vhost_user::Request::vring_kick, ByteWriter().le32(queue).le32(0).take());
  }

 private:
  UniqueFd socket_, file_;
  std::uint64_t size_, base_;
  std::uint8_t* memory_ = nullptr;
};

}  // namespace rookery
