#include "vboot/run/machine/agent_client.h"

namespace rookery::vboot {

void AgentClient::receive(ByteView frame) {
  const ByteView segment = agent::unwrap_frame(frame);
  if (segment.empty()) {
    ++malformed_;
    return;
  }
  channel_.receive(segment, loop_.now());
  waits_since_ = loop_.now();  // whatever it said, it lives
  while (const auto bytes = channel_.take_message()) {
    const auto message = agent::decode(*bytes);
    if (message) {
      on_message_(*message);
    } else {
      ++malformed_;
    }
  }
  pump();
}

Duration AgentClient::silence() const {
  return channel_.drained() ? Duration{0} : loop_.now() - waits_since_;
}

Status AgentClient::send(const agent::Message& message) {
  if (channel_.drained()) waits_since_ = loop_.now();
  ROOKERY_TRY(channel_.send(agent::encode(message)));
  pump();
  return {};
}

void AgentClient::reset() {
  channel_.reset();
  pump();
}

void AgentClient::resume(agent::Channel channel) {
  channel_ = std::move(channel);
  pump();
}

void AgentClient::pump() {
  while (const auto segment = channel_.next_segment(loop_.now())) {
    transmit_(agent::wrap_frame(machine_, agent::kHostAddress, *segment));
  }
  loop_.cancel(timer_);
  timer_ = {};
  if (const auto deadline = channel_.deadline()) timer_ = loop_.at(*deadline, [this] { pump(); });
}

}  // namespace rookery::vboot
