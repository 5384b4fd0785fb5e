#include "vboot/control/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"
#include "vboot/control/messages.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

constexpr std::array<std::string_view, 13> kVerbs{"stream",  "ps",     "exec",    "power", "down",
                                                  "console", "input",  "wait",    "fault", "why",
                                                  "capture", "report", "snapshot"};
constexpr std::array<std::string_view, 4> kPowerWords{"on", "cut", "reset", "press"};
constexpr std::array<std::string_view, 2> kSnapshotWords{"take", "restore"};
constexpr std::array<std::string_view, 3> kFaultWords{"show", "set", "clear"};

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorKind::usage, std::move(message));
}

// The fields of one request. The first thing that is wrong is kept; what is read after it is empty.
class Fields {
 public:
  Fields(JsonView message, std::string_view verb) : message_(message), verb_(verb) {}

  // Names every key that the verb knows, and refuses all others.
  void only(std::initializer_list<std::string_view> keys) {
    std::vector<std::string_view> known{"id", "verb"};
    known.insert(known.end(), keys);
    for (const auto& [key, value] : message_.members()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      note(fmt::format("unknown key '{}'{}", key, suggestion(key, known, "known keys")));
    }
  }

  std::string machine(std::string_view key) {
    auto text = string(key);
    if (!is_machine_name(text))
      note(fmt::format("expected a machine's name in '{}', found '{:.64}'", key, text));
    return text;
  }

  // Physical machines at the uplink are called by their MAC address.
  std::string machine_or_mac(std::string_view key) {
    const auto text = message_.find(key) ? message_.find(key)->as_string().value_or("") : "";
    const bool is_mac = mac_from_text(text).has_value();
    return is_mac ? std::string(text) : machine(key);
  }

  std::string string(std::string_view key) {
    auto field = message_.find(key);
    auto text = field ? field->as_string() : std::nullopt;
    if (!text) note(fmt::format("expected a string '{}'{}", key, found(field)));
    return std::string(text.value_or(""));
  }

  std::string file() {
    std::string path = string("file");
    if (!path.starts_with('/') || path.size() > RequestLimits::kPathBytes)
      note("expected an absolute path in 'file'");
    return path;
  }

  bool boolean(std::string_view key) {
    auto field = message_.find(key);
    if (!field) return false;
    auto value = field->as_boolean();
    if (!value) note(fmt::format("expected true or false in '{}'{}", key, found(field)));
    return value.value_or(false);
  }

  MachineChoice machines() {
    MachineChoice choice;
    choice.all = boolean("all");
    if (message_.find("machines")) choice.names = strings("machines", RequestLimits::kMachines);
    if (choice.all == !choice.names.empty())
      note("expected either machines, as in \"machines\":[\"n7\"], or \"all\":true");
    for (const std::string& name : choice.names) {
      if (!is_machine_pattern(name))
        note(fmt::format("expected a machine's name in 'machines', found '{:.64}'", name));
    }
    return choice;
  }

  std::vector<std::string> strings(std::string_view key, std::size_t most) {
    std::vector<std::string> values;
    auto field = message_.find(key);
    if (!field || !field->is_array() || field->size() == 0 || field->size() > most) {
      note(fmt::format("expected an array '{}' of 1 to {} strings{}", key, most, found(field)));
      return values;
    }
    for (std::size_t i = 0; i < field->size(); ++i) {
      auto text = field->at(i).as_string();
      if (!text) note(fmt::format("expected only strings in '{}'", key));
      values.emplace_back(text.value_or(""));
    }
    return values;
  }

  std::vector<std::string> argv() {
    auto values = strings("argv", RequestLimits::kArguments);
    std::size_t bytes = 0;
    for (const std::string& value : values) bytes += value.size() + 1;
    if (bytes > RequestLimits::kArgumentBytes) {
      note(fmt::format("the arguments have {} bytes; at most {}", bytes, RequestLimits::kArgumentBytes));
    }
    if (!values.empty() && values[0].empty()) note("the program's name in 'argv' is empty");
    return values;
  }

  std::uint16_t port() {
    auto field = message_.find("port");
    auto value = field ? field->as_integer() : std::nullopt;
    if (!value || *value < 1 || *value > 65535) {
      note(fmt::format("expected a 'port' of 1 to 65535{}", found(field)));
      return 0;
    }
    return static_cast<std::uint16_t>(*value);
  }

  std::optional<Duration> timeout() {
    auto field = message_.find("timeout_ms");
    if (!field) return std::nullopt;
    auto value = field->as_integer();
    if (!value || *value < 1 || *value > RequestLimits::kTimeoutMs) {
      note(fmt::format("expected 'timeout_ms' of 1 to {}{}", RequestLimits::kTimeoutMs, found(field)));
      return std::nullopt;
    }
    return std::chrono::milliseconds(*value);
  }

  void note(std::string message) {
    if (problem_.empty()) problem_ = std::move(message);
  }
  template <typename Body>
  Result<RequestBody> give(Body body) {
    if (!problem_.empty()) return wrong(fmt::format("{}: {}", verb_, problem_));
    return RequestBody(std::move(body));
  }

 private:
  static bool is_machine_name(std::string_view name) {
    return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
  }
  // Or one that stands for several (vboot/lab/name_patterns.h).
  static bool is_machine_pattern(std::string_view text) {
    constexpr std::size_t kLongest = 4096;
    return !text.empty() && text.size() <= kLongest && std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
             std::string_view("-*?[],").find(c) != std::string_view::npos;
    });
  }
  static std::string found(const std::optional<JsonView>& field) {
    return field ? fmt::format(", found {}", to_text(field->kind())) : std::string();
  }

  JsonView message_;
  std::string_view verb_;
  std::string problem_;
};

Result<RequestBody> parse_power(Fields& fields) {
  fields.only({"action", "machines", "all"});
  const std::string word = fields.string("action");
  auto action = power_action_of(word);
  if (!action)
    fields.note(fmt::format("unknown action '{:.64}'{}", word, suggestion(word, kPowerWords, "actions")));
  return fields.give(PowerRequest{action.value_or(PowerAction::on), fields.machines()});
}

Result<RequestBody> parse_input(Fields& fields) {
  fields.only({"machine", "data_base64"});
  InputRequest request{fields.machine("machine"), {}};
  auto data = from_base64(fields.string("data_base64"));
  if (!data) fields.note("expected base64 in 'data_base64'");
  if (data && data->size() > RequestLimits::kInputBytes) {
    fields.note(fmt::format("{} bytes of input; at most {}", data->size(), RequestLimits::kInputBytes));
  }
  request.data = data.value_or("");
  return fields.give(std::move(request));
}

Result<RequestBody> parse_fault_request(Fields& fields) {
  fields.only({"action", "words"});
  const std::string word = fields.string("action");
  const auto found = std::find(kFaultWords.begin(), kFaultWords.end(), word);
  if (found == kFaultWords.end()) {
    fields.note(fmt::format("unknown action '{:.64}'{}", word, suggestion(word, kFaultWords, "actions")));
    return fields.give(FaultRequest{});
  }
  FaultRequest request{static_cast<FaultAction>(found - kFaultWords.begin()), {}};
  if (request.action != FaultAction::show)
    request.words = fields.strings("words", RequestLimits::kFaultWords);
  return fields.give(std::move(request));
}

Result<RequestBody> parse_stream(Fields& fields, JsonView message) {
  fields.only({"machine", "port", "argv"});
  StreamRequest request{fields.machine("machine"), 0, {}};
  if (message.find("argv")) request.argv = fields.argv();
  if (message.find("port")) request.port = fields.port();
  if (request.argv.empty() == (request.port == 0)) fields.note("expected either a 'port' or an 'argv'");
  return fields.give(std::move(request));
}

Result<RequestBody> parse_capture(Fields& fields) {
  fields.only({"machines", "all", "file", "timeout_ms", "replace"});
  CaptureRequest request{fields.machines(), fields.string("file"), fields.timeout(),
                         fields.boolean("replace")};
  if (request.file.empty() || request.file.size() > RequestLimits::kPathBytes)
    fields.note("expected a name in 'file'");
  return fields.give(std::move(request));
}

Result<RequestBody> parse_snapshot(Fields& fields) {
  fields.only({"action", "machine", "name"});
  const std::string word = fields.string("action");
  const auto found = std::find(kSnapshotWords.begin(), kSnapshotWords.end(), word);
  if (found == kSnapshotWords.end()) {
    fields.note(fmt::format("unknown action '{:.64}'{}", word, suggestion(word, kSnapshotWords, "actions")));
    return fields.give(SnapshotRequest{});
  }
  return fields.give(SnapshotRequest{static_cast<SnapshotAction>(found - kSnapshotWords.begin()),
                                     fields.machine("machine"), fields.machine("name")});
}

Result<RequestBody> parse_body(JsonView message, std::string_view verb) {
  Fields fields(message, verb);
  if (verb == "ps") {
    fields.only({});
    return fields.give(PsRequest{});
  }
  if (verb == "exec") {
    fields.only({"machines", "all", "argv", "timeout_ms"});
    return fields.give(ExecRequest{fields.machines(), fields.argv(), fields.timeout()});
  }
  if (verb == "power") return parse_power(fields);
  if (verb == "down") {
    fields.only({});
    return fields.give(DownRequest{});
  }
  if (verb == "console") {
    fields.only({"machine", "follow"});
    return fields.give(ConsoleRequest{fields.machine("machine"), fields.boolean("follow")});
  }
  if (verb == "input") return parse_input(fields);
  if (verb == "wait") {
    fields.only({"timeout_ms"});
    return fields.give(WaitRequest{fields.timeout()});
  }
  if (verb == "fault") return parse_fault_request(fields);
  if (verb == "why") {
    fields.only({"machine"});
    return fields.give(message.find("machine") ? WhyRequest{fields.machine_or_mac("machine")} : WhyRequest{});
  }
  if (verb == "stream") return parse_stream(fields, message);
  if (verb == "capture") return parse_capture(fields);
  if (verb == "snapshot") return parse_snapshot(fields);
  if (verb == "report") {
    fields.only({"file"});
    return fields.give(ReportRequest{fields.file()});
  }
  return wrong(fmt::format("unknown verb '{:.64}'{}", verb, suggestion(verb, kVerbs, "verbs")));
}

void put(Json& message, const MachineChoice& choice) {
  if (choice.all) {
    message.set("all", Json::boolean(true));
  } else {
    message.set("machines", Json::strings(choice.names));
  }
}

void put_timeout(Json& message, const std::optional<Duration>& timeout) {
  if (!timeout) return;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(*timeout).count();
  message.set("timeout_ms", Json::integer(ms));
}

// Writes the verb and the fields of each kind of request; the order is that of the struct.
struct Writer {
  Json& message;

  void operator()(const PsRequest&) const { message.set("verb", "ps"); }
  void operator()(const DownRequest&) const { message.set("verb", "down"); }
  void operator()(const ExecRequest& request) const {
    message.set("verb", "exec");
    put(message, request.machines);
    message.set("argv", Json::strings(request.argv));
    put_timeout(message, request.timeout);
  }
  void operator()(const PowerRequest& request) const {
    message.set("verb", "power").set("action", to_text(request.action));
    put(message, request.machines);
  }
  void operator()(const ConsoleRequest& request) const {
    message.set("verb", "console")
        .set("machine", request.machine)
        .set("follow", Json::boolean(request.follow));
  }
  void operator()(const InputRequest& request) const {
    message.set("verb", "input").set("machine", request.machine).set("data_base64", to_base64(request.data));
  }
  void operator()(const WaitRequest& request) const {
    message.set("verb", "wait");
    put_timeout(message, request.timeout);
  }
  void operator()(const WhyRequest& request) const {
    message.set("verb", "why");
    if (request.machine) message.set("machine", *request.machine);
  }
  void operator()(const StreamRequest& request) const {
    message.set("verb", "stream").set("machine", request.machine);
    if (request.port != 0) message.set("port", Json::integer(request.port));
    if (!request.argv.empty()) message.set("argv", Json::strings(request.argv));
  }
  void operator()(const CaptureRequest& request) const {
    message.set("verb", "capture");
    put(message, request.machines);
    message.set("file", request.file);
    put_timeout(message, request.time);
    if (request.replace) message.set("replace", Json::boolean(true));
  }
  void operator()(const ReportRequest& request) const {
    message.set("verb", "report").set("file", request.file);
  }
  void operator()(const SnapshotRequest& request) const {
    message.set("verb", "snapshot")
        .set("action", kSnapshotWords[static_cast<std::size_t>(request.action)])
        .set("machine", request.machine)
        .set("name", request.name);
  }
  void operator()(const FaultRequest& request) const {
    message.set("verb", "fault").set("action", kFaultWords[static_cast<std::size_t>(request.action)]);
    if (request.action != FaultAction::show) message.set("words", Json::strings(request.words));
  }
};

}  // namespace

std::string_view to_text(PowerAction action) {
  return kPowerWords[static_cast<std::size_t>(action)];
}

std::optional<PowerAction> power_action_of(std::string_view word) {
  auto found = std::find(kPowerWords.begin(), kPowerWords.end(), word);
  if (found == kPowerWords.end()) return std::nullopt;
  return static_cast<PowerAction>(found - kPowerWords.begin());
}

Result<ControlRequest> parse_request(JsonView message) {
  if (!message.is_object()) return wrong("expected a request, an object");
  auto id_field = message.find("id");
  auto id = id_field ? id_field->as_integer() : std::nullopt;
  if (!id || *id < 1) return wrong("expected an 'id', an integer of 1 or more");
  auto verb_field = message.find("verb");
  auto verb = verb_field ? verb_field->as_string() : std::nullopt;
  if (!verb) return wrong("expected a string 'verb'");
  auto body = parse_body(message, *verb);
  if (!body) return tl::unexpected(std::move(body.error()));
  ControlRequest request;
  request.id = *id;
  request.body = std::move(*body);
  return request;
}

Json to_json(const ControlRequest& request) {
  Json message = Json::object().set("id", Json::integer(request.id));
  std::visit(Writer{message}, request.body);
  return message;
}

}  // namespace rookery::vboot
