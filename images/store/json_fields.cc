#include "images/store/json_fields.h"

#include <json-c/json.h>

#include <algorithm>

namespace rookery::images {

void JsonRelease::operator()(json_object* object) const {
  json_object_put(object);
}

Result<JsonOwner> parse_json(std::string_view text, int depth) {
  struct Free {
    void operator()(json_tokener* tokener) const { json_tokener_free(tokener); }
  };
  const std::unique_ptr<json_tokener, Free> tokener(json_tokener_new_ex(depth));
  if (!tokener || text.size() > (1u << 30)) return fail("cannot read so much JSON");
  json_tokener_set_flags(tokener.get(), JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  JsonOwner object(json_tokener_parse_ex(tokener.get(), text.data(), static_cast<int>(text.size())));
  const json_tokener_error error = json_tokener_get_error(tokener.get());
  if (error == json_tokener_continue) return fail("the JSON ends too early");
  const std::size_t end = json_tokener_get_parse_end(tokener.get());
  if (error != json_tokener_success) {
    return fail(std::string("not JSON: ") + json_tokener_error_desc(error) + " at byte " +
                std::to_string(end));
  }
  return object;
}

FieldReader::FieldReader(json_object* object, std::string path) : object_(object), path_(std::move(path)) {
  if (!json_object_is_type(object_, json_type_object)) {
    error_ = path_ + ": must be an object";
    object_ = nullptr;
  }
}

void FieldReader::refuse(std::string_view field, std::string_view why) {
  if (error_.empty()) error_ = path_ + "." + std::string(field) + ": " + std::string(why);
}

void FieldReader::absorb(FieldReader& inner) {
  if (auto status = inner.finish(); !status && error_.empty()) error_ = status.error().message;
}

json_object* FieldReader::take(const char* field, int type, std::string_view type_name) {
  known_.emplace(field);
  json_object* value = nullptr;
  if (object_ == nullptr) return nullptr;
  if (json_object_object_get_ex(object_, field, &value) == 0) {
    refuse(field, "is missing");
    return nullptr;
  }
  if (static_cast<int>(json_object_get_type(value)) != type) {
    refuse(field, "must be " + std::string(type_name));
    return nullptr;
  }
  return value;
}

bool FieldReader::has(const char* field) const {
  return object_ != nullptr && json_object_object_get_ex(object_, field, nullptr) != 0;
}

std::string FieldReader::text(const char* field, std::size_t longest) {
  json_object* value = take(field, json_type_string, "a string");
  if (value == nullptr) return {};
  const auto length = static_cast<std::size_t>(json_object_get_string_len(value));
  if (length > longest) {
    refuse(field, "is longer than " + std::to_string(longest) + " bytes");
    return {};
  }
  std::string content(json_object_get_string(value), length);
  // These words are shown on terminals and pass through scripts.
  if (std::any_of(content.begin(), content.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    refuse(field, "holds a control character");
    return {};
  }
  return content;
}

std::int64_t FieldReader::integer(const char* field, std::int64_t least, std::int64_t most) {
  json_object* value = take(field, json_type_int, "an integer");
  if (value == nullptr) return least;
  const std::int64_t number = json_object_get_int64(value);  // json-c holds a larger one to INT64_MAX
  if (number < least || number > most) {
    refuse(field, "must be from " + std::to_string(least) + " to " + std::to_string(most));
    return least;
  }
  return number;
}

Digest256 FieldReader::digest(const char* field) {
  Digest256 digest{};
  if (take(field, json_type_string, "a string") == nullptr) return digest;
  const std::string hex = text(field, 64);
  const auto bytes = hex.size() == 2 * digest.size() ? from_hex(hex) : fail("another length");
  if (bytes) {
    std::copy(bytes->begin(), bytes->end(), digest.begin());
  } else {
    refuse(field, "must be 64 hexadecimal digits");
  }
  return digest;
}

void FieldReader::object(const char* field, const std::function<void(FieldReader&)>& read) {
  json_object* value = take(field, json_type_object, "an object");
  if (value == nullptr) return;
  FieldReader inner(value, path_ + "." + field);
  read(inner);
  absorb(inner);
}

void FieldReader::objects(const char* field, std::size_t most,
                          const std::function<void(FieldReader&)>& read) {
  json_object* array = take(field, json_type_array, "a list");
  if (array == nullptr) return;
  const std::size_t count = json_object_array_length(array);
  if (count > most) return refuse(field, "has more than " + std::to_string(most) + " entries");
  for (std::size_t i = 0; i < count && ok(); ++i) {
    FieldReader inner(json_object_array_get_idx(array, i),
                      path_ + "." + field + "[" + std::to_string(i) + "]");
    if (inner.ok()) read(inner);
    absorb(inner);
  }
}

Status FieldReader::finish() {
  if (ok() && object_ != nullptr) {
    json_object_object_foreach(object_, key, value) {
      static_cast<void>(value);
      if (!known_.contains(std::string_view(key))) refuse(key, "is not a field of this version");
    }
  }
  if (!ok()) return fail(error_);
  return {};
}

}  // namespace rookery::images
