#include "base/json/json.h"

#include <fmt/format.h>
#include <json-c/json.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "base/text.h"

namespace rookery {
namespace {

// What json-c takes and JSON or we do not: NaN and infinities, and NUL in a text. (In a key, json-c ends the
// key.)
bool is_sound(json_object* value) {
  switch (json_object_get_type(value)) {
    case json_type_double:
      return std::isfinite(json_object_get_double(value));
    case json_type_string:
      return std::strlen(json_object_get_string(value)) ==
             static_cast<std::size_t>(json_object_get_string_len(value));
    case json_type_array:
      for (std::size_t i = 0; i < json_object_array_length(value); ++i) {
        if (!is_sound(json_object_array_get_idx(value, i))) return false;
      }
      return true;
    case json_type_object: {
      json_object_object_foreach(value, key, member) {
        static_cast<void>(key);
        if (!is_sound(member)) return false;
      }
      return true;
    }
    default:
      return true;
  }
}

std::string write(json_object* value, int flags) {
  std::size_t length = 0;
  const char* text =
      json_object_to_json_string_length(value, flags | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
  if (text == nullptr) bug("json-c has no memory");
  return {text, length};
}

}  // namespace

std::string_view to_text(JsonKind kind) {
  constexpr std::string_view kNames[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
  return kNames[static_cast<int>(kind)];
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

JsonKind JsonView::kind() const {
  switch (json_object_get_type(value_)) {
    case json_type_null:
      return JsonKind::null;
    case json_type_boolean:
      return JsonKind::boolean;
    case json_type_double:
      return JsonKind::number;
    case json_type_int:
      return JsonKind::integer;
    case json_type_object:
      return JsonKind::object;
    case json_type_array:
      return JsonKind::array;
    case json_type_string:
      return JsonKind::string;
  }
  bug("a kind of value that json-c does not have");
}

std::optional<bool> JsonView::as_boolean() const {
  if (kind() != JsonKind::boolean) return std::nullopt;
  return json_object_get_boolean(value_) != 0;
}

std::optional<std::int64_t> JsonView::as_integer() const {
  if (kind() != JsonKind::integer) return std::nullopt;
  // json-c keeps what is beyond a signed integer as an unsigned one, and clamps when asked for a signed one.
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  if (json_object_get_uint64(value_) > static_cast<std::uint64_t>(kMost)) return std::nullopt;
  return json_object_get_int64(value_);
}

std::optional<std::uint64_t> JsonView::as_count() const {
  if (kind() != JsonKind::integer || json_object_get_int64(value_) < 0) return std::nullopt;
  return json_object_get_uint64(value_);
}

std::optional<double> JsonView::as_number() const {
  if (kind() != JsonKind::number && kind() != JsonKind::integer) return std::nullopt;
  return json_object_get_double(value_);
}

std::optional<std::string_view> JsonView::as_string() const {
  if (kind() != JsonKind::string) return std::nullopt;
  return std::string_view(json_object_get_string(value_),
                          static_cast<std::size_t>(json_object_get_string_len(value_)));
}

std::size_t JsonView::size() const {
  if (is_array()) return json_object_array_length(value_);
  if (is_object()) return static_cast<std::size_t>(json_object_object_length(value_));
  return 0;
}

JsonView JsonView::at(std::size_t index) const {
  return is_array() ? JsonView(json_object_array_get_idx(value_, index)) : JsonView();
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  json_object* found = nullptr;
  if (!is_object() || !json_object_object_get_ex(value_, std::string(key).c_str(), &found))
    return std::nullopt;
  return JsonView(found);
}

std::vector<std::pair<std::string_view, JsonView>> JsonView::members() const {
  std::vector<std::pair<std::string_view, JsonView>> result;
  if (!is_object()) return result;
  json_object_object_foreach(value_, key, member) {
    result.emplace_back(key, JsonView(member));
  }
  return result;
}

std::string JsonView::dump() const {
  return write(value_, JSON_C_TO_STRING_PLAIN);
}
std::string JsonView::pretty() const {
  return write(value_, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}

Json::Json(const Json& other) : Json(copy_of(other.view())) {}
Json::~Json() {
  json_object_put(value_);
}

Json Json::object() {
  return Json(json_object_new_object());
}
Json Json::array() {
  return Json(json_object_new_array());
}
Json Json::boolean(bool value) {
  return Json(json_object_new_boolean(value));
}
Json Json::integer(std::int64_t value) {
  return Json(json_object_new_int64(value));
}
Json Json::count(std::uint64_t value) {
  return Json(json_object_new_uint64(value));
}
Json Json::number(double value) {
  if (!std::isfinite(value)) return Json();
  // The shortest text that reads back as the same number; json-c's own has 17 digits.
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return Json(json_object_new_double_s(value, text.c_str()));
}
Json Json::string(std::string_view value) {
  if (value.size() > std::numeric_limits<int>::max()) bug("a string too long for JSON");
  if (is_utf8(value)) return Json(json_object_new_string_len(value.data(), static_cast<int>(value.size())));
  std::string text;
  while (!value.empty()) {
    const std::size_t length = utf8_length(value);
    text += length == 0 ? std::string_view("\uFFFD") : value.substr(0, length);
    value.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return Json(json_object_new_string_len(text.data(), static_cast<int>(text.size())));
}

Json Json::strings(const std::vector<std::string>& values) {
  Json list = array();
  for (const std::string& value : values) list.add(string(value));
  return list;
}

Json Json::copy_of(JsonView view) {
  if (view.is_null()) return Json();
  Json copy;
  if (json_object_deep_copy(view.value_, &copy.value_, nullptr) != 0) bug("json-c cannot copy a value");
  return copy;
}

Result<Json> Json::parse(std::string_view text) {
  if (text.size() > std::numeric_limits<int>::max()) return fail(ErrorKind::usage, "JSON: too long");
  if (text.find('\0') != std::string_view::npos) return fail(ErrorKind::usage, "JSON: a NUL byte");
  const std::unique_ptr<json_tokener, decltype(&json_tokener_free)> tokener(json_tokener_new_ex(kDepth),
                                                                            json_tokener_free);
  json_tokener_set_flags(tokener.get(), JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  // With the final NUL, which tells json-c that a number has ended.
  const std::string copy(text);
  Json value(json_tokener_parse_ex(tokener.get(), copy.c_str(), static_cast<int>(copy.size() + 1)));
  const json_tokener_error error = json_tokener_get_error(tokener.get());
  const std::size_t end = json_tokener_get_parse_end(tokener.get());
  if (error == json_tokener_continue || error == json_tokener_error_parse_eof) {
    return fail(ErrorKind::usage, "JSON: the text ends too early");
  }
  if (error != json_tokener_success) {
    return fail(ErrorKind::usage, fmt::format("JSON: {} at byte {}", json_tokener_error_desc(error), end));
  }
  if (!is_sound(value.value_))
    return fail(ErrorKind::usage, "JSON: not a valid number, or a NUL character in a text");
  return value;
}

Json& Json::set(std::string_view key, Json value) & {
  if (kind() != JsonKind::object) bug("set() on JSON that is no object");
  if (json_object_object_add(value_, std::string(key).c_str(), std::exchange(value.value_, nullptr)) != 0) {
    bug("json-c has no memory");
  }
  return *this;
}

Json& Json::add(Json value) & {
  if (kind() != JsonKind::array) bug("add() on JSON that is no array");
  if (json_object_array_add(value_, std::exchange(value.value_, nullptr)) != 0) bug("json-c has no memory");
  return *this;
}

std::string text_of(JsonView object, std::string_view key) {
  const auto found = object.find(key);
  return found ? std::string(found->as_string().value_or("")) : std::string();
}

std::uint64_t count_of(JsonView object, std::string_view key) {
  const auto found = object.find(key);
  return found ? found->as_count().value_or(0) : 0;
}

double number_of(JsonView object, std::string_view key) {
  const auto found = object.find(key);
  return found ? found->as_number().value_or(0) : 0;
}

}  // namespace rookery
