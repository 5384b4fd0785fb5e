// The kernel's side of NBD, by generic netlink (linux/nbd-netlink.h): it gets a socket that has shaken hands,
// says when that socket has died, and takes another in its place. Owned by whoever attaches the share; the
// one device is /dev/nbd0.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "images/initramfs/nbd_handshake.h"

struct nl_sock;

namespace rookery::guest {

class NbdKernel {
 public:
  static Result<NbdKernel> open();

  // Makes the device, read-only. The kernel keeps the socket.
  Status connect(int fd, const NbdExport& share);
  // For a device whose connection has died: whoever reads from it goes on.
  Status reconnect(int fd);
  // Waits for a connection's death; of those before open() nothing is known.
  void wait_for_death();

  static std::string device();

 private:
  struct Free {
    void operator()(nl_sock* socket) const;
  };
  using Socket = std::unique_ptr<nl_sock, Free>;

  NbdKernel(Socket orders, Socket news, int family)
      : orders_(std::move(orders)), news_(std::move(news)), family_(family) {}

  Socket orders_, news_;
  int family_;
};

}  // namespace rookery::guest
