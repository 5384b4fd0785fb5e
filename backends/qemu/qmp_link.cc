#include "backends/qemu/qmp_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unix_socket.h"

namespace rookery::backends {
namespace {

// For a greeting: a busy host starts QEMU slowly.
constexpr Duration kPatience = std::chrono::seconds(60);

}  // namespace

Result<std::unique_ptr<QmpLink>> QmpLink::listen(EventLoop& loop, const std::filesystem::path& socket,
                                                 OnEvent on_event) {
  auto listening = listen_unix(socket);
  if (!listening) return tl::unexpected<Error>(listening.error());
  std::unique_ptr<QmpLink> link(new QmpLink(loop, socket, std::move(on_event)));
  link->listener_ = std::make_unique<Listener>(
      loop, std::move(*listening), [raw = link.get()](UniqueFd peer) { raw->accept(std::move(peer)); });
  return link;
}

QmpLink::~QmpLink() {
  loop_.cancel(deadline_);
  ::unlink(path_.c_str());
}

void QmpLink::starting() {
  fault_.clear();
  unsent_.clear();
  file_.reset();
  client_ = std::make_unique<qmp::Client>(
      qmp::Client::Callbacks{.event = on_event_,
                             .ended = [this](const std::string& reason) { fault_ = reason; }},
      now(), kPatience);
  pump();
}

void QmpLink::ended() {
  if (!connection_) listener_->look();  // so quick that we had not looked
  while (connection_ && readable()) {
  }
  connection_watch_.stop();
  connection_.reset();
  if (client_) client_->lost("QEMU has ended");
  loop_.cancel(std::exchange(deadline_, {}));
}

void QmpLink::accept(UniqueFd peer) {
  if (connection_ || !client_) return;  // only the one that was started
  connection_ = std::move(peer);
  connection_watch_ = loop_.watch(connection_.get(), EPOLLIN, [this](std::uint32_t events) {
    if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) readable();
    pump();
  });
  pump();
}

// False if there is nothing to be read at the moment.
bool QmpLink::readable() {
  std::array<char, 16384> block;
  const ssize_t got = ::recv(connection_.get(), block.data(), block.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got > 0) {
    client_->receive({block.data(), static_cast<std::size_t>(got)}, now());
  } else {
    client_->lost("QEMU closed its QMP connection");
  }
  if (!client_->fault().empty()) {
    connection_watch_.stop();
    connection_.reset();
  }
  return true;
}

void QmpLink::execute(const qmp::Command& command, qmp::Client::Completion done) {
  if (!client_) return done(qmp::Failure{qmp::Failure::Cause::not_sent, {}, "QEMU does not run"});
  client_->execute(command, now(), std::move(done));
  pump();
}

// A descriptor stays with QEMU's connection until a command asks for it (tcp_chr_recv in its chardev/
// char-socket.c), so it may come with whatever is sent first.
void QmpLink::give_file(UniqueFd file, const std::string& name, qmp::Client::Completion done) {
  file_ = std::move(file);
  execute({.name = "getfd",
           .arguments = qmp::Value::object().set("fdname", qmp::Value::string(name)),
           .patience = kPatience},
          std::move(done));
}

// Sends what is to be sent, and has the client looked at when its patience ends.
void QmpLink::pump() {
  unsent_ += client_->take_output();
  while (connection_ && !unsent_.empty()) {
    ssize_t sent = 0;
    if (file_) {
      const int file = file_.get();  // in one piece with so short a message, or not at all
      if (!send_with_files(connection_.get(), as_bytes(unsent_), std::span(&file, 1), MSG_DONTWAIT)) break;
      file_.reset();
      sent = static_cast<ssize_t>(unsent_.size());
    } else {
      sent = ::send(connection_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) break;  // full, or gone: the latter is seen by reading
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
  if (connection_) connection_watch_.want(unsent_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
  loop_.cancel(std::exchange(deadline_, {}));
  const auto deadline = client_->deadline();
  if (!deadline) return;
  deadline_ = loop_.at(Time{*deadline}, [this] {
    deadline_ = {};
    client_->expire(now());
    pump();
  });
}

}  // namespace rookery::backends
