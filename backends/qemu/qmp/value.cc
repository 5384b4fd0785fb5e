#include <json-c/json.h>
#include <qmp/qmp.h>

namespace qmp {

Value::Value(const Value& other) : object_(json_object_get(other.object_)) {}
Value::~Value() {
  json_object_put(object_);
}

Value Value::object() {
  return Value(json_object_new_object());
}
Value Value::array() {
  return Value(json_object_new_array());
}
Value Value::string(std::string_view text) {
  return Value(json_object_new_string_len(text.data(), static_cast<int>(text.size())));
}
Value Value::integer(std::int64_t number) {
  return Value(json_object_new_int64(number));
}
Value Value::boolean(bool truth) {
  return Value(json_object_new_boolean(truth));
}

std::optional<Value> Value::parse(std::string_view text) {
  const std::unique_ptr<json_tokener, void (*)(json_tokener*)> tokener(json_tokener_new(), json_tokener_free);
  json_tokener_set_flags(tokener.get(), JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  const std::string ended(text);  // with its NUL, so that a number knows its end
  if (ended.find('\0') != std::string::npos || ended.size() > Limits().message) return std::nullopt;
  Value value(json_tokener_parse_ex(tokener.get(), ended.c_str(), static_cast<int>(ended.size() + 1)));
  if (json_tokener_get_error(tokener.get()) != json_tokener_success) return std::nullopt;
  return value;
}

Value& Value::set(const char* key, const Value& value) & {
  if (is_object()) json_object_object_add(object_, key, json_object_get(value.object_));
  return *this;
}

Value Value::add(const Value& value) && {
  if (json_object_is_type(object_, json_type_array) != 0)
    json_object_array_add(object_, json_object_get(value.object_));
  return *this;
}

bool Value::is_object() const {
  return json_object_is_type(object_, json_type_object) != 0;
}

Value Value::find(const char* key) const {
  json_object* found = nullptr;
  if (is_object()) json_object_object_get_ex(object_, key, &found);
  return Value(json_object_get(found));
}

std::size_t Value::size() const {
  return json_object_is_type(object_, json_type_array) != 0 ? json_object_array_length(object_) : 0;
}

Value Value::at(std::size_t index) const {
  return index < size() ? Value(json_object_get(json_object_array_get_idx(object_, index))) : Value();
}

std::optional<std::string_view> Value::as_string() const {
  if (json_object_is_type(object_, json_type_string) == 0) return std::nullopt;
  return std::string_view(json_object_get_string(object_),
                          static_cast<std::size_t>(json_object_get_string_len(object_)));
}

std::optional<std::int64_t> Value::as_integer() const {
  if (json_object_is_type(object_, json_type_int) == 0) return std::nullopt;
  return json_object_get_int64(object_);
}

std::optional<bool> Value::as_boolean() const {
  if (json_object_is_type(object_, json_type_boolean) == 0) return std::nullopt;
  return json_object_get_boolean(object_) != 0;
}

std::string Value::dump() const {
  if (object_ == nullptr) return "null";
  return json_object_to_json_string_ext(object_, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

}  // namespace qmp
