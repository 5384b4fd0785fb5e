#include "vboot/lab/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace rookery::vboot {
namespace {

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

}  // namespace

bool is_name(std::string_view text, std::size_t longest, std::string_view also) {
  if (text.empty() || text.size() > longest || text[0] < 'a' || text[0] > 'z') return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_lower_or_digit(c) || also.find(c) != std::string_view::npos; });
}

bool is_domain(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('.', start), text.size());
    const std::string_view label = text.substr(start, end - start);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return is_lower_or_digit(c) || c == '-'; })) {
      return false;
    }
    start = end + 1;
  }
  return true;
}

std::optional<std::int64_t> parse_clock(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00 00:00:00";
  constexpr std::size_t kDateAlone = 10;
  if (text.size() != kForm.size() && text.size() != kDateAlone) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' ? !is_digit : text[i] != kForm[i]) return std::nullopt;
  }
  const std::string whole = std::string(text) + std::string(kForm.substr(text.size()));
  const auto number = [&](std::size_t at, std::size_t length) {
    return std::atoi(whole.substr(at, length).c_str());
  };
  const std::chrono::year_month_day day{std::chrono::year(number(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const std::int64_t seconds = std::int64_t{std::chrono::sys_days(day).time_since_epoch().count()} * 86'400 +
                               hour * 3'600 + minute * 60 + second;
  if (seconds < 0 || seconds > kLatestClock) return std::nullopt;
  return seconds;
}

std::string clock_text(std::int64_t seconds) {
  const auto time = std::chrono::sys_seconds(std::chrono::seconds(seconds));
  const auto midnight = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day day(midnight);
  const auto in_day = (time - midnight).count();
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()), in_day / 3'600,
                     in_day / 60 % 60, in_day % 60);
}

}  // namespace rookery::vboot
