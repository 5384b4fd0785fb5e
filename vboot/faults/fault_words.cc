#include "vboot/faults/fault_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "vboot/lab/nearest_word.h"
#include "vboot/lab/quantity.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kWordLongest = 8192;
constexpr std::size_t kWordsMost = 32;
constexpr std::size_t kNameLongest = 96;
constexpr Duration kLongest = std::chrono::hours(24 * 365);

// Of every kind of fault, or of several.
constexpr std::array<std::string_view, 8> kCommon{"name", "on",    "direction", "match",
                                                  "skip", "count", "chance",    "for"};

std::vector<std::string_view> effect_words() {
  std::vector<std::string_view> words;
  for (const FaultKind* kind : fault_kinds()) words.push_back(kind->word);
  return words;
}

// In the order in which they are told.
std::vector<std::string_view> all_words() {
  std::vector<std::string_view> words = effect_words();
  words.insert(words.end(), kCommon.begin(), kCommon.end());
  const auto further = further_words();
  words.insert(words.end(), further.begin(), further.end());
  return words;
}

const FaultKind* kind_called(std::string_view word) {
  const auto kinds = fault_kinds();
  const auto found =
      std::find_if(kinds.begin(), kinds.end(), [&](const FaultKind* kind) { return kind->word == word; });
  return found == kinds.end() ? nullptr : *found;
}

bool is_place(std::string_view name) {
  return !name.empty() && name.size() <= kNameLongest && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == ':' || c == '*' || c == '?';
  });
}

}  // namespace

bool is_fault_word(std::string_view key) {
  static const std::vector<std::string_view> kAll = all_words();
  return std::find(kAll.begin(), kAll.end(), key) != kAll.end();
}

std::vector<std::string_view> split_at(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

FaultWords::FaultWords(std::span<const std::string> words) {
  if (words.size() > kWordsMost) note(fmt::format("{} words; at most {}", words.size(), kWordsMost));
  for (std::size_t i = 0; i < std::min(words.size(), kWordsMost); ++i) add(words[i], i == 0);
}

void FaultWords::add(std::string_view word, bool first) {
  if (word.size() > kWordLongest)
    return note(fmt::format("a word of {} characters; at most {}", word.size(), kWordLongest));
  const std::size_t equals = word.find('=');
  std::string_view key = word.substr(0, equals);
  std::string_view value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
  if (first && equals == std::string_view::npos && !is_fault_word(key)) {
    value = key;
    key = "on";
  } else if (equals != std::string_view::npos && value.empty()) {
    return note(fmt::format("'{:.64}' has no value", word));
  }
  if (find(key) != said_.end()) return note(fmt::format("'{:.64}' is said twice", key));
  said_.push_back({std::string(key), std::string(value)});
}

std::vector<FaultWords::Said>::iterator FaultWords::find(std::string_view key) {
  return std::find_if(said_.begin(), said_.end(), [&](const Said& said) { return said.key == key; });
}

std::optional<std::string> FaultWords::take(std::string_view key) {
  const auto found = find(key);
  if (found == said_.end()) return std::nullopt;
  std::string value = std::move(found->value);
  said_.erase(found);
  return value;
}

const FaultKind& FaultWords::take_effect(std::string& value) {
  const FaultKind* effect = nullptr;
  for (const Said& said : said_) {
    const FaultKind* known = kind_called(said.key);
    if (known == nullptr || (said.key == "queue" && find("rate") != said_.end())) continue;
    if (effect != nullptr) {
      note(fmt::format("'{}' and '{}' are two faults; set them one after the other", effect->word, said.key));
      return *effect;
    }
    effect = known;
  }
  if (effect == nullptr) {
    for (const Said& said : said_) refuse_unknown(said.key);  // a wrong word is likelier than none
    note(fmt::format("a fault needs one of: {}", fmt::join(effect_words(), ", ")));
    return *fault_kinds().front();
  }
  value = take(effect->word).value_or("");
  return *effect;
}

void FaultWords::nothing_left(std::string_view effect) {
  for (const Said& said : said_) {
    refuse_unknown(said.key);
    note(fmt::format("'{}' makes no sense with '{}'", said.key, effect));
  }
}

void FaultWords::no_value(std::string_view key, std::string_view value) {
  if (!value.empty()) note(fmt::format("'{}' takes no value, found '{:.64}'", key, value));
}

void FaultWords::refuse_unknown(std::string_view key) {
  if (is_fault_word(key)) return;
  const std::vector<std::string_view> all = all_words();
  const std::string_view habit = habit_of(key);
  note(fmt::format(
      "unknown word '{:.64}'{}", key,
      habit.empty() ? suggestion(key, all, "words") : fmt::format("; did you mean '{}'?", habit)));
}

Duration FaultWords::time(std::string_view key, std::string_view text) {
  const Duration value = quantity(key, parse_duration(text));
  if (value <= Duration{0} || value > kLongest)
    note(fmt::format("{}: expected a time like 20ms, and at most a year, found '{:.64}'", key, text));
  return value;
}

Duration FaultWords::signed_time(std::string_view key, std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return negative ? -time(key, text) : time(key, text);
}

double FaultWords::chance(std::string_view key, std::string_view text) {
  double value = -1;
  const bool has_sign = text.ends_with('%');
  const std::string_view digits = has_sign ? text.substr(0, text.size() - 1) : text;
  const char* end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, value, std::chars_format::fixed);
  if (!has_sign || read.ec != std::errc() || read.ptr != end || !(value >= 0 && value <= 100)) {
    const bool sign_is_all =
        !has_sign && read.ec == std::errc() && read.ptr == end && value >= 0 && value <= 100;
    note(fmt::format("{}: expected a share like 10%, found '{:.64}'{}", key, text,
                     sign_is_all ? fmt::format("; did you mean '{:.64}%'?", text) : ""));
    return 0;
  }
  return value / 100;
}

std::uint64_t FaultWords::number(std::string_view key, std::string_view text, std::uint64_t least) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  constexpr std::uint64_t kMost = 1'000'000'000'000;
  if (read.ec != std::errc() || read.ptr != end || value < least || value > kMost)
    note(fmt::format("{}: expected a number from {} on, found '{:.64}'", key, least, text));
  return value;
}

std::size_t FaultWords::choice(std::string_view key, std::string_view text,
                               std::span<const std::string_view> words) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  note(fmt::format("{}: expected {}, found '{:.64}'", key, fmt::join(words, " or "), text));
  return 0;
}

std::vector<std::string> FaultWords::places(std::string_view key, std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view name : split_at(text, ',')) {
    if (!is_place(name)) {
      note(fmt::format("{}: expected a name like n5, or a pattern like n*, found '{:.64}'", key, name));
      break;
    }
    if (names.size() == kNamesMost) {
      note(fmt::format("{}: more than {} names; a pattern like n* stands for many", key, kNamesMost));
      break;
    }
    names.emplace_back(name);
  }
  return names;
}

}  // namespace rookery::vboot
