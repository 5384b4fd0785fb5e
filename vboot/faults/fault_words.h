// The words of one fault as they were given, and how a reader takes them: each by its key, once, and at the
// end none may be left. The first thing that is wrong is kept, and what is read after it means nothing. Also
// how values are written. For fault.cc, fault_text.cc and the families alone.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/faults/fault.h"
#include "vboot/faults/kind.h"
#include "vboot/lab/quantity.h"

namespace rookery::vboot {

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
  // The kind of the one effect. "queue" belongs to "rate" where both stand.
  const FaultKind& take_effect(std::string& value);
  void nothing_left(std::string_view effect);
  void no_value(std::string_view key, std::string_view value);

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

// Values as FaultWords reads them.
std::string share_text(double chance);  // 10%, never 10.000000000000002%
std::string time_text(Duration duration);
std::string size_text(Bytes size);
std::string rate_text(BitRate rate);
std::string list_text(const std::vector<std::string>& names);

// Of kinds whose word stands alone.
template <typename Effect>
FaultEffect read_bare(FaultWords& words, const std::string& value) {
  words.no_value(kind_of(Effect{}).word, value);
  return Effect{};
}
void tell_bare(const FaultSpec& fault, FaultPairs& words);

}  // namespace rookery::vboot
