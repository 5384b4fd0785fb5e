#include "vboot/run/machine/stream_relay.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "vboot/control/stream_frames.h"

namespace rookery::vboot {

StreamRelay::StreamRelay(EventLoop& loop, UniqueFd command, StreamHost& machine, std::string_view before,
                         Gone gone)
    : loop_(loop), command_(std::move(command)), machine_(machine), gone_(std::move(gone)) {
  const ByteView first = as_bytes(before);
  to_command_.assign(first.begin(), first.end());
}

StreamRelay::~StreamRelay() {
  if (request_ != 0) machine_.cancel_exec(request_);
}

void StreamRelay::open(std::uint16_t port, const std::vector<std::string>& argv) {
  watch_ = loop_.watch(command_.get(), 0, [this](std::uint32_t events) { ready(events); });
  ExecEvents events;
  events.output = [this](agent::Stream stream, ByteView bytes) { output(stream, bytes); };
  events.exited = [this](const Result<int>& code) { exited(code); };
  events.taken = [this](std::uint32_t bytes) { taken(bytes); };
  const auto request = machine_.open(port, argv, std::move(events));
  if (!request) return lose(request.error().message);
  request_ = *request;
  write_command();
}

void StreamRelay::ready(std::uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return leave();
  if ((events & EPOLLIN) != 0) read_command();
  if ((events & EPOLLOUT) != 0) write_command();
}

void StreamRelay::read_command() {
  std::array<std::uint8_t, agent::kStreamWindow> block;
  const ssize_t got =
      ::recv(command_.get(), block.data(), std::min<std::size_t>(block.size(), credit_), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return leave();
  const auto count = static_cast<std::uint32_t>(got);
  command_ended_ = count == 0;
  credit_ -= count;
  if (const Status sent = machine_.stream_input(request_, ByteView(block).first(count)); !sent)
    return lose(sent.error().message);
  watch_what_matters();
}

void StreamRelay::write_command() {
  while (written_ < to_command_.size() && !left_) {
    const ssize_t sent = ::send(command_.get(), to_command_.data() + written_, to_command_.size() - written_,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return leave();
    written_ += static_cast<std::size_t>(sent);
  }
  if (written_ == to_command_.size()) {
    to_command_.clear();
    written_ = 0;
    if (ending_) return leave();
    if (request_ != 0 && not_told_ >= agent::kStreamTakenEvery) {
      if (const Status sent = machine_.stream_taken(request_, not_told_); !sent)
        return lose(sent.error().message);
      not_told_ = 0;
    }
  }
  watch_what_matters();
}

void StreamRelay::output(agent::Stream stream, ByteView bytes) {
  if (ending_) return;
  if (bytes.size() > agent::kStreamWindow - not_told_)
    return lose("the machine sends more than it was asked for");
  not_told_ += static_cast<std::uint32_t>(bytes.size());
  const auto kind = bytes.empty()                  ? StreamFrame::Kind::out_ends
                    : stream == agent::Stream::out ? StreamFrame::Kind::out
                                                   : StreamFrame::Kind::err;
  append_frame(to_command_, kind, bytes);
  write_command();
}

void StreamRelay::taken(std::uint32_t bytes) {
  if (bytes > agent::kStreamWindow - credit_) return lose("the machine takes more than it was sent");
  credit_ += bytes;
  watch_what_matters();
}

void StreamRelay::exited(const Result<int>& code) {
  request_ = 0;
  if (!code) return lose(code.error().message);
  ByteBuffer frame;
  const auto byte = static_cast<std::uint8_t>(*code);
  append_frame(frame, StreamFrame::Kind::exited, ByteView(&byte, 1));
  end(frame);
}

void StreamRelay::lose(const std::string& why) {
  ByteBuffer frame;
  append_frame(frame, StreamFrame::Kind::lost, as_bytes(why));
  end(frame);
}

void StreamRelay::give_up(const std::string& why) {
  if (request_ != 0) machine_.cancel_exec(std::exchange(request_, 0));
  lose(why);
}

void StreamRelay::end(ByteView frame) {
  if (ending_) return;
  ending_ = true;
  to_command_.insert(to_command_.end(), frame.begin(), frame.end());
  write_command();
}

void StreamRelay::leave() {
  if (std::exchange(left_, true)) return;
  watch_.stop();
  command_.reset();
  gone_();
}

void StreamRelay::watch_what_matters() {
  if (left_) return;
  const bool reads = !command_ended_ && !ending_ && credit_ > 0;
  const bool writes = written_ < to_command_.size();
  const std::uint32_t wanted = (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u);
  if (wanted != wanted_) watch_.want(wanted);
  wanted_ = wanted;
}

}  // namespace rookery::vboot
