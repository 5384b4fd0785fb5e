#include "guest/script/ipxe_text.h"

#include <algorithm>

#include "guest/script/ipxe_script.h"

namespace rookery::ipxe {
namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string_view without_leading_space(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

std::string_view first_word(std::string_view text) {
  return text.substr(
      0, static_cast<std::size_t>(std::find_if(text.begin(), text.end(), is_space) - text.begin()));
}

tl::unexpected<Error> at_line(std::size_t number, std::string_view what) {
  return fail("line " + std::to_string(number) + ": " + std::string(what));
}

}  // namespace

bool is_script(std::string_view text) {
  return text.size() > 6 && (text.starts_with("#!ipxe") || text.starts_with("#!gpxe")) && is_space(text[6]);
}

Result<ScriptText> ScriptText::parse(std::string_view text) {
  if (text.size() > kScriptMax) {
    return fail("the script is longer than " + std::to_string(kScriptMax) + " bytes");
  }
  if (!is_script(text)) return fail("it is not an iPXE script: it does not begin with #!ipxe");
  if (text.find('\0') != std::string_view::npos) return fail("the script contains a NUL");
  ScriptText script;
  std::string line;
  std::size_t number = 0, first_number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    number += 1;
    if (number > kLinesMax) return fail("the script has more than " + std::to_string(kLinesMax) + " lines");
    if (first_number == 0) first_number = number;
    if (part.ends_with('\r')) part.remove_suffix(1);
    const bool continues = part.ends_with('\\') && !text.empty();
    if (continues) part.remove_suffix(1);
    line += part;
    if (line.size() > kLineMax) {
      return at_line(first_number, "is longer than " + std::to_string(kLineMax) + " bytes");
    }
    if (continues) continue;

    std::string_view command = without_leading_space(line);
    if (command.starts_with(':')) {
      const std::string_view label = first_word(command.substr(1));
      script.labels.try_emplace(std::string(label), script.lines.size());
      command = without_leading_space(command.substr(1 + label.size()));
    }
    script.lines.push_back(ScriptLine{first_number, std::string(command)});
    line.clear();
    first_number = 0;
  }
  return script;
}

std::vector<std::string_view> split_words(std::string_view command) {
  std::vector<std::string_view> words;
  while (true) {
    command = without_leading_space(command);
    if (command.empty() || command.front() == '#') return words;
    words.push_back(first_word(command));
    command.remove_prefix(words.back().size());
  }
}

Result<std::string> expand(std::string_view word, const Lookup& lookup) {
  std::string text(word);
  for (std::size_t steps = 0;; ++steps) {
    // The innermost setting ends at the first closing brace that has an opening before it.
    std::size_t head = std::string::npos, tail = std::string::npos;
    for (std::size_t at = 0; at < text.size() && tail == std::string::npos; ++at) {
      if (text.compare(at, 2, "${") == 0) head = at;
      if (text[at] == '}' && head != std::string::npos) tail = at;
    }
    if (tail == std::string::npos) return text;
    if (steps >= kExpansionStepsMax) {
      return fail("a word with more than " + std::to_string(kExpansionStepsMax) + " settings in it");
    }
    Result<std::string> value = lookup(std::string_view(text).substr(head + 2, tail - head - 2));
    if (!value) return value;
    text.replace(head, tail + 1 - head, *value);
    if (text.size() > kExpansionMax) {
      return fail("a word that grows beyond " + std::to_string(kExpansionMax) + " bytes");
    }
  }
}

}  // namespace rookery::ipxe
