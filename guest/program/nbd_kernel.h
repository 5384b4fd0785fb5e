// The kernel's side of NBD, by generic netlink (linux/nbd-netlink.h): it gets a socket that has shaken hands,
// says when that socket has died, and takes another in its place. Owned by whoever attaches the share.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "guest/storage/nbd_handshake.h"

struct nl_sock;

namespace rookery::guest {

class NbdKernel {
 public:
  // For the first of /dev/nbd0, /dev/nbd1, … that is free.
  static Result<NbdKernel> open();

  // Makes the device, read-only. The kernel keeps the socket.
  Status connect(int fd, const NbdExport& share);
  // For a device whose connection has died: whoever reads from it goes on.
  Status reconnect(int fd);
  // Waits for a connection's death; of those before open() nothing is known.
  void wait_for_death();

  std::string device() const { return "/dev/nbd" + std::to_string(device_); }

 private:
  struct Free {
    void operator()(nl_sock* socket) const;
  };
  using Socket = std::unique_ptr<nl_sock, Free>;

  NbdKernel(Socket orders, Socket news, int family, std::uint32_t device)
      : orders_(std::move(orders)), news_(std::move(news)), family_(family), device_(device) {}

  Socket orders_, news_;
  int family_;
  std::uint32_t device_;
};

}  // namespace rookery::guest
