// A fault back into its words.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "vboot/faults/fault.h"
#include "vboot/faults/fault_words.h"
#include "vboot/lab/quantity.h"

namespace rookery::vboot {
namespace {

std::string without_space(std::string text) {
  std::erase(text, ' ');
  return text;
}

}  // namespace

// The fewest digits that are read as the same number.
std::string share_text(double chance) {
  for (int digits = 0; digits < 18; ++digits) {
    const std::string text = fmt::format("{:.{}f}", chance * 100, digits);
    if (std::stod(text) / 100 == chance) return text + "%";
  }
  return fmt::format("{}%", chance * 100);
}
std::string time_text(Duration duration) {
  return (duration < Duration{0} ? "-" : "") + without_space(to_text(std::chrono::abs(duration)));
}
std::string size_text(Bytes size) {
  return without_space(to_text(size));
}
std::string rate_text(BitRate rate) {
  return without_space(to_text(rate));
}
std::string list_text(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ","));
}

void tell_bare(const FaultSpec& fault, FaultPairs& words) {
  words.emplace_back(kind_of(fault.effect).word, "");
}

namespace {

FaultPairs pairs_of(const FaultSpec& fault) {
  FaultPairs words;
  if (!fault.on.empty()) words.emplace_back("on", list_text(fault.on));
  const FaultKind& kind = kind_of(fault.effect);
  kind.tell(fault, words);
  if (!kind.value_is_chance && fault.limits.chance != 1)
    words.emplace_back("chance", share_text(fault.limits.chance));
  if (fault.direction == FaultDirection::up) words.emplace_back("direction", "up");
  if (fault.direction == FaultDirection::down) words.emplace_back("direction", "down");
  if (!fault.match.empty()) words.emplace_back("match", fault.match);
  if (fault.limits.skip != 0) words.emplace_back("skip", fmt::to_string(fault.limits.skip));
  if (fault.limits.count) words.emplace_back("count", fmt::to_string(*fault.limits.count));
  if (fault.time) words.emplace_back("for", time_text(*fault.time));
  return words;
}

// Quoted for parse_fault's line, if it needs to be: no match expression of use has both quotes.
std::string quoted(const std::string& word) {
  if (word.find_first_of(" \t'\"") == std::string::npos) return word;
  const char quote = word.find('\'') == std::string::npos ? '\'' : '"';
  const std::size_t value = word.find('=') + 1;  // words without '=' need no quotes
  return word.substr(0, value) + quote + word.substr(value) + quote;
}

}  // namespace

std::vector<std::string> to_words(const FaultSpec& fault) {
  std::vector<std::string> words;
  for (const auto& [key, value] : pairs_of(fault)) {
    if (key == "on" && !is_fault_word(value)) {
      words.push_back(value);
    } else {
      words.push_back(value.empty() ? std::string(key) : fmt::format("{}={}", key, value));
    }
  }
  if (!fault.name.empty()) words.push_back("name=" + fault.name);
  return words;
}

std::string to_text(const FaultSpec& fault) {
  std::vector<std::string> words;
  for (const std::string& word : to_words(fault)) words.push_back(quoted(word));
  return fmt::format("{}", fmt::join(words, " "));
}

Json to_json(const FaultSpec& fault) {
  Json object = Json::object().set("name", fault.name);
  for (const auto& [key, value] : pairs_of(fault)) {
    object.set(key, value.empty() ? Json::boolean(true) : Json::string(value));
  }
  return object;
}

}  // namespace rookery::vboot
