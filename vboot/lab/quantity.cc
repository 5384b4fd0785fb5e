#include "vboot/lab/quantity.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <span>

#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
// What people write and the unit that they mean.
struct Habit {
  std::string_view written, meant;
};
struct Kind {
  std::string_view name, example;
  std::span<const Unit> units;  // ascending
  std::span<const Habit> habits;
};

constexpr std::array kSizes{Unit{"B", 1}, Unit{"KiB", 1u << 10}, Unit{"MiB", 1u << 20},
                            Unit{"GiB", 1u << 30}};
constexpr std::array kSizeHabits{
    Habit{"K", "KiB"}, Habit{"k", "KiB"},  Habit{"kB", "KiB"}, Habit{"KB", "KiB"}, Habit{"M", "MiB"},
    Habit{"m", "MiB"}, Habit{"MB", "MiB"}, Habit{"mb", "MiB"}, Habit{"Mi", "MiB"}, Habit{"G", "GiB"},
    Habit{"g", "GiB"}, Habit{"GB", "GiB"}, Habit{"gb", "GiB"}, Habit{"Gi", "GiB"}, Habit{"b", "B"}};
constexpr std::array kDurations{Unit{"ns", 1},
                                Unit{"us", 1'000},
                                Unit{"ms", 1'000'000},
                                Unit{"s", 1'000'000'000},
                                Unit{"min", 60'000'000'000},
                                Unit{"h", 3'600'000'000'000}};
constexpr std::array kDurationHabits{Habit{"sec", "s"},     Habit{"secs", "s"},     Habit{"second", "s"},
                                     Habit{"seconds", "s"}, Habit{"msec", "ms"},    Habit{"usec", "us"},
                                     Habit{"µs", "us"},     Habit{"nsec", "ns"},    Habit{"m", "min"},
                                     Habit{"mins", "min"},  Habit{"minute", "min"}, Habit{"minutes", "min"},
                                     Habit{"hour", "h"},    Habit{"hours", "h"}};
constexpr std::array kRates{Unit{"bit/s", 1}, Unit{"kbit/s", 1'000}, Unit{"Mbit/s", 1'000'000},
                            Unit{"Gbit/s", 1'000'000'000}};
constexpr std::array kRateHabits{
    Habit{"bps", "bit/s"},   Habit{"b/s", "bit/s"},   Habit{"k", "kbit/s"},    Habit{"kbps", "kbit/s"},
    Habit{"Kbps", "kbit/s"}, Habit{"kb/s", "kbit/s"}, Habit{"kbit", "kbit/s"}, Habit{"M", "Mbit/s"},
    Habit{"Mbps", "Mbit/s"}, Habit{"mbps", "Mbit/s"}, Habit{"Mb/s", "Mbit/s"}, Habit{"Mbit", "Mbit/s"},
    Habit{"mbit", "Mbit/s"}, Habit{"G", "Gbit/s"},    Habit{"Gbps", "Gbit/s"}, Habit{"gbps", "Gbit/s"},
    Habit{"Gb/s", "Gbit/s"}, Habit{"Gbit", "Gbit/s"}, Habit{"gbit", "Gbit/s"}};

constexpr Kind kSize{"a size", "64 MiB", kSizes, kSizeHabits};
constexpr Kind kDuration{"a time", "100 us", kDurations, kDurationHabits};
constexpr Kind kRate{"a rate", "1 Gbit/s", kRates, kRateHabits};

tl::unexpected<Error> wrong(const Kind& kind, std::string_view text, std::string_view why) {
  return fail(ErrorKind::usage, fmt::format("expected {} with its unit, like '{}', found '{}'{}", kind.name,
                                            kind.example, text, why));
}

tl::unexpected<Error> wrong_unit(const Kind& kind, std::string_view text, std::string_view unit) {
  for (const Habit& habit : kind.habits) {
    if (habit.written == unit) return wrong(kind, text, fmt::format("; did you mean '{}'?", habit.meant));
  }
  std::array<std::string_view, 8> names;
  std::size_t count = 0;
  for (const Unit& known : kind.units) names[count++] = known.name;
  return wrong(kind, text, suggestion(unit, std::span(names).first(count), "units"));
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Result<std::uint64_t> parse(const Kind& kind, std::string_view text) {
  std::uint64_t digits = 0;  // the number without its point, at most 9 + 3 of them
  std::uint64_t divisor = 1;
  std::size_t at = 0;
  while (at < text.size() && is_digit(text[at]) && at < 9)
    digits = digits * 10 + std::uint64_t(text[at++] - '0');
  if (at == 0) return wrong(kind, text, "");
  if (at + 1 < text.size() && text[at] == '.' && is_digit(text[at + 1])) {
    for (++at; at < text.size() && is_digit(text[at]) && divisor < 1000; ++at, divisor *= 10) {
      digits = digits * 10 + std::uint64_t(text[at] - '0');
    }
  }
  if (at < text.size() && is_digit(text[at])) return wrong(kind, text, " (too many digits)");
  if (at < text.size() && text[at] == ' ') ++at;
  const std::string_view unit = text.substr(at);
  if (unit.empty()) return wrong(kind, text, " (the unit is missing)");
  for (const Unit& known : kind.units) {
    if (known.name != unit) continue;
    // 10^12 of the largest unit is beyond 64 bits.
    if (digits > std::numeric_limits<std::int64_t>::max() / known.factor)
      return wrong(kind, text, " (too large)");
    if (digits * known.factor % divisor != 0) {
      return wrong(kind, text, fmt::format(" (not a whole number of {})", kind.units.front().name));
    }
    return digits * known.factor / divisor;
  }
  return wrong_unit(kind, text, unit);
}

std::string write(const Kind& kind, std::uint64_t value) {
  const Unit* best = &kind.units.front();
  for (const Unit& unit : kind.units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return fmt::format("{} {}", value / best->factor, best->name);
}

}  // namespace

Result<Bytes> parse_size(std::string_view text) {
  return parse(kSize, text).map([](std::uint64_t n) { return Bytes{n}; });
}
Result<Duration> parse_duration(std::string_view text) {
  return parse(kDuration, text).map([](std::uint64_t n) { return Duration(static_cast<std::int64_t>(n)); });
}
Result<BitRate> parse_bit_rate(std::string_view text) {
  return parse(kRate, text).map([](std::uint64_t n) { return BitRate{n}; });
}

std::string to_text(Bytes size) {
  return write(kSize, size.count);
}
std::string to_text(Duration duration) {
  return write(kDuration, static_cast<std::uint64_t>(duration.count()));
}
std::string to_text(BitRate rate) {
  return write(kRate, rate.bits_per_second);
}

}  // namespace rookery::vboot
