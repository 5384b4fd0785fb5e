// Kernel NBD: connect, shake hands, and give the socket to the kernel by generic netlink
// (linux/nbd-netlink.h), so that no process has to stay for it.
#include <arpa/inet.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <netinet/tcp.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <memory>

#include "base/unique_fd.h"
#include "images/initramfs/guest/share.h"
#include "images/initramfs/nbd_handshake.h"

namespace rookery::guest {
namespace {

constexpr std::uint16_t kDefaultPort = 10809;  // IANA: nbd
constexpr int kAttempts = 5;
constexpr long kAnswerSeconds = 10;
// A request that gets no answer for so long has lost its server: the reader gets an error instead of hanging.
constexpr std::uint64_t kRequestSeconds = 60;
constexpr std::uint64_t kDeadConnectionSeconds = 60;
constexpr std::uint32_t kDevice = 0;

Result<UniqueFd> connect_to(const std::string& host, std::uint16_t port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(port);
  const bool is_v4 = inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) {
    return fail("'" + host + "' is not an address (names are not looked up here)");
  }
  UniqueFd fd(socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("a socket");
  timeval limit{kAnswerSeconds, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // bounds connect() too
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto* address =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  if (connect(fd.get(), address, is_v4 ? sizeof v4 : sizeof v6) != 0) {
    if (errno == EINPROGRESS || errno == EAGAIN) return fail("no answer for 10 s");
    return fail(std::strerror(errno));
  }
  return fd;
}

// The server may be starting, or have its hands full with other machines.
Result<UniqueFd> connect_patiently(const std::string& host, std::uint16_t port) {
  for (int attempt = 1; attempt < kAttempts; ++attempt) {
    if (Result<UniqueFd> fd = connect_to(host, port)) return fd;
    const timespec second{1, 0};
    nanosleep(&second, nullptr);
  }
  return connect_to(host, port);
}

Result<NbdExport> shake_hands(int fd, const std::string& name) {
  NbdHandshake handshake(name);
  ByteBuffer part;
  while (!handshake.result()) {
    part.resize(handshake.wanted());
    const ssize_t count = recv(fd, part.data(), part.size(), MSG_WAITALL);
    if (count < 0) return errno == EAGAIN ? fail("the NBD server went silent") : fail_errno("the NBD server");
    if (static_cast<std::size_t>(count) < part.size()) return fail("the NBD server hung up");
    const Result<ByteBuffer> answer = handshake.take(part);
    if (!answer) return tl::unexpected(answer.error());
    if (!answer->empty() && ::send(fd, answer->data(), answer->size(), MSG_NOSIGNAL) < 0) {
      return fail_errno("the NBD server");
    }
  }
  return *handshake.result();
}

std::uint64_t block_size_for(std::uint64_t size) {
  return size % 4096 == 0 ? 4096 : 512;
}

Status give_to_kernel(int fd, const NbdExport& share) {
  const auto free_socket = [](nl_sock* s) { nl_socket_free(s); };
  const auto free_message = [](nl_msg* m) { nlmsg_free(m); };
  const std::unique_ptr<nl_sock, decltype(free_socket)> socket(nl_socket_alloc(), free_socket);
  if (int code = genl_connect(socket.get()); code < 0)
    return fail(std::string("netlink: ") + nl_geterror(code));
  const int family = genl_ctrl_resolve(socket.get(), NBD_GENL_FAMILY_NAME);
  if (family < 0) return fail("this kernel has no network block devices");
  // libnl owns the message from nl_send_sync on.
  std::unique_ptr<nl_msg, decltype(free_message)> message(nlmsg_alloc(), free_message);
  genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, NBD_CMD_CONNECT, NBD_GENL_VERSION);
  nl_msg* const m = message.get();
  nla_put_u32(m, NBD_ATTR_INDEX, kDevice);
  nla_put_u64(m, NBD_ATTR_SIZE_BYTES, share.size);
  nla_put_u64(m, NBD_ATTR_BLOCK_SIZE_BYTES, block_size_for(share.size));
  nla_put_u64(m, NBD_ATTR_SERVER_FLAGS, share.flags | NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY);
  nla_put_u64(m, NBD_ATTR_TIMEOUT, kRequestSeconds);
  nla_put_u64(m, NBD_ATTR_DEAD_CONN_TIMEOUT, kDeadConnectionSeconds);
  nlattr* const sockets = nla_nest_start(m, NBD_ATTR_SOCKETS);
  nlattr* const item = nla_nest_start(m, NBD_SOCK_ITEM);
  nla_put_u32(m, NBD_SOCK_FD, static_cast<std::uint32_t>(fd));
  nla_nest_end(m, item);
  nla_nest_end(m, sockets);
  if (int code = nl_send_sync(socket.get(), message.release()); code < 0) {
    return fail(std::string("the kernel refuses the network block device: ") + nl_geterror(code));
  }
  return {};
}

}  // namespace

Result<std::string> attach_nbd(const ipxe::BootUrl& url) {
  const std::uint16_t port = url.port != 0 ? url.port : kDefaultPort;
  const auto doing = [&url](Error error) {
    return tl::unexpected(std::move(error).while_doing(url.to_string()));
  };
  const Result<UniqueFd> fd = connect_patiently(url.host, port);
  if (!fd) return doing(fd.error());
  const Result<NbdExport> share = shake_hands(fd->get(), url.path.substr(1));
  if (!share) return doing(share.error());
  const timeval forever{};  // from here on the kernel waits, by its own limits
  setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof forever);
  setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
  if (const Status given = give_to_kernel(fd->get(), *share); !given) return doing(given.error());
  return "/dev/nbd" + std::to_string(kDevice);
}

}  // namespace rookery::guest
