#include "backends/libvirt/console.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unix_socket.h"

namespace rookery::backends {

Result<std::unique_ptr<ConsoleSocket>> ConsoleSocket::listen(EventLoop& loop,
                                                             const std::filesystem::path& path,
                                                             OnBytes on_bytes, Action on_end) {
  auto listening = listen_unix(path);
  if (!listening) return tl::unexpected<Error>(listening.error());
  std::unique_ptr<ConsoleSocket> console(new ConsoleSocket(loop, path));
  console->on_bytes_ = std::move(on_bytes);
  console->on_end_ = std::move(on_end);
  console->listener_ = std::make_unique<Listener>(
      loop, std::move(*listening), [raw = console.get()](UniqueFd peer) { raw->accept(std::move(peer)); });
  return console;
}

ConsoleSocket::~ConsoleSocket() {
  ::unlink(path_.c_str());
}

void ConsoleSocket::accept(UniqueFd peer) {
  if (connection_) return;
  connection_ = std::move(peer);
  connection_watch_ = loop_.watch(connection_.get(), EPOLLIN, [this](std::uint32_t) { read(); });
}

// One block a turn: others want theirs.
void ConsoleSocket::read() {
  std::array<char, 16384> block;
  const ssize_t got = ::recv(connection_.get(), block.data(), block.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) return on_bytes_({block.data(), static_cast<std::size_t>(got)});
  connection_watch_.stop();
  connection_.reset();
  on_end_();
}

bool ConsoleSocket::connected() {
  if (!connection_) listener_->look();  // so quick that we had not looked
  return static_cast<bool>(connection_);
}

void ConsoleSocket::write(std::string_view bytes) {
  if (connection_) (void)!::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace rookery::backends
