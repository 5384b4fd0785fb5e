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
  auto listening = listen_unix(socket);
  if (!listening) return tl::unexpected<Error>(listening.error());
  std::unique_ptr<AnnouncedPort> port(new AnnouncedPort(loop, socket));
  port->listener_ = std::make_unique<Listener>(
      loop, std::move(*listening), [raw = port.get()](UniqueFd peer) { raw->accept(std::move(peer)); });
  return port;
}

AnnouncedPort::~AnnouncedPort() {
  ::unlink(path_.c_str());
}

void AnnouncedPort::accept(UniqueFd peer) {
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

PortLosses AnnouncedPort::losses() const {
  PortLosses losses{.absent = dropped_};
  if (!interface_) return losses;
  const PacketPort::Counters& its = interface_->counters();
  losses.absent += its.dropped_down;
  losses.full = its.dropped_full;
  losses.malformed = its.dropped_malformed + its.dropped_long;
  losses.no_buffer = its.dropped_no_buffer;
  return losses;
}

}  // namespace rookery::netsim
