#include "netsim/ports/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/unix_socket.h"
#include "netsim/segment.h"

namespace rookery::netsim {
namespace {

constexpr std::size_t kReadAtOnce = 1 << 16;
constexpr std::size_t kBacklogBytes = 1 << 20;  // as a switch's port buffer

}  // namespace

std::span<std::uint8_t> StreamFraming::room() {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
  end_ -= begin_;
  begin_ = 0;
  buffer_.resize(end_ + kReadAtOnce);
  return std::span(buffer_).subspan(end_);
}

std::optional<ByteView> StreamFraming::next() {
  while (fault_.empty()) {
    ByteReader reader(ByteView(buffer_).subspan(begin_, end_ - begin_));
    const std::uint32_t length = reader.be32();
    if (!reader.ok()) return std::nullopt;
    if (length > kLargestFrame) {
      fault_ = "a frame of " + std::to_string(length) + " bytes on a stream of frames";
      return std::nullopt;
    }
    const ByteView frame = reader.take(length);
    if (!reader.ok()) return std::nullopt;
    begin_ += kPrefix + length;
    if (length >= kSmallestFrame) return frame;
    ++skipped_;
  }
  return std::nullopt;
}

Result<std::unique_ptr<StreamPort>> StreamPort::listen(EventLoop& loop, const std::filesystem::path& socket) {
  auto listening = listen_unix(socket);
  if (!listening) return tl::unexpected<Error>(listening.error());
  std::unique_ptr<StreamPort> port(new StreamPort(loop, socket));
  port->listener_ = std::make_unique<Listener>(
      loop, std::move(*listening), [raw = port.get()](UniqueFd peer) { raw->accept(std::move(peer)); });
  return port;
}

StreamPort::~StreamPort() {
  loop_.cancel(flush_);
  loop_.cancel(resume_);
  ::unlink(path_.c_str());
}

// A machine that restarts connects again; its new connection replaces the old.
void StreamPort::accept(UniqueFd peer) {
  drop("");
  connection_ = std::move(peer);
  connection_watch_ =
      loop_.watch(connection_.get(), EPOLLIN, [this](std::uint32_t events) { ready(events); });
}

void StreamPort::drop(std::string fault) {
  fault_ = std::move(fault);
  connection_watch_.stop();
  connection_.reset();
  framing_ = StreamFraming();
  output_.clear();
  written_ = 0;
  blocked_ = false;
  loop_.cancel(std::exchange(flush_, {}));
  loop_.cancel(std::exchange(resume_, {}));
}

void StreamPort::ready(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    connection_watch_.want(EPOLLIN);
    flush();
  }
  if (connection_ && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive();
}

// A turn's share. What was read and is left over goes on in the next turn, for no descriptor tells of it.
void StreamPort::receive() {
  turn_.renew(loop_.turns());
  for (bool more = true; turn_.left();) {
    take_frames();
    if (!framing_.fault().empty()) return drop(framing_.fault());
    if (!turn_.left()) break;
    if (!more) return;
    const std::span<std::uint8_t> room = framing_.room();
    const ssize_t got = ::recv(connection_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return drop("");
    framing_.filled(static_cast<std::size_t>(got));
    more = static_cast<std::size_t>(got) == room.size();
  }
  if (resume_) return;
  resume_ = loop_.soon([this] {
    resume_ = {};
    receive();
  });
}

void StreamPort::take_frames() {
  while (turn_.left()) {
    const auto bytes = framing_.next();
    const std::uint64_t skipped = framing_.take_skipped();
    counters_.dropped_short += skipped;
    turn_.spend(skipped, 0, 0);
    if (!bytes) return;
    turn_.spend(1, 0, bytes->size());
    Frame frame = Frame::copy(*bytes, share_);
    if (!frame) {
      ++counters_.dropped_no_buffer;
      continue;
    }
    ++counters_.from_guest;
    next().send(std::move(frame));
  }
}

void StreamPort::send(Frame frame) {
  if (is_finished(frame)) return put(frame);
  send_finished(frame, finished_);
}

void StreamPort::put(const Frame& frame) {
  if (!connection_) {
    ++counters_.dropped_absent;
    return;
  }
  if (output_.size() - written_ + frame.size() + StreamFraming::kPrefix > kBacklogBytes) {
    ++counters_.dropped_full;
    return;
  }
  const auto size = static_cast<std::uint32_t>(frame.size());
  for (int shift = 24; shift >= 0; shift -= 8) output_.push_back(static_cast<std::uint8_t>(size >> shift));
  output_.insert(output_.end(), frame.bytes().begin(), frame.bytes().end());
  ++counters_.to_guest;
  // All that comes in this turn goes out at once.
  if (!flush_ && !blocked_) flush_ = loop_.soon([this] { flush(); });
}

void StreamPort::flush() {
  flush_ = {};
  while (written_ < output_.size()) {
    const ssize_t sent = ::send(connection_.get(), output_.data() + written_, output_.size() - written_,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      // Full: the rest goes when there is room. Anything else shows on the connection as well.
      blocked_ = true;
      if (errno == EAGAIN) connection_watch_.want(EPOLLIN | EPOLLOUT);
      break;
    }
    written_ += static_cast<std::size_t>(sent);
  }
  output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(written_));
  written_ = 0;
}

}  // namespace rookery::netsim
