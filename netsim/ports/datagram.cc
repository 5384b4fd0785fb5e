#include "netsim/ports/datagram.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/unix_socket.h"
#include "netsim/segment.h"

namespace rookery::netsim {

Result<std::unique_ptr<DatagramPort>> DatagramPort::bind(EventLoop& loop,
                                                         const std::filesystem::path& socket) {
  auto ours = bind_unix_datagrams(socket);
  if (!ours) return tl::unexpected<Error>(ours.error());
  std::unique_ptr<DatagramPort> port(new DatagramPort(loop, socket));
  port->ours_ = std::move(*ours);
  port->buffer_.resize(kLargestFrame + 1);
  port->ours_watch_ =
      loop.watch(port->ours_.get(), EPOLLIN, [raw = port.get()](std::uint32_t) { raw->receive(); });
  return port;
}

DatagramPort::~DatagramPort() {
  ::unlink(path_.c_str());
}

void DatagramPort::receive() {
  turn_.renew(loop_.turns());
  while (turn_.left()) {
    const ssize_t got = ::recv(ours_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0) return;
    const auto size = static_cast<std::size_t>(got);
    turn_.spend(1, 0, size);
    if (size < kSmallestFrame || size > kLargestFrame) {
      ++counters_.dropped_bad;
    } else if (Frame frame = Frame::copy(ByteView(buffer_).first(size), share_)) {
      ++counters_.from_guest;
      next().send(std::move(frame));
    } else {
      ++counters_.dropped_no_buffer;
    }
  }
}

void DatagramPort::send(Frame frame) {
  if (is_finished(frame)) return put(std::move(frame));
  send_finished(frame, finished_);
}

void DatagramPort::put(Frame frame) {
  if (!backlog_.empty() && backlog_bytes_ + frame.size() > kBacklogBytes) {
    ++counters_.dropped_full;
    return;
  }
  Sent sent = Sent::later;
  if (backlog_.empty()) {
    sent = try_to_send(frame);
    if (sent == Sent::nobody && find_machine()) sent = try_to_send(frame);
  }
  if (sent == Sent::nobody) ++counters_.dropped_absent;
  if (sent != Sent::later) return;
  backlog_bytes_ += frame.size();
  backlog_.push_back(std::move(frame));
  if (backlog_.size() == 1)
    theirs_watch_ = loop_.watch(theirs_.get(), EPOLLOUT, [this](std::uint32_t) { flush(); });
}

// One that restarted has a new socket, at the same place.
bool DatagramPort::find_machine() {
  auto found = connect_unix_datagrams(path_.string() + kMachine);
  if (!found) return false;
  theirs_ = std::move(*found);
  return true;
}

DatagramPort::Sent DatagramPort::try_to_send(const Frame& frame) {
  if (!theirs_) return Sent::nobody;
  if (::send(theirs_.get(), frame.bytes().data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
    ++counters_.to_guest;
    return Sent::yes;
  }
  if (errno == EAGAIN) return Sent::later;
  theirs_watch_.stop();
  theirs_.reset();
  return Sent::nobody;
}

void DatagramPort::flush() {
  while (!backlog_.empty()) {
    const Sent sent = try_to_send(backlog_.front());
    if (sent == Sent::later) return;
    if (sent == Sent::nobody) {  // what waited is lost with the machine that it was for
      counters_.dropped_absent += backlog_.size();
      backlog_.clear();
      backlog_bytes_ = 0;
      return;
    }
    backlog_bytes_ -= backlog_.front().size();
    backlog_.pop_front();
  }
  theirs_watch_.stop();
}

}  // namespace rookery::netsim
