// What a supervisor says back. For one request there are any number of events and then exactly one result or
// error, all with the request's id:
//   {"id": 1, "event": "output", "machine": "n7", "stream": "stdout", "data_base64": "aGkK"}
//   {"id": 1, "event": "exited", "machine": "n7", "exit_code": 0}
//   {"id": 1, "result": {"machines": 1}}
//   {"id": 1, "error": {"kind": "usage", "message": "no machine 'n77'"}}
// An error for a line from which no id could be read has the id 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/json/json.h"
#include "base/result.h"

namespace rookery::vboot {

struct ControlEvent {
  std::string name;
  Json fields;  // the whole message
};

struct ControlReply {
  std::int64_t id = 0;
  std::variant<ControlEvent, Json, Error> body;  // an event, the result, the error
};

Json result_message(std::int64_t id, Json result);
Json error_message(std::int64_t id, const Error& error);
// The fields of an object, after the id and the event's name.
Json event_message(std::int64_t id, std::string_view name, JsonView fields);

// The two events that carry a program's life, made and read at both ends.
struct OutputEvent {
  std::string machine;
  std::string stream;  // stdout, stderr, console
  std::string data;    // bytes; at most kOutputMost of them in one event
};
struct ExitedEvent {
  std::string machine;
  int exit_code = 0;
};
inline constexpr std::size_t kOutputMost = 256u << 10;  // its base64 fits a message with room to spare
Json to_json(std::int64_t id, const OutputEvent& event);
Json to_json(std::int64_t id, const ExitedEvent& event);
Result<OutputEvent> output_of(const ControlEvent& event);
Result<ExitedEvent> exited_of(const ControlEvent& event);

Result<ControlReply> parse_reply(JsonView message);

std::string_view to_text(ErrorKind kind);
std::optional<ErrorKind> error_kind_of(std::string_view word);

// RFC 4648 §4, with padding; a stranger or wrong padding is an error of kind usage.
std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);

}  // namespace rookery::vboot
