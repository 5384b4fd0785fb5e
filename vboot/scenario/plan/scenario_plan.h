// What a scenario will do with its lab for one seed and size: whom each step concerns and, where the file
// leaves it to the seed, which of them and when. Pure: the same file, seed and size give the same plan. What
// cannot happen is found here, before anything starts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/scenario/plan/scenario.h"

namespace rookery::vboot {

// Machines by their index in the plan, in its order.
using MachineList = std::vector<std::uint32_t>;

struct PlannedCondition {
  Condition condition;
  MachineList machines;
  std::size_t least = 0, most = 0;  // so many of them have to be in one of its stages
};

struct PlannedEvent {
  Event event;
  PlannedCondition condition;  // of that kind
};

struct PlannedStep {
  Step step;
  std::optional<PlannedEvent> on;
  Duration after{0};     // the event or, without one, the start
  MachineList machines;  // of power and programs
};

struct PlannedExpectation {
  Expectation expectation;
  PlannedCondition condition;
};

struct ScenarioPlan {
  std::string name;
  std::string filename;
  LabPlan lab;
  std::vector<PlannedStep> steps;
  std::vector<PlannedExpectation> expectations;
  std::optional<PlannedCondition> ends_when;
  std::optional<Duration> ends_after;

  // When it is over at the latest.
  Duration latest() const { return ends_after.value_or(kPatience); }
};

struct ScenarioOptions {
  std::optional<std::uint32_t> nodes;  // as of a lab
  std::optional<std::uint64_t> seed;   // instead of the file's
};

// The lab that a scenario is about: its own, or the file that it names, whose text goes to `read`.
Result<Lab> lab_of(const Scenario& scenario, std::string* read = nullptr);

// Errors are of kind usage, with a line for each problem of the file.
Result<ScenarioPlan> plan_scenario(const Scenario& scenario, const Lab& lab, const ScenarioOptions& options);

}  // namespace rookery::vboot
