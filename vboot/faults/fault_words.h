// The words of one fault as they were given, and how a reader takes them: each by its key, once, and at the
// end none may be left. The first thing that is wrong is kept, and what is read after it means nothing. For
// fault.cc and fault_text.cc alone.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/faults/fault.h"

namespace rookery::vboot {

// In the order of the alternatives of FaultEffect.
inline constexpr std::array<std::string_view, std::variant_size_v<FaultEffect>> kEffectWords{
    "loss",    "burst",     "delay", "jitter", "rate",     "duplicate", "reorder",
    "corrupt", "down",      "flap",  "queue",  "blocking", "partition", "cut",
    "restart", "power-cut", "reset", "freeze", "thaw",     "slow",      "clock-step"};

bool is_fault_word(std::string_view key);  // an effect's, or a limit's
// The words of another tool, such as tc's netem, as faults of ours: "'n1 delay=100ms'"; empty if they are
// none.
std::string in_our_words(std::span<const std::string> words);
// Our word for one of another tool ("latency": delay); empty if there is none.
std::string_view habit_of(std::string_view word);
bool is_fault(std::span<const std::string> words);  // all is well with them
std::vector<std::string_view> split_at(std::string_view text, char at);

class FaultWords {
 public:
  static constexpr std::size_t kNamesMost = 256;  // in one list

  explicit FaultWords(std::span<const std::string> words);

  std::optional<std::string> take(std::string_view key);
  // The place of the one effect in kEffectWords. "queue" belongs to "rate" where both stand.
  std::size_t take_effect(std::string& value);
  void nothing_left(std::string_view effect);

  // Values of the word `key`, as they are written.
  Duration time(std::string_view key, std::string_view text);  // more than none
  Duration signed_time(std::string_view key, std::string_view text);
  double chance(std::string_view key, std::string_view text);
  std::uint64_t number(std::string_view key, std::string_view text, std::uint64_t least);
  std::size_t choice(std::string_view key, std::string_view text, std::span<const std::string_view> words);
  std::vector<std::string> places(std::string_view key, std::string_view text);
  template <typename T>
  T quantity(std::string_view key, Result<T> value) {
    if (value) return *value;
    note(std::string(key) + ": " + value.error().message);
    return T{};
  }

  void note(std::string message) {
    if (problem_.empty()) problem_ = std::move(message);
  }
  const std::string& problem() const { return problem_; }

 private:
  struct Said {
    std::string key, value;
  };
  std::vector<Said>::iterator find(std::string_view key);
  void refuse_unknown(std::string_view key);
  void add(std::string_view word, bool first);

  std::vector<Said> said_;
  std::string problem_;
};

}  // namespace rookery::vboot
