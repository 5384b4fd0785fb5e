#include "vboot/cli/stream_pump.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace rookery::vboot {
namespace {

constexpr std::size_t kBlock = 64u << 10;

// Both directions at once: neither waits for the other.
class Pump {
 public:
  Pump(OpenStream stream, const PumpEnds& ends)
      : connection_(std::move(stream.connection)), ends_(ends), in_(ends.in), out_(ends.out) {
    frames_.feed(as_bytes(stream.first));
  }

  Result<int> run() {
    ROOKERY_TRY(take_frames());
    while (!code_ || !to_out_.empty()) {
      if (out_ < 0 && gone_) return fail(ErrorKind::expectation, "nobody takes what the machine sends");
      std::array<pollfd, 4> waiting{{
          {to_machine_.empty() ? in_ : -1, POLLIN, 0},
          {to_out_.empty() ? connection_.get() : -1, POLLIN, 0},
          {to_machine_.empty() ? -1 : connection_.get(), POLLOUT, 0},
          {to_out_.empty() ? -1 : out_, POLLOUT, 0},
      }};
      if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return fail_errno("poll");
      if (waiting[0].revents != 0) ROOKERY_TRY(read_input());
      if (waiting[1].revents != 0) ROOKERY_TRY(read_machine());
      if (waiting[2].revents != 0) ROOKERY_TRY(write_machine());
      if (waiting[3].revents != 0) ROOKERY_TRY(write_output());
    }
    end_output();
    return *code_;
  }

 private:
  Status read_input() {
    std::array<std::uint8_t, kBlock> block;
    const ssize_t got = ::read(in_, block.data(), block.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    if (got <= 0) {
      in_ = -1;
      if (ends_.on_input_end) ROOKERY_TRY(ends_.on_input_end());
      ::shutdown(connection_.get(), SHUT_WR);
      return {};
    }
    to_machine_.assign(block.begin(), block.begin() + got);
    return write_machine();
  }

  Status write_machine() {
    const ssize_t sent =
        ::send(connection_.get(), to_machine_.data(), to_machine_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (sent < 0) {  // it has said its last word, which is still to be read
      to_machine_.clear();
      in_ = -1;
      return {};
    }
    to_machine_.erase(to_machine_.begin(), to_machine_.begin() + sent);
    return {};
  }

  Status read_machine() {
    std::array<std::uint8_t, kBlock> block;
    const ssize_t got = ::recv(connection_.get(), block.data(), block.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (got <= 0) return fail("the lab's supervisor is gone");
    frames_.feed(ByteView(block).first(static_cast<std::size_t>(got)));
    return take_frames();
  }

  // All that are whole: together they are at most what was read, and a frame.
  Status take_frames() {
    while (auto frame = frames_.next()) {
      if (!*frame) return tl::unexpected<Error>(frame->error());
      const ByteBuffer& bytes = (*frame)->bytes;
      switch ((*frame)->kind) {
        case StreamFrame::Kind::out:
          if (out_ >= 0) to_out_.insert(to_out_.end(), bytes.begin(), bytes.end());
          break;
        case StreamFrame::Kind::err:
          (void)!::write(2, bytes.data(), bytes.size());
          break;
        case StreamFrame::Kind::out_ends:
          out_ends_ = true;
          break;
        case StreamFrame::Kind::exited:
          code_ = bytes.front();
          break;
        case StreamFrame::Kind::lost:
          return fail(ErrorKind::expectation, std::string(as_text(bytes)));
      }
    }
    if (out_ends_ && to_out_.empty()) end_output();
    return {};
  }

  Status write_output() {
    ssize_t sent = ::send(out_, to_out_.data(), to_out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == ENOTSOCK) {
      // A pipe that is ready takes so much without waiting (pipe(7)); one that never makes us wait, all it
      // can.
      const bool waits = (::fcntl(out_, F_GETFL) & O_NONBLOCK) == 0;
      sent = ::write(out_, to_out_.data(),
                     waits ? std::min<std::size_t>(to_out_.size(), PIPE_BUF) : to_out_.size());
    }
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (sent < 0) {
      to_out_.clear();
      out_ = -1;
      gone_ = true;
      return {};
    }
    to_out_.erase(to_out_.begin(), to_out_.begin() + sent);
    if (out_ends_ && to_out_.empty()) end_output();
    return {};
  }

  void end_output() {
    if (out_ < 0) return;
    if (::shutdown(out_, SHUT_WR) != 0) ::close(out_);
    out_ = -1;
  }

  UniqueFd connection_;
  const PumpEnds& ends_;
  int in_, out_;  // -1: ended
  StreamFrameReader frames_;
  ByteBuffer to_machine_, to_out_;
  bool out_ends_ = false;
  bool gone_ = false;  // who took our output
  std::optional<int> code_;
};

}  // namespace

Result<OpenStream> open_stream(const LabChoice& lab, const StreamRequest& request) {
  auto client = connect(lab);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto answer = client->stream(request, [](const ControlEvent&) { return Status{}; });
  if (!answer) return tl::unexpected<Error>(answer.error());
  OpenStream stream;
  std::tie(stream.connection, stream.first) = std::move(*client).take();
  return stream;
}

Result<int> pump(OpenStream stream, const PumpEnds& ends) {
  return Pump(std::move(stream), ends).run();
}

}  // namespace rookery::vboot
