// libqmp: the QEMU Machine Protocol without a socket and without a clock. Bytes from the peer go into
// Client::receive(), bytes for it come out of Client::take_output(), and the caller says what time it is; so
// the same client runs on any event loop, and in a test. Nothing here throws, blocks or trusts the peer: what
// is not the protocol ends the connection with a reason (fault()), and every queue has a limit.
//
// The protocol: QEMU's docs/interop/qmp-spec.txt; section numbers below are its.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

struct json_object;
struct json_tokener;

namespace qmp {

// A JSON value: a handle to json-c's, shared by its copies (one thread). Empty is JSON's null.
class Value {
 public:
  Value() = default;
  explicit Value(json_object* owned) : object_(owned) {}
  Value(const Value& other);
  Value(Value&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Value& operator=(Value other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Value();

  static Value object();
  static Value array();
  static Value string(std::string_view text);
  static Value integer(std::int64_t number);
  static Value boolean(bool truth);
  static std::optional<Value> parse(std::string_view text);  // one whole value, and nothing after it

  Value& set(const char* key, const Value& value) &;  // of an object; no effect on any other
  Value set(const char* key, const Value& value) && { return set(key, value); }
  Value add(const Value& value) &&;  // of an array; likewise

  bool is_null() const { return object_ == nullptr; }
  bool is_object() const;
  Value find(const char* key) const;  // of an object; null where there is none
  std::size_t size() const;           // of an array; else 0
  Value at(std::size_t index) const;  // of an array; null beyond its end
  std::optional<std::string_view> as_string() const;
  std::optional<std::int64_t> as_integer() const;
  std::optional<bool> as_boolean() const;
  std::string dump() const;  // one line

  json_object* raw() const { return object_; }  // borrowed

 private:
  json_object* object_ = nullptr;
};

struct Greeting {  // §2.2
  int major = 0, minor = 0, micro = 0;
  std::string package;
  bool out_of_band = false;  // the peer can
};
struct Return {  // §2.4.1
  std::uint64_t id = 0;
  Value value;
};
struct Refusal {                    // §2.4.2
  std::optional<std::uint64_t> id;  // none: the peer could not even read the command
  std::string error_class, message;
};
struct Event {  // §2.5
  std::string name;
  Value data;
  std::optional<std::chrono::microseconds> time;  // since 1970, on the peer's clock; none if it has none
};
using Message = std::variant<Greeting, Return, Refusal, Event>;

struct Limits {
  std::size_t message = 1 << 20;  // bytes of one message, either way
  std::size_t commands = 64;      // given and not answered yet
};

// Bytes in, messages out. Once it has a fault it has nothing more to give.
class Decoder {
 public:
  explicit Decoder(std::size_t message_limit = Limits().message);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void feed(std::string_view bytes);  // read them out with next() before feeding more
  std::optional<Message> next();
  const std::string& fault() const { return fault_; }

 private:
  std::optional<Message> read(const Value& value);

  std::unique_ptr<json_tokener, void (*)(json_tokener*)> tokener_;
  std::size_t limit_, length_ = 0;  // of the message that is being read
  std::string rest_;
  std::string fault_;
};

struct Command {
  std::string name;
  Value arguments;
  std::chrono::nanoseconds patience = std::chrono::seconds(10);
  bool out_of_band = false;  // overtakes what is running; needs a peer that can (§2.3.1)
};
std::string encode(const Command& command, std::uint64_t id);

// Why a command has no result.
struct Failure {
  enum class Cause {
    refused,    // the peer says so: error_class, message
    timed_out,  // no answer within its patience; whether it takes effect is not known
    lost,       // the connection ended first
    not_sent    // it cannot be sent: too long, too many, or no such connection
  };
  Cause cause = Cause::refused;
  std::string error_class, message;
};
using Reply = std::variant<Value, Failure>;

// One connection. Callbacks come from within receive(), expire(), lost() and execute(); they may give new
// commands, and must not destroy the client.
class Client {
 public:
  using Time = std::chrono::nanoseconds;  // on the caller's clock, whatever its zero
  using Completion = std::function<void(const Reply&)>;
  struct Callbacks {
    std::function<void(const Greeting&)> ready{};            // commands go out from now on
    std::function<void(const Event&)> event{};               //
    std::function<void(const std::string& reason)> ended{};  // once: nothing comes after it
  };

  // `patience` is how long the peer has for its greeting and for the negotiation after it.
  Client(Callbacks callbacks, Time now, std::chrono::nanoseconds patience = std::chrono::seconds(10),
         Limits limits = {});

  // `done` is called exactly once. Commands given before the client is ready wait for that; their patience
  // counts from now.
  void execute(const Command& command, Time now, Completion done);

  void receive(std::string_view bytes, Time now);
  std::string take_output() { return std::exchange(output_, {}); }
  bool has_output() const { return !output_.empty(); }
  std::optional<Time> deadline() const;  // when expire() has something to do
  void expire(Time now);
  void lost(const std::string& reason);  // the caller's socket ended

  bool ready() const { return state_ == State::ready; }
  const Greeting& greeting() const { return greeting_; }
  const std::string& fault() const { return fault_; }  // why it ended; empty while it has not

 private:
  enum class State { greeting, negotiating, ready, ended };
  struct Pending {
    Command command;
    Completion done;  // empty: given up, and its answer is still to come
    Time deadline;
    bool sent = false;
  };

  void take(const Message& message, Time now);
  void answer(std::uint64_t id, const Reply& reply);
  void send_waiting();
  void end(const std::string& reason);

  Callbacks callbacks_;
  Limits limits_;
  Decoder decoder_;
  State state_ = State::greeting;
  Time handshake_deadline_;
  std::chrono::nanoseconds patience_;
  Greeting greeting_;
  std::map<std::uint64_t, Pending> pending_;  // by id, so in the order in which they were given
  std::uint64_t last_id_ = 0;
  unsigned in_flight_ = 0;  // in-band commands that the peer has not answered
  std::string output_;
  std::string fault_;
};

}  // namespace qmp
