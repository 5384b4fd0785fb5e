// JSON values over json-c, for all of vboot. A Json owns its value and copies deeply; a JsonView borrows one
// from a Json that must outlive it and stay unchanged. Objects keep the order in which their keys were set,
// so that the same program writes the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

struct json_object;

namespace rookery {

enum class JsonKind { null, boolean, integer, number, string, array, object };
std::string_view to_text(JsonKind kind);

bool is_utf8(std::string_view text);  // and without NUL: such a text passes through JSON unchanged

// A borrowed value, read only. The accessors give nothing where the value is of another kind.
class JsonView {
 public:
  JsonView() = default;  // null
  explicit JsonView(json_object* value) : value_(value) {}

  JsonKind kind() const;
  bool is_null() const { return value_ == nullptr; }
  bool is_object() const { return kind() == JsonKind::object; }
  bool is_array() const { return kind() == JsonKind::array; }
  std::optional<bool> as_boolean() const;
  std::optional<std::int64_t> as_integer() const;  // nothing where it does not fit
  std::optional<std::uint64_t> as_count() const;   // of an integer that is not negative
  std::optional<double> as_number() const;         // of an integer too
  std::optional<std::string_view> as_string() const;

  std::size_t size() const;                                            // of an array or object; else 0
  JsonView at(std::size_t index) const;                                // of an array; null beyond its end
  std::optional<JsonView> find(std::string_view key) const;            // of an object
  std::vector<std::pair<std::string_view, JsonView>> members() const;  // of an object, in order

  std::string dump() const;    // one line, no spaces
  std::string pretty() const;  // for people, two spaces to a level

 private:
  friend class Json;
  json_object* value_ = nullptr;
};

// An owned value.
class Json {
 public:
  Json() = default;  // null
  Json(const Json& other);
  Json(Json&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  Json& operator=(Json other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Json();

  static Json object();
  static Json array();
  static Json boolean(bool value);
  static Json integer(std::int64_t value);
  static Json count(std::uint64_t value);      // also one that is no std::int64_t: a seed
  static Json number(double value);            // infinities and NaN, which JSON lacks, become null
  static Json string(std::string_view value);  // what is not UTF-8, and NUL, becomes U+FFFD
  static Json strings(const std::vector<std::string>& values);  // an array
  static Json copy_of(JsonView view);

  // One whole value and nothing after it; at most kDepth levels. Errors are of kind usage and give the byte.
  static constexpr int kDepth = 32;
  static Result<Json> parse(std::string_view text);

  // Sets a key of an object, or appends to an array. For any other kind it is a bug. They return *this, so
  // that a value is built in one expression: Json::object().set("lab", "classroom").set("ready", 20).
  Json& set(std::string_view key, Json value) &;
  Json&& set(std::string_view key, Json value) && { return std::move(set(key, std::move(value))); }
  Json& set(std::string_view key, std::string_view value) & { return set(key, string(value)); }
  Json&& set(std::string_view key, std::string_view value) && { return std::move(set(key, string(value))); }
  Json& set(std::string_view key, const char* value) & { return set(key, string(value)); }
  Json&& set(std::string_view key, const char* value) && { return std::move(set(key, string(value))); }
  Json& add(Json value) &;
  Json&& add(Json value) && { return std::move(add(std::move(value))); }

  JsonView view() const { return JsonView(value_); }
  operator JsonView() const { return view(); }  // NOLINT: a view of it is what readers take
  JsonKind kind() const { return view().kind(); }
  std::optional<JsonView> find(std::string_view key) const { return view().find(key); }
  std::string dump() const { return view().dump(); }
  std::string pretty() const { return view().pretty(); }

 private:
  explicit Json(json_object* value) : value_(value) {}
  json_object* value_ = nullptr;  // json-c's null is the null pointer
};

// What stands under a key of an object: empty, or zero, where nothing of that kind does.
std::string text_of(JsonView object, std::string_view key);
double number_of(JsonView object, std::string_view key);
std::uint64_t count_of(JsonView object, std::string_view key);  // zero, too, where it is negative

}  // namespace rookery
