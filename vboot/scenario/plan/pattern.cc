#include <fmt/format.h>
#include <regex.h>

#include <array>
#include <string_view>

#include "vboot/scenario/plan/scenario.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kLongestPattern = 500;

}  // namespace

struct Pattern::Compiled {
  regex_t program{};
  bool is_good = false;

  Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() {
    if (is_good) ::regfree(&program);
  }
};

Result<Pattern> Pattern::compile(const std::string& text) {
  // Repeats of repeats would make a small pattern a large machine.
  if (text.size() > kLongestPattern)
    return fail(ErrorKind::usage,
                fmt::format("a regular expression has at most {} characters", kLongestPattern));
  for (const std::string_view stacked : {"){", "}{", "*{", "+{", "?{"}) {
    if (text.find(stacked) != std::string::npos)
      return fail(ErrorKind::usage, fmt::format("'{}' in a regular expression is not allowed", stacked));
  }
  auto compiled = std::make_shared<Compiled>();
  const int error = ::regcomp(&compiled->program, text.c_str(), REG_EXTENDED | REG_NOSUB | REG_NEWLINE);
  compiled->is_good = error == 0;
  if (compiled->is_good) return Pattern(text, std::move(compiled));
  std::array<char, 200> why{};
  ::regerror(error, &compiled->program, why.data(), why.size());
  return fail(ErrorKind::usage, fmt::format("'{}' is no extended regular expression: {}", text, why.data()));
}

bool Pattern::fits(const std::string& text) const {
  return ::regexec(&compiled_->program, text.c_str(), 0, nullptr, 0) == 0;
}

}  // namespace rookery::vboot
