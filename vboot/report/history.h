// What happened in a lab, as far as a picture of it needs: each machine's stages with their times, the boot
// server's traffic, memory, faults, steps. A plain value without a clock; every time counts from the lab's
// start. Bounded, whatever a run does and however long it goes on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/watch/boot_record.h"

namespace rookery::vboot {

// A number that changes over time. Keeps its first and last value and some between; as it grows long, every
// second of those goes.
class Series {
 public:
  static constexpr std::size_t kPointsMost = 600;
  static constexpr Duration kSpacing = std::chrono::milliseconds(100);  // between points, of a short run

  struct Point {
    Duration at{0};
    std::uint64_t value = 0;
    friend bool operator==(const Point&, const Point&) = default;
  };
  // `at` is no earlier than that of the last call.
  void put(Duration at, std::uint64_t value);
  std::vector<Point> points() const;
  std::uint64_t last() const { return last_.value; }
  Duration last_at() const { return last_.at; }
  Duration spacing() const { return spacing_; }
  // Of a counter: so many a second in the time `over` before its last point.
  double rate(Duration over) const;

 private:
  std::vector<Point> points_;
  Point last_;
  Duration spacing_ = kSpacing;
};

struct StageChange {
  Duration at{0};
  Stage stage = Stage::off;
};

struct MachineHistory {
  std::string name;
  RoleNames roles;
  std::vector<StageChange> stages;  // before the first it was off
  std::uint32_t left_out = 0;       // changes that are not kept: the newest are
  Stage failed_in = Stage::off;     // of the last failure
  std::string reason;
  bool physical = false;  // at the uplink: not the lab's, and nobody waits for it

  Stage stage() const { return stages.empty() ? Stage::off : stages.back().stage; }
  Duration since() const { return stages.empty() ? Duration{0} : stages.back().at; }
  bool is_client() const { return !serves_boot(roles) && !physical; }
  // From power-on to its first ready; none if it never was.
  std::optional<Duration> boot_time() const;
};

struct FaultSpan {
  std::string name, text;
  Duration began{0};
  std::optional<Duration> ended;  // none: in force yet
  std::string why;                // it ended
};

struct StepMark {
  Duration at{0};
  std::string text;
};

class History {
 public:
  static constexpr std::size_t kStagesMost = 64;  // of one machine
  static constexpr std::size_t kFaultsMost = 2000, kStepsMost = 2000;
  static constexpr std::size_t kTextMost = 400;  // bytes of a reason or a fault's text

  History() = default;
  explicit History(const LabPlan& plan);

  // One more, which is not in the plan; its number, for what follows.
  std::size_t add_physical(std::string_view name);
  void stage(std::size_t machine, Duration at, Stage stage);
  void failure(std::size_t machine, Duration at, Stage in, std::string_view reason);
  void fault_began(Duration at, std::string_view name, std::string_view text);
  void fault_ended(Duration at, std::string_view name, std::string_view why);
  void step(Duration at, std::string_view text);
  // The boot server's counters, and the memory that is in use.
  void sample(Duration at, std::uint64_t bytes, std::uint64_t frames, Bytes memory);

  const std::vector<MachineHistory>& machines() const { return machines_; }
  const std::vector<FaultSpan>& faults() const { return faults_; }
  const std::vector<StepMark>& steps() const { return steps_; }
  std::size_t left_out() const { return left_out_; }  // faults and steps that are not kept
  const Series& bytes() const { return bytes_; }
  const Series& frames() const { return frames_; }
  const Series& memory() const { return memory_; }
  Duration end() const { return end_; }  // of the last thing noted

  std::size_t clients() const { return clients_; }
  std::size_t count(Stage stage) const;  // clients in it now
  // How long until every client is ready or has failed, if it goes on as it lately did; none before the
  // first is, and after the last.
  std::optional<Duration> time_left(Duration now) const;

 private:
  void passed(Duration at) { end_ = std::max(end_, at); }

  std::vector<MachineHistory> machines_;
  std::vector<FaultSpan> faults_;
  std::vector<StepMark> steps_;
  std::size_t left_out_ = 0, clients_ = 0;
  Series bytes_, frames_, memory_;
  Duration end_{0};
};

}  // namespace rookery::vboot
