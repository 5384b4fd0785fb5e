#include "vboot/scenario/plan/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "vboot/faults/kind.h"

namespace rookery::vboot {
namespace {

const FaultSpec* fault_of(const PlannedStep& planned) {
  return std::get_if<FaultSpec>(&planned.step.what);
}

// Whether a fault is over by itself.
bool ends_by_itself(const FaultSpec& fault) {
  return fault.time || fault.limits.count || kind_of(fault.effect).is_at_once;
}

class Schedule {
 public:
  Schedule(const ScenarioPlan& plan, Problems& problems) : plan_(plan), problems_(problems) {
    for (const PlannedStep& planned : plan.steps) {
      if (!names_.insert(planned.step.name).second && !fault_of(planned)) {
        problems_.add(planned.step.at, fmt::format("the name '{}' is given twice", planned.step.name));
      }
      if (const FaultSpec* fault = fault_of(planned)) faults_[fault->name].push_back(&planned);
      if (const auto* clear = std::get_if<ClearFault>(&planned.step.what)) cleared_.insert(clear->name);
      if (std::holds_alternative<ProgramStep>(planned.step.what)) programs_[planned.step.name] = &planned;
    }
  }

  void check() {
    for (const PlannedStep& planned : plan_.steps) {
      check_end(planned);
      check_event(planned);
      check_clear(planned);
      check_circle(planned);
      check_quiet(planned);
    }
    for (const PlannedExpectation& planned : plan_.expectations) check_expectation(planned.expectation);
  }

 private:
  void check_end(const PlannedStep& planned) {
    const Duration latest = planned.step.when.latest;
    if (latest <= plan_.latest()) return;
    problems_.add(planned.step.at,
                  fmt::format("it would come {} after {}, and the run ends after {}", to_text(latest),
                              planned.on ? "its event" : "the start", to_text(plan_.latest())));
  }

  void check_event(const PlannedStep& planned) {
    if (!planned.on) return;
    const Event& event = planned.on->event;
    using Kind = Event::Kind;
    if (event.kind == Kind::program_ended && !programs_.contains(event.name)) {
      problems_.add(event.at, fmt::format("no program of the workload is called '{}'", event.name));
    }
    if (event.kind != Kind::fault_began && event.kind != Kind::fault_ended) return;
    const auto found = faults_.find(event.name);
    if (found == faults_.end()) {
      return problems_.add(event.at,
                           fmt::format("no step of the timeline sets a fault called '{}'", event.name));
    }
    const bool ends = cleared_.contains(event.name) ||
                      std::any_of(found->second.begin(), found->second.end(),
                                  [](const auto* set) { return ends_by_itself(*fault_of(*set)); });
    if (event.kind == Kind::fault_ended && !ends) {
      problems_.add(
          event.at,
          fmt::format("the fault '{}' never ends: it has no 'for=', and no step clears it", event.name));
    }
  }

  void check_clear(const PlannedStep& planned) {
    const auto* clear = std::get_if<ClearFault>(&planned.step.what);
    if (clear == nullptr) return;
    const auto found = faults_.find(clear->name);
    if (found == faults_.end()) {
      return problems_.add(planned.step.at,
                           fmt::format("no step of the timeline sets a fault called '{}'", clear->name));
    }
    const auto later = [&](const PlannedStep* set) {
      return !set->on && set->after > planned.step.when.latest;
    };
    if (!planned.on && std::all_of(found->second.begin(), found->second.end(), later)) {
      problems_.add(planned.step.at, fmt::format("the fault '{}' is cleared before it is set", clear->name));
    }
  }

  // The step that brings about what a step waits for, where there is exactly one.
  const PlannedStep* cause_of(const PlannedStep& planned) const {
    if (!planned.on) return nullptr;
    const Event& event = planned.on->event;
    if (event.kind == Event::Kind::program_ended) {
      const auto found = programs_.find(event.name);
      return found == programs_.end() ? nullptr : found->second;
    }
    if (event.kind == Event::Kind::condition) return nullptr;
    const auto found = faults_.find(event.name);
    return found == faults_.end() || found->second.size() != 1 ? nullptr : found->second.front();
  }

  void check_circle(const PlannedStep& planned) {
    const PlannedStep* cause = &planned;
    for (std::size_t i = 0; i <= plan_.steps.size() && cause != nullptr; ++i) {
      cause = cause_of(*cause);
      if (cause == &planned) {
        return problems_.add(planned.step.at,
                             fmt::format("'{}' waits for a step that waits for it", planned.step.name));
      }
    }
  }

  // Of what has a fixed time. The rest waits until the quiet time is over.
  void check_quiet(const PlannedStep& planned) {
    const auto* quiet = std::get_if<QuietStep>(&planned.step.what);
    if (quiet == nullptr || planned.on) return;
    for (const PlannedStep& other : plan_.steps) {
      const bool timeline = !std::holds_alternative<ProgramStep>(other.step.what);
      if (&other == &planned || other.on || !timeline) continue;
      if (other.step.when.latest > planned.after && other.step.when.earliest < planned.after + quiet->time) {
        problems_.add(other.step.at, fmt::format("'{}' may fall into the quiet time of line {}",
                                                 other.step.name, planned.step.at.line));
      }
    }
  }

  void check_expectation(const Expectation& expectation) {
    if (expectation.kind == Expectation::Kind::after_faults && faults_.empty()) {
      problems_.add(expectation.at, "there is no fault in the timeline that it could come after");
    }
    if (expectation.kind == Expectation::Kind::eventually && expectation.within &&
        *expectation.within > plan_.latest()) {
      problems_.add(expectation.at,
                    fmt::format("the run ends after {}, before that time", to_text(plan_.latest())));
    }
  }

  const ScenarioPlan& plan_;
  Problems& problems_;
  std::set<std::string> names_, cleared_;
  std::map<std::string, std::vector<const PlannedStep*>> faults_;
  std::map<std::string, const PlannedStep*> programs_;
};

}  // namespace

void check_schedule(const ScenarioPlan& plan, Problems& problems) {
  Schedule(plan, problems).check();
}

}  // namespace rookery::vboot
