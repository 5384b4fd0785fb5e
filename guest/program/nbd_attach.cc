// Kernel NBD: connect, shake hands, and give the socket to the kernel; when it has died, do so again.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/unique_fd.h"
#include "guest/program/nbd_kernel.h"
#include "guest/program/share.h"
#include "guest/program/system.h"
#include "guest/storage/nbd_handshake.h"

namespace rookery::guest {
namespace {

constexpr std::uint16_t kDefaultPort = 10809;  // IANA: nbd
constexpr int kAttempts = 5;
constexpr long kAnswerSeconds = 10;
constexpr int kSilentSeconds = 30;
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

struct Connection {
  UniqueFd fd;
  NbdExport share;
};

Result<Connection> reach(const ipxe::BootUrl& url) {
  Result<UniqueFd> fd = connect_to(url.host, url.port != 0 ? url.port : kDefaultPort);
  if (!fd) return tl::unexpected(fd.error());
  const Result<NbdExport> share = shake_hands(fd->get(), url.path.substr(1));
  if (!share) return tl::unexpected(share.error());
  const timeval forever{};  // from here on the kernel waits, by its own limits
  setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof forever);
  setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
  // The kernel's limit on a request does not count once its answer has begun, and a server that loses its
  // power then leaves nothing to wait for: who hears nothing asks whether anybody is there.
  const auto set = [&fd](int level, int option, int value) {
    setsockopt(fd->get(), level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kSilentSeconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  return Connection{std::move(*fd), *share};
}

// The server may be starting, or have its hands full with other machines.
Result<Connection> reach_patiently(const ipxe::BootUrl& url) {
  for (int attempt = 1;; ++attempt) {
    Result<Connection> connection = reach(url);
    if (connection) return connection;
    if (attempt == kAttempts) return fail(connection.error().message + " (tried 5 times)");
    sleep(1u << (attempt - 1));
  }
}

// A process of its own, for as long as the machine runs: the share's server may go and come back, and then
// somebody must connect anew who needs nothing of the share for it. It was forked in the initramfs, and reads
// no file.
[[noreturn]] void keep(NbdKernel kernel, const ipxe::BootUrl& url, std::uint64_t size) {
  constexpr unsigned kPauseMax = 8;
  while (true) {
    kernel.wait_for_death();
    say("the connection to " + url.to_string() + " is lost; trying again");
    for (unsigned pause = 1;; pause = std::min(2 * pause, kPauseMax)) {
      const Result<Connection> connection = reach(url);
      if (connection && connection->share.size != size) {
        say(url.to_string() + " is another share now: its readers wait in vain");
        _exit(1);
      }
      if (connection) {
        const Status given = kernel.reconnect(connection->fd.get());
        say(given ? url.to_string() + " is back" : given.error().message);
        break;
      }
      sleep(pause);
    }
  }
}

Status start_keeper(NbdKernel kernel, const ipxe::BootUrl& url, std::uint64_t size) {
  const pid_t child = fork();
  if (child < 0) return fail_errno("starting the share's keeper");
  if (child > 0) return {};
  setsid();
  prctl(PR_SET_NAME, "share-keeper");
  set_program_name("share");
  keep_when_memory_is_short();
  keep(std::move(kernel), url, size);
}

}  // namespace

Result<std::string> attach_nbd(const ipxe::BootUrl& url) {
  const auto doing = [&url](Error error) {
    return tl::unexpected(std::move(error).while_doing(url.to_string()));
  };
  // Before the connection is: no death of it is missed.
  Result<NbdKernel> kernel = NbdKernel::open();
  if (!kernel) return doing(kernel.error());
  const Result<Connection> connection = reach_patiently(url);
  if (!connection) return doing(connection.error());
  if (const Status given = kernel->connect(connection->fd.get(), connection->share); !given)
    return doing(given.error());
  const std::string device = kernel->device();
  if (const Status kept = start_keeper(std::move(*kernel), url, connection->share.size); !kept)
    return doing(kept.error());
  return device;
}

}  // namespace rookery::guest
