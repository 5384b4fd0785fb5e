// A script's text taken apart: lines, labels, words and ${settings}. Pure; the interpreter is ipxe_script.h.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rookery::ipxe {

struct ScriptLine {
  std::size_t number = 0;  // of its first line in the file, from 1
  std::string command;     // without the label
};

struct ScriptText {
  std::vector<ScriptLine> lines;
  std::map<std::string, std::size_t, std::less<>>
      labels;  // to the index in lines; the first of a name counts

  static Result<ScriptText> parse(std::string_view text);
};

// Whether it begins with "#!ipxe" (or the older "#!gpxe") and white space.
bool is_script(std::string_view text);

// A line's words, up to a comment.
std::vector<std::string_view> split_words(std::string_view command);

// The word with every ${name} replaced, innermost first, so that names can be put together from other
// settings.
using Lookup = std::function<Result<std::string>(std::string_view name)>;
Result<std::string> expand(std::string_view word, const Lookup& lookup);

}  // namespace rookery::ipxe
