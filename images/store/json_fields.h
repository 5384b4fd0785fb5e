// Reading JSON strictly, over json-c: a FieldReader takes the fields of one object by name and remembers the
// first thing that is wrong, with the path of its field; finish() also refuses fields that nobody asked for.
// It borrows the object, which must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"

struct json_object;

namespace rookery::images {

struct JsonRelease {
  void operator()(json_object* object) const;
};
using JsonOwner = std::unique_ptr<json_object, JsonRelease>;

// The one JSON value that `text` is. At most `depth` levels; nothing may follow it.
Result<JsonOwner> parse_json(std::string_view text, int depth = 8);

class FieldReader {
 public:
  // `path` names the object in errors: "manifest", "manifest.components[2]".
  FieldReader(json_object* object, std::string path);

  bool has(const char* field) const;  // for fields that may be missing
  std::string text(const char* field, std::size_t longest);
  std::int64_t integer(const char* field, std::int64_t least, std::int64_t most);
  Digest256 digest(const char* field);  // 64 hexadecimal digits
  void object(const char* field, const std::function<void(FieldReader&)>& read);
  void objects(const char* field, std::size_t most, const std::function<void(FieldReader&)>& read);

  // Remembers that `field` is wrong, unless something was wrong before.
  void refuse(std::string_view field, std::string_view why);
  bool ok() const { return error_.empty(); }
  Status finish();

 private:
  json_object* take(const char* field, int type, std::string_view type_name);
  void absorb(FieldReader& inner);

  json_object* object_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
  std::string error_;
};

}  // namespace rookery::images
