#include "backends/uml/time_travel/controller.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unix_socket.h"

namespace rookery::backends::time_travel {

Result<std::unique_ptr<Controller>> Controller::listen(EventLoop& loop, const std::filesystem::path& socket) {
  auto listener = listen_unix(socket);
  if (!listener) return tl::unexpected<Error>(listener.error());
  std::unique_ptr<Controller> controller(new Controller(loop, socket));
  controller->listener_ = std::move(*listener);
  controller->listener_watch_ = loop.watch(controller->listener_.get(), EPOLLIN,
                                           [raw = controller.get()](std::uint32_t) { raw->accept(); });
  return controller;
}

Controller::~Controller() {
  loop_.cancel(requested_);
  ::unlink(path_.c_str());
}

void Controller::starting() {
  running_ = loop_.hold();
}

void Controller::ended() {
  loop_.cancel(requested_);
  requested_ = {};
  connection_watch_.stop();
  connection_.reset();
  input_.clear();
  running_.release();
}

// A first connection, or that of a guest that has restarted (it was running, and still holds time).
void Controller::accept() {
  UniqueFd peer = accept_unix(listener_.get());
  if (!peer) return;
  loop_.cancel(requested_);
  requested_ = {};
  connection_watch_.stop();
  connection_ = std::move(peer);
  input_.clear();
  connection_watch_ = loop_.watch(connection_.get(), EPOLLIN, [this](std::uint32_t) { readable(); });
}

void Controller::readable() {
  std::array<std::uint8_t, 64 * kMessageSize> block;
  const ssize_t got = ::recv(connection_.get(), block.data(), block.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    // It restarts or it dies. Either way it was running and keeps holding time, until the one or the other is
    // seen.
    connection_watch_.stop();
    connection_.reset();
    return;
  }
  input_.insert(input_.end(), block.begin(), block.begin() + got);
  std::size_t used = 0;
  while (input_.size() - used >= kMessageSize) {
    const Message message = parse_message(ByteView(input_).subspan(used, kMessageSize));
    used += kMessageSize;
    handle(message);
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
}

std::uint64_t Controller::guest_now() const {
  return static_cast<std::uint64_t>((loop_.now() - started_).count());
}

void Controller::handle(const Message& message) {
  switch (message.operation) {
    case Operation::ack:
      return;
    case Operation::start:
      started_ = loop_.now();
      return answer(message, message.time);
    case Operation::request:
      request(message.time);
      return answer(message, 0);
    case Operation::wait:
      answer(message, 0);
      running_.release();
      return;
    case Operation::get:
      return answer(message, guest_now());
    case Operation::get_time_of_day:
      return answer(message, kTimeOfDayAtStart + static_cast<std::uint64_t>(loop_.now().since_start.count()));
    case Operation::update:
    case Operation::broadcast:
    case Operation::run:
    case Operation::free_until:
      return answer(message, 0);
  }
  answer(message, 0);  // an operation of a later kernel: acknowledged, so that the guest goes on
}

void Controller::request(std::uint64_t guest_time) {
  loop_.cancel(requested_);
  requested_ = {};
  constexpr std::uint64_t kNever = 1ull << 62;  // the guest says S64_MAX for "until something happens"
  if (guest_time >= kNever) return;
  requested_ = loop_.at(started_ + Duration(guest_time), [this] { grant(); });
}

void Controller::grant() {
  requested_ = {};
  running_ = loop_.hold();
  send(Message{Operation::run, ++sequence_, guest_now()});
}

void Controller::answer(const Message& message, std::uint64_t time) {
  send(Message{Operation::ack, message.sequence, time});
}

void Controller::send(const Message& message) {
  const ByteBuffer bytes = encode(message);
  // Lost only if the guest is gone, which its process tells.
  (void)!::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

}  // namespace rookery::backends::time_travel
