#include "netsim/ports/announced.h"

#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unix_socket.h"

namespace rookery::netsim {

Result<std::unique_ptr<AnnouncedPort>> AnnouncedPort::listen(EventLoop& loop,
                                                             const std::filesystem::path& socket) {
  auto listener = listen_unix(socket);
  if (!listener) return tl::unexpected<Error>(listener.error());
  std::unique_ptr<AnnouncedPort> port(new AnnouncedPort(loop, socket));
  port->listener_ = std::move(*listener);
  port->listener_watch_ =
      loop.watch(port->listener_.get(), EPOLLIN, [raw = port.get()](std::uint32_t) { raw->accept(); });
  return port;
}

AnnouncedPort::~AnnouncedPort() {
  ::unlink(path_.c_str());
}

void AnnouncedPort::accept() {
  UniqueFd peer = accept_unix(listener_.get());
  if (!peer) return;
  drop("");
  line_ = std::move(peer);
  line_watch_ = loop_.watch(line_.get(), EPOLLIN, [this](std::uint32_t) { hear(); });
}

void AnnouncedPort::drop(std::string fault) {
  line_watch_.stop();
  line_.reset();
  interface_.reset();
  fault_ = std::move(fault);
}

// The name comes in one piece (it is shorter than any buffer), and nothing behind it.
void AnnouncedPort::hear() {
  std::array<char, IFNAMSIZ> name;
  const ssize_t got = ::recv(line_.get(), name.data(), name.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) return drop("");
  if (interface_) return drop("more than the name of an interface was said");
  auto opened = PacketPort::open(loop_, std::string(name.data(), static_cast<std::size_t>(got)));
  if (!opened) return drop(opened.error().message);
  interface_ = std::move(*opened);
  interface_->connect(inwards_);
}

void AnnouncedPort::send(Frame frame) {
  if (!interface_) {
    ++dropped_;
    return;
  }
  interface_->send(std::move(frame));
}

}  // namespace rookery::netsim
