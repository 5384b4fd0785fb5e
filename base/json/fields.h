// Reading JSON strictly: a FieldReader takes the fields of one object by name and remembers the first thing
// that is wrong, with the path of its field; finish() also refuses fields that nobody asked for. It borrows
// the object, which must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/json/json.h"
#include "base/result.h"

namespace rookery {

// The one JSON value that a file's text is, for a FieldReader: at most 8 levels and 1 GiB, and nothing may
// follow it. Errors are of kind infrastructure (a damaged file) and give the byte. Unlike Json::parse() it
// lets a NUL character in a text pass, and what is not a valid number: the FieldReader then refuses them and
// names their field.
Result<Json> parse_json_file(std::string_view text);

class FieldReader {
 public:
  // `path` names the object in errors: "manifest", "manifest.components[2]".
  FieldReader(JsonView object, std::string path);

  bool has(std::string_view field) const;  // for fields that may be missing
  std::string text(std::string_view field, std::size_t longest);
  std::int64_t integer(std::string_view field, std::int64_t least, std::int64_t most);
  Digest256 digest(std::string_view field);  // 64 hexadecimal digits
  void object(std::string_view field, const std::function<void(FieldReader&)>& read);
  void objects(std::string_view field, std::size_t most, const std::function<void(FieldReader&)>& read);

  // Remembers that `field` is wrong, unless something was wrong before.
  void refuse(std::string_view field, std::string_view why);
  bool ok() const { return error_.empty(); }
  Status finish();

 private:
  std::optional<JsonView> take(std::string_view field, JsonKind kind, std::string_view kind_name);
  void absorb(FieldReader& inner);

  JsonView object_;  // null: it was none
  std::string path_;
  std::set<std::string, std::less<>> known_;
  std::string error_;
};

}  // namespace rookery
