// What the host has started in the machine and hears of: a program, or a stream (a program that reads, or a
// TCP connection to a port of the machine's own). Owned by the agent, which polls for it; destroying it
// closes its descriptors and leaves a program to its own devices.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "guest/program/management.h"
#include "guest/protocol/agent_protocol.h"

namespace rookery::guest {

// Becomes that program, with the environment that the agent's programs have.
[[noreturn]] void become(const std::vector<std::string>& argv);

class Run {
 public:
  // Each of these pieces fits the channel twice over, or nothing is read.
  static constexpr std::size_t kChunk = 16u << 10;

  static Result<Run> program(const std::vector<std::string>& argv, bool is_stream);
  static Result<Run> connection(std::uint16_t port);

  void wait_for(std::vector<pollfd>& waiting, bool has_room) const;
  // Moves what can be moved without waiting.
  void service(std::uint32_t request, Management& management);
  // When this is not empty, all has been said but it.
  std::optional<agent::Exited> finished(std::uint32_t request) const;

  pid_t pid() const { return pid_; }  // -1: no program
  void ended(int status) { status_ = status; }
  void kill();
  // Of a stream; a host that sends beyond the window is cut off.
  void take_input(ByteView bytes);
  void add_credit(std::uint32_t bytes) { credit_ += bytes; }

 private:
  explicit Run(bool is_stream) : is_stream_(is_stream) {}
  bool connect_next();
  void finish_connecting();
  void send_input(std::uint32_t request, Management& management);
  void forward(std::uint32_t request, UniqueFd& pipe, agent::Stream stream, Management& management);

  bool is_stream_;
  pid_t pid_ = -1;
  std::optional<int> status_;  // of the program, once it has been waited for
  UniqueFd out_, err_;
  std::string failure_;  // why there is no connection

  // Of a stream
  UniqueFd in_;
  std::vector<in_addr> addresses_;  // still to be tried, the next one last
  std::uint16_t port_ = 0;
  bool connecting_ = false;
  ByteBuffer input_;  // that is not written yet, from written_ on
  std::size_t written_ = 0;
  bool input_ends_ = false;
  std::uint32_t not_told_ = 0;  // bytes of input taken of which the host has not heard
  std::uint64_t credit_ = agent::kStreamWindow;
};

}  // namespace rookery::guest
