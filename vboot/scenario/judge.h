// Whether what a scenario expects came true. Told of every change; a plain state machine without a clock of
// its own. Owned by whoever runs the scenario; borrows the plan.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/units.h"
#include "vboot/scenario/plan/scenario_plan.h"
#include "vboot/watch/boot_record.h"

namespace rookery::vboot {

// The machines' records, by their index in the plan.
using Records = std::span<const BootRecord* const>;

bool holds(const PlannedCondition& condition, Records machines);
// Why it holds or not: the counts and, by name, some of those that stand against it.
std::string evidence(const PlannedCondition& condition, Records machines, const LabPlan& lab);

struct Verdict {
  std::string expectation;  // in words
  int line = 0;             // of the scenario's file
  bool held = false;
  std::string evidence;
};

class Judge {
 public:
  // The machines as they are before the start: what is so then has not become so.
  Judge(const ScenarioPlan& plan, Records machines);

  // Something changed, at a time since the start. `faults_over`: no fault is in force or to come.
  void observe(Duration now, Records machines, bool faults_over);
  // All that has a time limit of its own has been decided.
  bool is_decided(Duration now) const;
  // The end of the run. Programs of the workload and checks are judged by others.
  std::vector<Verdict> verdicts(Duration now, Records machines) const;

 private:
  struct Case {
    const PlannedExpectation* planned = nullptr;
    bool was_so = false;              // at the last look
    std::optional<Duration> decided;  // came true or, of never, was broken
    std::optional<Duration> late;     // came true, but after its time was up
    std::string evidence;             // of that moment
  };
  std::optional<Duration> deadline(const Case& one) const;

  const ScenarioPlan& plan_;
  std::vector<Case> cases_;
  std::optional<Duration> faults_over_;  // since when
};

}  // namespace rookery::vboot
