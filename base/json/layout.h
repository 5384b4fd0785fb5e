// JSON as files have it whose bytes somebody else settled: an image's record, a domain's configuration.
// Everything else is written by JsonView::dump() or pretty().
#pragma once

#include <string>

#include "base/json/json.h"

namespace rookery {

struct JsonLayout {
  bool in_lines = false;        // a member or an element to a line, and two spaces to a level
  bool spaced = false;          // a space behind ':', and behind ',' where it does not end a line
  bool escape_slashes = false;  // "\/" for each '/'
};

// Without a line's end behind it.
std::string write_json(JsonView value, JsonLayout layout);

}  // namespace rookery
