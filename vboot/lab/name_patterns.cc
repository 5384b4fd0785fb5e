#include "vboot/lab/name_patterns.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace rookery::vboot {
namespace {

// At the commas that stand in no brackets.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t start = 0, depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '[') ++depth;
    if (i < text.size() && text[i] == ']' && depth > 0) --depth;
    if (i < text.size() && (text[i] != ',' || depth > 0)) continue;
    parts.push_back(text.substr(start, i - start));
    start = i + 1;
  }
  return parts;
}

std::optional<std::uint32_t> number(std::string_view digits) {
  std::uint32_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, value);
  if (digits.size() > 9 || read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

tl::unexpected<Error> wrong(std::string_view argument, std::string_view why) {
  return fail(
      ErrorKind::usage,
      fmt::format("expected machines like n1, n*, n1,n2 or node00[1-3], found '{:.64}': {}", argument, why));
}

// What stands in one pair of brackets: numbers and ranges of them, whose zeros in front are kept.
Result<std::vector<std::string>> numbers_of(std::string_view inside, std::string_view argument) {
  std::vector<std::string> numbers;
  for (const std::string_view part : split(inside)) {
    const std::size_t dash = part.find('-');
    const std::string_view from = part.substr(0, dash), to = dash == part.npos ? from : part.substr(dash + 1);
    const auto first = number(from), last = number(to);
    if (!first || !last || *last < *first)
      return wrong(argument, fmt::format("'{:.64}' is no number and no range like 1-3", part));
    if (*last - *first >= kNamesOfOneMost) return wrong(argument, "too many machines");
    for (std::uint32_t n = *first; n <= *last; ++n) numbers.push_back(fmt::format("{:0{}}", n, from.size()));
    if (numbers.size() > kNamesOfOneMost) return wrong(argument, "too many machines");
  }
  return numbers;
}

Result<std::vector<std::string>> expanded(std::string_view part, std::string_view argument) {
  std::vector<std::string> names{""};
  while (!part.empty()) {
    const std::size_t open = std::min(part.find_first_of("[]"), part.size());
    for (std::string& name : names) name += part.substr(0, open);
    part.remove_prefix(open);
    if (part.empty()) break;
    const std::size_t close = part.find(']');
    if (part[0] != '[' || close == std::string_view::npos)
      return wrong(argument, "a bracket that is not closed, or closes nothing");
    const auto numbers = numbers_of(part.substr(1, close - 1), argument);
    if (!numbers) return numbers;
    part.remove_prefix(close + 1);
    if (names.size() * numbers->size() > kNamesOfOneMost) return wrong(argument, "too many machines");
    std::vector<std::string> longer;
    for (const std::string& name : names) {
      for (const std::string& text : *numbers) longer.push_back(name + text);
    }
    names = std::move(longer);
  }
  return names;
}

}  // namespace

bool fits(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n]) && pattern[p] != '*') {
      ++p;
      ++n;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_several(std::string_view argument) {
  return argument.find_first_of("*?[],") != std::string_view::npos;
}

Result<std::vector<std::string>> names_of(std::string_view argument) {
  std::vector<std::string> names;
  for (const std::string_view part : split(argument)) {
    if (part.empty()) return wrong(argument, "a name is empty");
    auto its = expanded(part, argument);
    if (!its) return its;
    if (names.size() + its->size() > kNamesOfOneMost) return wrong(argument, "too many machines");
    names.insert(names.end(), its->begin(), its->end());
  }
  return names;
}

}  // namespace rookery::vboot
