#include "vboot/control/messages.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>

namespace rookery::vboot {
namespace {

struct KindWord {
  ErrorKind kind;
  std::string_view word;
};
constexpr std::array kKindWords{KindWord{ErrorKind::expectation, "expectation"},
                                KindWord{ErrorKind::usage, "usage"},
                                KindWord{ErrorKind::timeout, "timeout"},
                                KindWord{ErrorKind::infrastructure, "infrastructure"},
                                KindWord{ErrorKind::not_reproducible, "not_reproducible"},
                                KindWord{ErrorKind::interrupted, "interrupted"}};

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorKind::usage, fmt::format("control reply: {}", what));
}

Result<std::string> text_field(JsonView object, std::string_view key) {
  auto field = object.find(key);
  auto text = field ? field->as_string() : std::nullopt;
  if (!text) return malformed(fmt::format("expected a string '{}'", key));
  return std::string(*text);
}

}  // namespace

Json result_message(std::int64_t id, Json result) {
  return Json::object().set("id", Json::integer(id)).set("result", std::move(result));
}

Json error_message(std::int64_t id, const Error& error) {
  return Json::object()
      .set("id", Json::integer(id))
      .set("error", Json::object().set("kind", to_text(error.kind)).set("message", error.message));
}

Json event_message(std::int64_t id, std::string_view name, JsonView fields) {
  Json message = Json::object().set("id", Json::integer(id)).set("event", name);
  for (const auto& [key, value] : fields.members()) {
    if (key == "id" || key == "event") bug("an event's field called id or event");
    message.set(key, Json::copy_of(value));
  }
  return message;
}

Json to_json(std::int64_t id, const OutputEvent& event) {
  if (event.data.size() > kOutputMost) bug("too much output for one event");
  return event_message(id, "output",
                       Json::object()
                           .set("machine", event.machine)
                           .set("stream", event.stream)
                           .set("data_base64", to_base64(event.data)));
}

Json to_json(std::int64_t id, const ExitedEvent& event) {
  return event_message(
      id, "exited",
      Json::object().set("machine", event.machine).set("exit_code", Json::integer(event.exit_code)));
}

Result<OutputEvent> output_of(const ControlEvent& event) {
  if (event.name != "output")
    return malformed(fmt::format("expected an event 'output', found '{}'", event.name));
  auto machine = text_field(event.fields, "machine");
  if (!machine) return tl::unexpected(machine.error());
  auto stream = text_field(event.fields, "stream");
  if (!stream) return tl::unexpected(stream.error());
  auto data =
      text_field(event.fields, "data_base64").and_then([](const std::string& t) { return from_base64(t); });
  if (!data) return tl::unexpected(data.error());
  return OutputEvent{std::move(*machine), std::move(*stream), std::move(*data)};
}

Result<ExitedEvent> exited_of(const ControlEvent& event) {
  if (event.name != "exited")
    return malformed(fmt::format("expected an event 'exited', found '{}'", event.name));
  auto machine = text_field(event.fields, "machine");
  if (!machine) return tl::unexpected(machine.error());
  auto field = event.fields.find("exit_code");
  auto code = field ? field->as_integer() : std::nullopt;
  if (!code || *code < 0 || *code > 255) return malformed("expected an 'exit_code' of 0 to 255");
  return ExitedEvent{std::move(*machine), static_cast<int>(*code)};
}

Result<ControlReply> parse_reply(JsonView message) {
  auto id_field = message.find("id");
  auto id = id_field ? id_field->as_integer() : std::nullopt;
  if (!id || *id < 0) return malformed("expected an 'id' of 0 or more");
  ControlReply reply;
  reply.id = *id;
  if (auto name = message.find("event")) {
    if (!name->as_string()) return malformed("expected a string 'event'");
    reply.body = ControlEvent{std::string(*name->as_string()), Json::copy_of(message)};
    return reply;
  }
  if (auto result = message.find("result")) {
    reply.body = Json::copy_of(*result);
    return reply;
  }
  auto error = message.find("error");
  if (!error) return malformed("expected an 'event', a 'result' or an 'error'");
  auto kind_word = text_field(*error, "kind");
  auto text = text_field(*error, "message");
  auto kind = kind_word ? error_kind_of(*kind_word) : std::nullopt;
  if (!kind || !text) return malformed("expected an error with a known 'kind' and a 'message'");
  reply.body = Error{*kind, std::move(*text)};
  return reply;
}

std::string_view to_text(ErrorKind kind) {
  for (const KindWord& known : kKindWords) {
    if (known.kind == kind) return known.word;
  }
  bug("an error kind without a word");
}

std::optional<ErrorKind> error_kind_of(std::string_view word) {
  for (const KindWord& known : kKindWords) {
    if (known.word == word) return known.kind;
  }
  return std::nullopt;
}

std::string to_base64(std::string_view bytes) {
  // libsodium writes a final NUL and counts it.
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), as_bytes(bytes).data(), bytes.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();
  return text;
}

Result<std::string> from_base64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  std::size_t length = 0;
  const char* end = nullptr;
  const int status =
      sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                        text.size(), nullptr, &length, &end, sodium_base64_VARIANT_ORIGINAL);
  if (status != 0 || end != text.data() + text.size()) return fail(ErrorKind::usage, "not base64");
  bytes.resize(length);
  return bytes;
}

}  // namespace rookery::vboot
