// One stream between a command and a machine: a connection to a TCP port of the machine's, or a program that
// reads what it is sent (agent::Open). Bytes come bare from the command's socket and go back as frames
// (vboot/control/stream_frames.h). Each side waits when the other does not read: never more than
// agent::kStreamWindow is on its way in either direction, whatever command and machine do. Owned by the
// control server; the machine outlives it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop/event_loop.h"
#include "base/unique_fd.h"
#include "vboot/run/machine/stream_host.h"

namespace rookery::vboot {

class StreamRelay {
 public:
  // Called once, when there is nothing more to relay; it may not destroy the relay at once.
  using Gone = std::function<void()>;

  // `before` goes to the command first: the answer that makes the connection a stream.
  StreamRelay(EventLoop& loop, UniqueFd command, StreamHost& machine, std::string_view before, Gone gone);
  ~StreamRelay();
  StreamRelay(const StreamRelay&) = delete;
  StreamRelay& operator=(const StreamRelay&) = delete;

  void open(std::uint16_t port, const std::vector<std::string>& argv);
  // Ends it, and tells the command why.
  void give_up(const std::string& why);

 private:
  void ready(std::uint32_t events);
  void read_command();
  void write_command();
  void output(agent::Stream stream, ByteView bytes);
  void exited(const Result<int>& code);
  void taken(std::uint32_t bytes);
  // The last word to the command.
  void end(ByteView frame);
  void lose(const std::string& why);
  void leave();
  void watch_what_matters();

  EventLoop& loop_;
  UniqueFd command_;
  StreamHost& machine_;
  Gone gone_;
  Watch watch_;
  std::uint32_t wanted_ = 0;
  std::uint32_t request_ = 0;  // 0: the machine has nothing to do with it (any more)
  ByteBuffer to_command_;
  std::size_t written_ = 0;
  std::uint32_t credit_ = agent::kStreamWindow;  // what the machine still takes
  std::uint32_t not_told_ = 0;                   // bytes of its output that it has not heard to be taken
  bool command_ended_ = false;                   // it will send no more
  bool ending_ = false;                          // the last word is written, or is to be
  bool left_ = false;
};

}  // namespace rookery::vboot
