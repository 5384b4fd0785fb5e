// The supervisor's end of one machine's agent channel: frames of the management NIC in and out, typed
// messages to and from the rest of vboot. Owned by the machine's Node; keeps its own retransmission timer on
// the loop.
#pragma once

#include <functional>

#include "base/loop/event_loop.h"
#include "guest/protocol/agent_channel.h"
#include "guest/protocol/agent_protocol.h"

namespace rookery::vboot {

class AgentClient {
 public:
  using OnMessage = std::function<void(const agent::Message&)>;
  using Transmit = std::function<void(ByteView frame)>;

  AgentClient(EventLoop& loop, const agent::MacAddress& machine, OnMessage on_message, Transmit transmit)
      : loop_(loop), machine_(machine), on_message_(std::move(on_message)), transmit_(std::move(transmit)) {}
  ~AgentClient() { loop_.cancel(timer_); }
  AgentClient(const AgentClient&) = delete;
  AgentClient& operator=(const AgentClient&) = delete;

  void receive(ByteView frame);
  // Refused while the machine has not spoken yet, or does not take what it was sent.
  Status send(const agent::Message& message);
  bool in_session() const { return channel_.in_session(); }
  // How long the machine has not acknowledged what it was sent; none if it has acknowledged all.
  Duration silence() const;
  void reset();  // the machine was powered off
  // The conversation as it is now, and to go on from there again: for snapshots.
  agent::Channel channel() const { return channel_; }
  void resume(agent::Channel channel);

  std::uint64_t malformed() const { return malformed_ + channel_.counters().malformed; }

 private:
  void pump();

  EventLoop& loop_;
  agent::MacAddress machine_;
  OnMessage on_message_;
  Transmit transmit_;
  agent::Channel channel_ = agent::Channel::host();
  EventId timer_;
  Time waits_since_{};  // for an answer, if there is something that it has not acknowledged
  std::uint64_t malformed_ = 0;
};

}  // namespace rookery::vboot
