#include <qmp/qmp.h>

#include <algorithm>
#include <vector>

namespace qmp {
namespace {

// With out-of-band commands enabled QEMU stops reading at eight queued in-band ones (QMP_REQ_QUEUE_LEN_MAX in
// its monitor/qmp.c), and then an out-of-band one cannot overtake them any more. The rest waits here.
constexpr unsigned kInFlight = 7;

Failure failure(Failure::Cause cause, std::string message) {
  return {cause, {}, std::move(message)};
}

}  // namespace

Client::Client(Callbacks callbacks, Time now, std::chrono::nanoseconds patience, Limits limits)
    : callbacks_(std::move(callbacks)),
      limits_(limits),
      decoder_(limits.message),
      handshake_deadline_(now + patience),
      patience_(patience) {}

void Client::execute(const Command& command, Time now, Completion done) {
  using Cause = Failure::Cause;
  if (state_ == State::ended) return done(failure(Cause::not_sent, fault_));
  if (pending_.size() >= limits_.commands)
    return done(failure(Cause::not_sent, "too many commands are waiting for their answers"));
  if (encode(command, last_id_ + 1).size() > limits_.message)
    return done(failure(Cause::not_sent, "the command is too long"));
  if (command.out_of_band && ready() && !greeting_.out_of_band)
    return done(failure(Cause::not_sent, "the peer takes no out-of-band commands"));
  pending_.emplace(++last_id_, Pending{command, std::move(done), now + command.patience});
  if (ready()) send_waiting();
}

void Client::send_waiting() {
  for (auto& [id, waiting] : pending_) {
    if (waiting.sent || (!waiting.command.out_of_band && in_flight_ >= kInFlight)) continue;
    output_ += encode(waiting.command, id);
    waiting.sent = true;
    if (!waiting.command.out_of_band) ++in_flight_;
  }
}

void Client::receive(std::string_view bytes, Time now) {
  if (state_ == State::ended) return;
  decoder_.feed(bytes);
  while (const auto message = decoder_.next()) {
    take(*message, now);
    if (state_ == State::ended) return;
  }
  if (!decoder_.fault().empty()) end(decoder_.fault());
}

void Client::take(const Message& message, Time now) {
  if (const auto* greeting = std::get_if<Greeting>(&message)) {
    if (state_ != State::greeting) return end("the peer greets twice");
    greeting_ = *greeting;
    state_ = State::negotiating;
    handshake_deadline_ = now + patience_;
    Command negotiate{"qmp_capabilities", {}};  // §3
    if (greeting_.out_of_band)
      negotiate.arguments = Value::object().set("enable", Value::array().add(Value::string("oob")));
    output_ += encode(negotiate, 0);
    return;
  }
  if (state_ == State::greeting) return end("the peer did not greet first");
  if (const auto* event = std::get_if<Event>(&message)) {
    if (callbacks_.event) callbacks_.event(*event);
  } else if (const auto* returned = std::get_if<Return>(&message)) {
    answer(returned->id, returned->value);
  } else if (const auto* refused = std::get_if<Refusal>(&message)) {
    if (!refused->id) return end("the peer could not read a command: " + refused->message);
    answer(*refused->id, Failure{Failure::Cause::refused, refused->error_class, refused->message});
  }
}

void Client::answer(std::uint64_t id, const Reply& reply) {
  if (state_ == State::negotiating) {
    if (id != 0) return end("the peer answers a command that it was not given");
    if (const auto* refused = std::get_if<Failure>(&reply))
      return end("the peer does not agree on its capabilities: " + refused->message);
    state_ = State::ready;
    if (callbacks_.ready) callbacks_.ready(greeting_);
    // What waited for an answer that only other peers can give.
    std::vector<Completion> impossible;
    for (auto at = pending_.begin(); at != pending_.end();) {
      const bool possible = at->second.sent || !at->second.command.out_of_band || greeting_.out_of_band;
      if (!possible) impossible.push_back(std::move(at->second.done));
      at = possible ? std::next(at) : pending_.erase(at);
    }
    for (const Completion& done : impossible) {
      if (done) done(failure(Failure::Cause::not_sent, "the peer takes no out-of-band commands"));
    }
    if (ready()) send_waiting();
    return;
  }
  const auto found = pending_.find(id);
  if (found == pending_.end() || !found->second.sent)
    return end("the peer answers a command that it was not given");
  const Pending answered = std::move(found->second);
  pending_.erase(found);
  if (!answered.command.out_of_band) --in_flight_;
  if (answered.done) answered.done(reply);
  if (ready()) send_waiting();
}

std::optional<Client::Time> Client::deadline() const {
  if (state_ == State::ended) return std::nullopt;
  std::optional<Time> first;
  if (state_ != State::ready) first = handshake_deadline_;
  for (const auto& [id, waiting] : pending_) {
    if (waiting.done && (!first || waiting.deadline < *first)) first = waiting.deadline;
  }
  return first;
}

void Client::expire(Time now) {
  if (state_ == State::ended) return;
  if (state_ != State::ready && handshake_deadline_ <= now)
    return end(state_ == State::greeting ? "the peer did not greet in time"
                                         : "the peer did not agree on its capabilities in time");
  std::vector<Completion> late;
  for (auto at = pending_.begin(); at != pending_.end();) {
    Pending& waiting = at->second;
    const bool is_late = waiting.done && waiting.deadline <= now;
    if (is_late) late.push_back(std::exchange(waiting.done, nullptr));
    // What was sent stays: its answer may still come, and is then known.
    at = is_late && !waiting.sent ? pending_.erase(at) : std::next(at);
  }
  for (const Completion& done : late) done(failure(Failure::Cause::timed_out, "no answer in time"));
}

void Client::lost(const std::string& reason) {
  if (state_ != State::ended) end(reason);
}

void Client::end(const std::string& reason) {
  state_ = State::ended;
  fault_ = reason;
  output_.clear();
  for (auto& [id, waiting] : std::exchange(pending_, {})) {
    if (waiting.done) waiting.done(failure(Failure::Cause::lost, reason));
  }
  if (callbacks_.ended) callbacks_.ended(reason);
}

}  // namespace qmp
