// What people who know tc's netem (and tools like it) type, in our words: for the answer to words that are
// not ours. A fault here has one effect, and a value stands behind its '='.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "vboot/faults/fault.h"
#include "vboot/faults/fault_words.h"
#include "vboot/lab/quantity.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kTokensMost = 64;

// Words of other tools, and ours for them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kHabits{{{"latency", "delay"},
                                                                                 {"lag", "delay"},
                                                                                 {"drop", "loss"},
                                                                                 {"packet-loss", "loss"},
                                                                                 {"corruption", "corrupt"},
                                                                                 {"dup", "duplicate"},
                                                                                 {"duplication", "duplicate"},
                                                                                 {"reordering", "reorder"},
                                                                                 {"bandwidth", "rate"},
                                                                                 {"bw", "rate"},
                                                                                 {"unplug", "down"},
                                                                                 {"disconnect", "down"},
                                                                                 {"pause", "freeze"},
                                                                                 {"unpause", "thaw"}}};
// Words that go with any effect of frames and have a value of their own.
constexpr std::array<std::string_view, 6> kBeside{"direction", "match", "skip", "count", "for", "chance"};

bool begins_a_number(std::string_view token) {
  return !token.empty() && ((token[0] >= '0' && token[0] <= '9') || token[0] == '.');
}

class Translator {
 public:
  explicit Translator(std::span<const std::string> words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string_view word = words[i];
      const std::size_t equals = word.find('=');
      const std::string_view key = word.substr(0, equals);
      const bool is_place = i == 0 && equals == std::string_view::npos && our_word(key).empty();
      if (is_place || key == "on") {
        place_ = is_place ? key : word.substr(std::min(word.size(), equals + 1));
        continue;
      }
      tokens_.push_back(key);
      if (equals != std::string_view::npos) tokens_.push_back(word.substr(equals + 1));
    }
  }

  // The faults that are meant, a line each; none if that is not clear.
  std::vector<std::string> lines() {
    if (place_.empty() || tokens_.size() > kTokensMost) return {};
    while (at_ < tokens_.size()) {
      if (!effect()) return {};
    }
    std::vector<std::string> lines;
    for (const std::string& made : faults_) {
      lines.push_back(fmt::format("{} {}{}", place_, made, beside_));
      std::vector<std::string> words;
      for (const std::string_view word : split_at(lines.back(), ' ')) words.emplace_back(word);
      if (lines.back().find('\'') == std::string::npos && !is_fault(words)) return {};
    }
    return lines;
  }

 private:
  static std::string_view our_word(std::string_view word) {
    for (const auto& [written, meant] : kHabits) {
      if (written == word) return meant;
    }
    return is_fault_word(word) ? word : std::string_view();
  }
  bool more() const { return at_ < tokens_.size(); }
  std::string_view take() { return more() ? tokens_[at_++] : std::string_view(); }
  bool take_if(std::string_view word) {
    if (!more() || tokens_[at_] != word) return false;
    ++at_;
    return true;
  }
  // A number with or without unit; empty if there is none.
  std::string_view number() { return more() && begins_a_number(tokens_[at_]) ? take() : std::string_view(); }
  std::string share() {
    std::string text(number());
    if (!text.empty() && !text.ends_with('%')) text += '%';
    return text;
  }

  bool effect() {
    const std::string_view said = take(), word = our_word(said);
    if (word == "delay") return delay();
    if (word == "loss") return loss();
    if (word == "corrupt" || word == "duplicate" || word == "reorder") {
      const std::string chance = share();
      (void)number();                      // how much it depends on the last frame: faults of ours do not
      if (take_if("gap")) (void)number();  // each n-th
      return !chance.empty() && add(fmt::format("{}={}", word, chance));
    }
    if (word == "rate") {
      const std::string_view rate = number();
      while (take_if("burst") || take_if("latency") || take_if("limit")) (void)number();  // of tc's tbf
      return !rate.empty() && add(fmt::format("rate={}", in_bits(rate)));
    }
    if (word == "jitter") return jitter(std::string(number()));
    if (word == "down" || word == "freeze" || word == "thaw" || word == "reset" || word == "power-cut")
      return add(std::string(word));
    if (std::find(kBeside.begin(), kBeside.end(), word) == kBeside.end()) return false;
    const std::string value(take());
    const bool quotes = value.find(' ') != std::string::npos;
    if (value.find('\'') != std::string::npos || value.empty()) return false;
    beside_ += fmt::format(" {}={}{}{}", word, quotes ? "'" : "", value, quotes ? "'" : "");
    return true;
  }

  // netem's 'delay X Y' is X and at most Y more or less; jitter of ours is added, with that mean.
  bool delay() {
    const std::string first(number());
    if (first.empty()) return false;
    if (first.back() == '%' || !more() || !begins_a_number(tokens_[at_]) || tokens_[at_].ends_with('%')) {
      if (more() && tokens_[at_].ends_with('%')) (void)number();
      return add("delay=" + first);
    }
    const std::string second(number());
    if (more() && tokens_[at_].ends_with('%')) (void)number();
    const auto by = parse_duration(first), around = parse_duration(second);
    if (!by || !around) return false;
    if (*by > *around) {
      std::string rest = to_text(*by - *around);
      std::erase(rest, ' ');
      add("delay=" + rest);
    }
    return jitter(second);
  }
  bool jitter(const std::string& mean) {
    const std::string_view shape = take_if("distribution") ? take() : "";
    return !mean.empty() &&
           add(fmt::format("jitter={}{}{}", mean, shape.empty() ? "" : " distribution=", shape));
  }
  bool loss() {
    (void)take_if("random");
    if (!take_if("gemodel")) {
      const std::string chance = share();
      (void)share();
      return !chance.empty() && add("loss=" + chance);
    }
    const std::string begin = share(), end = share(), inside = share(), outside = share();
    if (begin.empty()) return false;
    std::string line = fmt::format("burst={} recover={}", begin, end.empty() ? "50%" : end);
    if (!inside.empty()) line += " inside=" + inside;
    if (!outside.empty()) line += " outside=" + outside;
    return add(std::move(line));
  }
  // tc's units of rates: "10mbit"; its "kbps" are bytes.
  static std::string in_bits(std::string_view rate) {
    const std::size_t unit = rate.find_first_not_of("0123456789.");
    std::string word(unit == std::string_view::npos ? "" : rate.substr(unit));
    for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (word == "bit" || word.empty()) return std::string(rate.substr(0, unit)) + "bit/s";
    if (word == "kbit") return std::string(rate.substr(0, unit)) + "kbit/s";
    if (word == "mbit") return std::string(rate.substr(0, unit)) + "Mbit/s";
    if (word == "gbit") return std::string(rate.substr(0, unit)) + "Gbit/s";
    return std::string(rate);
  }
  bool add(std::string line) {
    faults_.push_back(std::move(line));
    return faults_.size() <= 8;
  }

  std::string_view place_;
  std::vector<std::string_view> tokens_;
  std::size_t at_ = 0;
  std::vector<std::string> faults_;
  std::string beside_;
};

}  // namespace

std::string_view habit_of(std::string_view word) {
  for (const auto& [written, meant] : kHabits) {
    if (written == word) return meant;
  }
  return {};
}

std::string in_our_words(std::span<const std::string> words) {
  std::vector<std::string> lines = Translator(words).lines();
  if (lines.empty()) return {};
  for (std::string& line : lines) line = "'" + line + "'";
  return fmt::format("{}", fmt::join(lines, ", then "));
}

}  // namespace rookery::vboot
