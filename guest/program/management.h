// The guest's end of the agent channel on the management NIC: socket, channel and typed messages in one.
// Owned by the program that runs; stage two hands its session to the agent by fork.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "guest/program/network.h"
#include "guest/protocol/agent_channel.h"
#include "guest/protocol/agent_protocol.h"

namespace rookery::guest {

class Management {
 public:
  // Brings the NIC up and begins a session, of which the first word is Hello.
  static Result<Management> open(const Interface& interface, agent::Program program, agent::Source source);

  // Queues and sends; what does not fit is dropped and counted on the console (it is bounded by whoever sends
  // much).
  void send(const agent::Message& message);
  bool has_room(std::size_t bytes) const { return channel_.queued_bytes() + bytes <= kRoom; }

  int descriptor() const { return socket_.get(); }
  // Reads what has come and sends what is due. Call when the descriptor is readable and at the deadline.
  void service();
  std::optional<agent::Message> next_message();
  // Milliseconds until service() is due, for poll(); -1: only when something comes.
  int poll_timeout() const;

  // Waits until everything sent has arrived; gives up after `limit`.
  void flush(Duration limit);
  // Waits for one message at most that long.
  std::optional<agent::Message> wait_message(Duration limit);

 private:
  static constexpr std::size_t kRoom = 128u << 10;  // beyond that, output waits in its pipes

  Management(UniqueFd socket, int interface, std::uint32_t epoch)
      : socket_(std::move(socket)), interface_(interface), channel_(agent::Channel::guest(epoch)) {}
  void transmit();
  void wait_readable(Time until);

  UniqueFd socket_;
  int interface_;
  agent::Channel channel_;
};

// What a boot program tells of its way: on the console, and to the supervisor if there is one.
class Report {
 public:
  Report(agent::Program program, agent::Source source, const std::optional<Interface>& management);

  void stage(agent::BootStage stage, const std::string& detail);
  // The boot script has a word that nobody here knows, and went on.
  void guessed(const std::string& what);
  // The boot script wants the machine to begin anew.
  [[noreturn]] void restarting(const std::string& reason);
  // The end of this boot: says why, and powers the machine off.
  [[noreturn]] void failed(agent::BootStage stage, const std::string& reason);
  Management* management() { return management_ ? &*management_ : nullptr; }

 private:
  std::optional<Management> management_;
};

}  // namespace rookery::guest
