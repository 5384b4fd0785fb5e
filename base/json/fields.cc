#include "base/json/fields.h"

#include <json-c/json.h>

#include <algorithm>
#include <limits>
#include <memory>

namespace rookery {

Result<Json> parse_json_file(std::string_view text) {
  constexpr int kDepth = 8;
  constexpr std::size_t kLongest = std::size_t{1} << 30;
  const std::unique_ptr<json_tokener, decltype(&json_tokener_free)> tokener(json_tokener_new_ex(kDepth),
                                                                            json_tokener_free);
  if (!tokener || text.size() > kLongest) return fail("cannot read so much JSON");
  json_tokener_set_flags(tokener.get(), JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  const std::unique_ptr<json_object, decltype(&json_object_put)> value(
      json_tokener_parse_ex(tokener.get(), text.data(), static_cast<int>(text.size())), json_object_put);
  const json_tokener_error error = json_tokener_get_error(tokener.get());
  if (error == json_tokener_continue) return fail("the JSON ends too early");
  const std::size_t end = json_tokener_get_parse_end(tokener.get());
  if (error != json_tokener_success) {
    return fail(std::string("not JSON: ") + json_tokener_error_desc(error) + " at byte " +
                std::to_string(end));
  }
  return Json::copy_of(JsonView(value.get()));
}

FieldReader::FieldReader(JsonView object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) {
    error_ = path_ + ": must be an object";
    object_ = JsonView();
  }
}

void FieldReader::refuse(std::string_view field, std::string_view why) {
  if (error_.empty()) error_ = path_ + "." + std::string(field) + ": " + std::string(why);
}

void FieldReader::absorb(FieldReader& inner) {
  if (auto status = inner.finish(); !status && error_.empty()) error_ = status.error().message;
}

std::optional<JsonView> FieldReader::take(std::string_view field, JsonKind kind, std::string_view kind_name) {
  known_.emplace(field);
  if (object_.is_null()) return std::nullopt;
  const auto value = object_.find(field);
  if (!value) {
    refuse(field, "is missing");
    return std::nullopt;
  }
  if (value->kind() != kind) {
    refuse(field, "must be " + std::string(kind_name));
    return std::nullopt;
  }
  return value;
}

bool FieldReader::has(std::string_view field) const {
  return object_.find(field).has_value();
}

std::string FieldReader::text(std::string_view field, std::size_t longest) {
  const auto value = take(field, JsonKind::string, "a string");
  if (!value) return {};
  std::string content(value->as_string().value_or(""));
  if (content.size() > longest) {
    refuse(field, "is longer than " + std::to_string(longest) + " bytes");
    return {};
  }
  // These words are shown on terminals and pass through scripts.
  if (std::any_of(content.begin(), content.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    refuse(field, "holds a control character");
    return {};
  }
  return content;
}

std::int64_t FieldReader::integer(std::string_view field, std::int64_t least, std::int64_t most) {
  const auto value = take(field, JsonKind::integer, "an integer");
  if (!value) return least;
  // A larger one counts as the largest.
  const std::int64_t number = value->as_integer().value_or(std::numeric_limits<std::int64_t>::max());
  if (number < least || number > most) {
    refuse(field, "must be from " + std::to_string(least) + " to " + std::to_string(most));
    return least;
  }
  return number;
}

Digest256 FieldReader::digest(std::string_view field) {
  Digest256 digest{};
  if (!take(field, JsonKind::string, "a string")) return digest;
  const std::string hex = text(field, 64);
  const auto bytes = hex.size() == 2 * digest.size() ? from_hex(hex) : fail("another length");
  if (bytes) {
    std::copy(bytes->begin(), bytes->end(), digest.begin());
  } else {
    refuse(field, "must be 64 hexadecimal digits");
  }
  return digest;
}

void FieldReader::object(std::string_view field, const std::function<void(FieldReader&)>& read) {
  const auto value = take(field, JsonKind::object, "an object");
  if (!value) return;
  FieldReader inner(*value, path_ + "." + std::string(field));
  read(inner);
  absorb(inner);
}

void FieldReader::objects(std::string_view field, std::size_t most,
                          const std::function<void(FieldReader&)>& read) {
  const auto array = take(field, JsonKind::array, "a list");
  if (!array) return;
  const std::size_t count = array->size();
  if (count > most) return refuse(field, "has more than " + std::to_string(most) + " entries");
  for (std::size_t i = 0; i < count && ok(); ++i) {
    FieldReader inner(array->at(i), path_ + "." + std::string(field) + "[" + std::to_string(i) + "]");
    if (inner.ok()) read(inner);
    absorb(inner);
  }
}

Status FieldReader::finish() {
  if (ok()) {
    for (const auto& [key, value] : object_.members()) {
      if (!known_.contains(key)) refuse(key, "is not a field of this version");
    }
  }
  if (!ok()) return fail(error_);
  return {};
}

}  // namespace rookery
