// A scenario as its file says it, checked and with the defaults filled in: a lab, what happens to it and
// when, what its machines run, and what must be so. A plain value; see docs/scenarios.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vboot/faults/fault.h"
#include "vboot/lab/lab.h"
#include "vboot/watch/boot_record.h"

namespace rookery::vboot {

// An extended regular expression (POSIX) of a sane length, compiled once; copies share it.
class Pattern {
 public:
  // An error of kind usage says what is wrong with it.
  static Result<Pattern> compile(const std::string& text);

  // Whether the text has a place that fits; ^ and $ are the ends of a line.
  bool fits(const std::string& text) const;
  const std::string& text() const { return text_; }
  bool shares(const Pattern& other) const { return compiled_ == other.compiled_; }

 private:
  struct Compiled;
  Pattern(std::string text, std::shared_ptr<const Compiled> compiled)
      : text_(std::move(text)), compiled_(std::move(compiled)) {}

  std::string text_;
  std::shared_ptr<const Compiled> compiled_;
};

// Which machines: "clients", "boot-server", "everything", "n5", "n*", "n1 n2", "ready clients", "3 of n*".
struct Selection {
  enum class Group : std::uint8_t { named, clients, boot_server, everything };
  Group group = Group::clients;
  std::vector<std::string> patterns;  // of named; * and ? stand for others
  std::optional<std::uint32_t> some;  // so many of them, of the seed's choice
  bool ready_only = false;            // those of them that are ready when it comes to it
};

// What is so or not, at any time: "all ready", "n5 failed", "at least 95 of n* ready or failed", "no clients
// off".
struct Condition {
  enum class Quantifier : std::uint8_t { all, any, none, at_least, at_most };
  std::string text;
  Place at;
  Quantifier quantifier = Quantifier::all;
  std::uint32_t count = 0;  // of at_least and at_most
  bool percent = false;     // and whether it is a share
  Selection who;
  std::vector<Stage> stages;      // one of them
  std::optional<Pattern> reason;  // what a machine that counts as failed must say
};

// What a step waits for: the first time from the start of the run on that something becomes so.
struct Event {
  enum class Kind : std::uint8_t { condition, fault_began, fault_ended, program_ended };
  Kind kind = Kind::condition;
  std::string text;
  Place at;
  Condition condition;
  std::string name;  // of the fault or program
};

// When: `after` a time, or at a moment `within` two times of the seed's choice; both counted from the event
// or, without one, from the start.
struct Moment {
  std::optional<Event> on;
  Duration earliest{0}, latest{0};
};

struct ClearFault {
  std::string name;
};
struct PowerStep {
  std::string action;  // on, cut, reset, press
  Selection who;
};
// For so long nothing else of the timeline begins; what would have, waits.
struct QuietStep {
  Duration time{0};
};
// A program in machines, and how it must end.
struct ProgramStep {
  std::vector<std::string> argv;
  Selection who;
  int exit_code = 0;
  std::optional<Pattern> output;  // that standard output fits
  Duration timeout = std::chrono::minutes(1);
};

struct Step {
  Place at;
  std::string name;  // given, or what it does in words; no two are the same
  std::string text;  // what it does, in words
  Moment when;
  std::variant<FaultSpec, ClearFault, PowerStep, QuietStep, ProgramStep> what;
};

struct Expectation {
  enum class Kind : std::uint8_t { eventually, never, at_end, after_faults, check };
  Kind kind = Kind::at_end;
  Place at;
  std::string text;                // as in the file, in one line
  Condition condition;             // of all but check
  std::optional<Duration> within;  // of eventually (from the start) and after_faults
  std::string program;             // of check: a path, beside the scenario's file unless it is absolute
};

// When the run is over. Without a condition and a time: when all that the file has to say has happened.
struct Ends {
  std::optional<Duration> after;  // with a condition: at the latest
  std::optional<Condition> when;
};

struct Scenario {
  std::string filename;  // for errors, and what paths in it are relative to
  std::string name;
  std::variant<std::string, Lab> lab;  // a lab file's path as written, or the lab itself
  Place lab_at;
  std::optional<std::uint64_t> seed;  // unless the command line has one
  std::vector<Step> steps;            // timeline, then workload
  std::vector<Expectation> expectations;
  Ends ends;
};

inline constexpr std::size_t kStepsMax = 1000;
inline constexpr std::size_t kExpectationsMax = 200;
inline constexpr Duration kLongestRun = std::chrono::hours(24 * 7);
inline constexpr Duration kPatience = std::chrono::hours(1);  // of a run that does not say when it ends

// Reads a scenario file. The Error is of kind usage and has a line for each problem, as those of parse_lab.
// A lab that stands in it may speak of what is in `around`.
Result<Scenario> parse_scenario(std::string_view text, std::string_view filename, const Beside& around = {});

}  // namespace rookery::vboot
