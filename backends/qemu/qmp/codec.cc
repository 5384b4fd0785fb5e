#include <json-c/json.h>
#include <qmp/qmp.h>

namespace qmp {
namespace {

constexpr int kDepth = 64;  // levels of one message; QEMU's deepest answers (query-qmp-schema) have fewer

std::optional<std::uint64_t> id_of(const Value& message) {
  const auto id = message.find("id").as_integer();
  return id && *id >= 0 ? std::optional<std::uint64_t>(static_cast<std::uint64_t>(*id)) : std::nullopt;
}

std::string text_of(const Value& value) {
  return std::string(value.as_string().value_or(""));
}

Greeting read_greeting(const Value& body) {
  Greeting greeting;
  const Value version = body.find("version"), numbers = version.find("qemu");
  const auto number = [&](const char* key) {
    return static_cast<int>(numbers.find(key).as_integer().value_or(0));
  };
  greeting.major = number("major");
  greeting.minor = number("minor");
  greeting.micro = number("micro");
  greeting.package = text_of(version.find("package"));
  const Value capabilities = body.find("capabilities");
  for (std::size_t i = 0; i < capabilities.size(); ++i) {
    if (capabilities.at(i).as_string() == "oob") greeting.out_of_band = true;
  }
  return greeting;
}

Event read_event(const Value& message) {
  Event event{text_of(message.find("event")), message.find("data"), {}};
  const Value time = message.find("timestamp");
  const auto seconds = time.find("seconds").as_integer();
  const auto micros = time.find("microseconds").as_integer();
  // -1 for both: the peer's clock failed (§2.5). What no clock says is no time either.
  constexpr std::int64_t kFurthest = 1ll << 40;
  if (seconds && micros && *seconds >= 0 && *seconds < kFurthest && *micros >= 0 && *micros < 1'000'000)
    event.time = std::chrono::microseconds(*seconds * 1'000'000 + *micros);
  return event;
}

std::string begin_of(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string shown(text.substr(0, kShown));
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return shown;
}

}  // namespace

Decoder::Decoder(std::size_t message_limit)
    : tokener_(json_tokener_new_ex(kDepth), json_tokener_free), limit_(message_limit) {
  json_tokener_set_flags(
      tokener_.get(), JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 | JSON_TOKENER_ALLOW_TRAILING_CHARS);
}

Decoder::~Decoder() = default;

void Decoder::feed(std::string_view bytes) {
  if (!fault_.empty()) return;
  rest_.append(bytes);
}

std::optional<Message> Decoder::next() {
  if (!fault_.empty()) return std::nullopt;
  if (length_ == 0) rest_.erase(0, rest_.find_first_not_of(" \t\r\n"));
  if (rest_.empty()) return std::nullopt;
  // A message is an object. Without this, numbers would have no end, and garbage a misleading one.
  if (length_ == 0 && rest_[0] != '{') {
    fault_ = "not QMP: " + begin_of(rest_);
    return std::nullopt;
  }
  // No more than the limit is given to the parser, whatever came. json-c takes a NUL for the end.
  const std::size_t given = std::min(rest_.size(), limit_ - length_);
  if (rest_.find('\0') < given) {
    fault_ = "not JSON: a NUL";
    return std::nullopt;
  }
  const Value value(json_tokener_parse_ex(tokener_.get(), rest_.data(), static_cast<int>(given)));
  const json_tokener_error error = json_tokener_get_error(tokener_.get());
  if (error == json_tokener_continue) {
    length_ += given;
    rest_.clear();
    if (length_ >= limit_) fault_ = "a message of more than " + std::to_string(limit_) + " bytes";
    return std::nullopt;
  }
  if (error != json_tokener_success) {
    fault_ = std::string("not JSON (") + json_tokener_error_desc(error) + "): " + begin_of(rest_);
    return std::nullopt;
  }
  rest_.erase(0, json_tokener_get_parse_end(tokener_.get()));
  length_ = 0;
  json_tokener_reset(tokener_.get());
  auto message = read(value);
  if (!message) fault_ = "not a QMP message: " + begin_of(value.dump());
  return message;
}

std::optional<Message> Decoder::read(const Value& value) {
  if (const Value body = value.find("QMP"); body.is_object()) return read_greeting(body);
  if (value.find("event").as_string()) return read_event(value);
  if (const Value error = value.find("error"); error.is_object())
    return Refusal{id_of(value), text_of(error.find("class")), text_of(error.find("desc"))};
  json_object* returned = nullptr;  // whose value may be null
  if (json_object_object_get_ex(value.raw(), "return", &returned) == 0) return std::nullopt;
  const auto id = id_of(value);  // ours always have one
  if (!id) return std::nullopt;
  return Return{*id, Value(json_object_get(returned))};
}

std::string encode(const Command& command, std::uint64_t id) {
  Value message = Value::object();
  message.set(command.out_of_band ? "exec-oob" : "execute", Value::string(command.name));
  if (command.arguments.is_object()) message.set("arguments", command.arguments);
  message.set("id", Value::integer(static_cast<std::int64_t>(id)));
  return message.dump() + "\r\n";
}

}  // namespace qmp
