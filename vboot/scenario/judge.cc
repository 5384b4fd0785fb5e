#include "vboot/scenario/judge.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::vboot {
namespace {

using Kind = Expectation::Kind;

bool counts(const Condition& condition, const BootRecord& machine) {
  if (std::find(condition.stages.begin(), condition.stages.end(), machine.stage) == condition.stages.end())
    return false;
  return machine.stage != Stage::failed || !condition.reason || condition.reason->fits(machine.reason);
}

std::string state_of(const BootRecord& machine) {
  if (machine.stage != Stage::failed) return std::string(to_string(machine.stage));
  return fmt::format("failed in the stage {}: {}", to_string(machine.failed_in), machine.reason);
}

std::string at_time(Duration time) {
  return fmt::format("{:.3f} s", seconds(time));
}

// Of what holds, and came too late.
std::string too_late(Duration came, Duration deadline, std::string_view evidence) {
  return fmt::format("too late: it came true at {}, {} after the time was up ({})", at_time(came),
                     at_time(came - deadline), evidence);
}

}  // namespace

bool holds(const PlannedCondition& condition, Records machines) {
  const auto count = static_cast<std::size_t>(
      std::count_if(condition.machines.begin(), condition.machines.end(),
                    [&](std::uint32_t index) { return counts(condition.condition, *machines[index]); }));
  return count >= condition.least && count <= condition.most;
}

std::string evidence(const PlannedCondition& condition, Records machines, const LabPlan& lab) {
  constexpr std::size_t kNamed = 3;
  std::vector<std::uint32_t> in, out;
  for (const std::uint32_t index : condition.machines) {
    (counts(condition.condition, *machines[index]) ? in : out).push_back(index);
  }
  std::string text = fmt::format("{} of {}", in.size(), condition.machines.size());
  // Too many of them are shown by those that are, too few by those that are not.
  const auto& against = in.size() > condition.most ? in : out;
  if (holds(condition, machines) || against.empty()) return text;
  for (std::size_t i = 0; i < std::min(kNamed, against.size()); ++i) {
    text += fmt::format("{}{}: {}", i == 0 ? "; " : " | ", lab.machines[against[i]].name,
                        state_of(*machines[against[i]]));
  }
  if (against.size() > kNamed) text += fmt::format(" | and {} more", against.size() - kNamed);
  return text;
}

Judge::Judge(const ScenarioPlan& plan, Records machines) : plan_(plan) {
  for (const PlannedExpectation& planned : plan.expectations) {
    if (planned.expectation.kind == Kind::check) continue;
    cases_.push_back({&planned, holds(planned.condition, machines), std::nullopt, std::nullopt, {}});
  }
}

void Judge::observe(Duration now, Records machines, bool faults_over) {
  if (!faults_over) faults_over_.reset();
  if (faults_over && !faults_over_) faults_over_ = now;
  for (Case& one : cases_) {
    const Kind kind = one.planned->expectation.kind;
    const bool so = holds(one.planned->condition, machines);
    const bool became_so = so && !one.was_so;
    one.was_so = so;
    // What came true after some faults has to be so again after the last.
    if (kind == Kind::after_faults && !faults_over) {
      one.decided.reset();
      one.late.reset();
    }
    if (one.decided || one.late || kind == Kind::at_end) continue;
    const auto limit = deadline(one);
    const bool counts_now = kind == Kind::never        ? became_so
                            : kind == Kind::eventually ? so
                                                       : so && faults_over;
    if (!counts_now) continue;
    const bool late = limit && now > *limit;
    (late ? one.late : one.decided) = now;
    const std::string evidence = vboot::evidence(one.planned->condition, machines, plan_.lab);
    one.evidence = late ? too_late(now, *limit, evidence) : fmt::format("at {}: {}", at_time(now), evidence);
  }
}

// None of what has no time limit, or whose faults have not ended.
std::optional<Duration> Judge::deadline(const Case& one) const {
  const Expectation& expectation = one.planned->expectation;
  if (!expectation.within || expectation.kind == Kind::never || expectation.kind == Kind::at_end)
    return std::nullopt;
  if (expectation.kind == Kind::eventually) return expectation.within;
  if (!faults_over_) return std::nullopt;
  return *faults_over_ + *expectation.within;
}

bool Judge::is_decided(Duration now) const {
  return std::all_of(cases_.begin(), cases_.end(), [&](const Case& one) {
    const Expectation& expectation = one.planned->expectation;
    if (one.decided || expectation.kind == Kind::never || expectation.kind == Kind::at_end) return true;
    const auto limit = deadline(one);
    return limit && now > *limit;
  });
}

std::vector<Verdict> Judge::verdicts(Duration now, Records machines) const {
  std::vector<Verdict> verdicts;
  for (const Case& one : cases_) {
    const Expectation& expectation = one.planned->expectation;
    const std::string at_the_end = fmt::format("at the end, at {}: {}", at_time(now),
                                               vboot::evidence(one.planned->condition, machines, plan_.lab));
    Verdict verdict{expectation.text, expectation.at.line, one.decided.has_value(),
                    one.decided ? one.evidence : at_the_end};
    if (expectation.kind == Kind::never) {
      verdict.held = !one.decided;
      if (verdict.held) verdict.evidence = "it was not";
    } else if (expectation.kind == Kind::at_end) {
      verdict.held = holds(one.planned->condition, machines);
      verdict.evidence = at_the_end;
    } else if (expectation.kind == Kind::after_faults && !faults_over_) {
      verdict.evidence = "the faults had not ended when the run did";
    } else if (!one.decided) {
      // What is so at the end and was not in time would read like success.
      if (one.late) verdict.evidence = one.evidence;
      if (one.late && !holds(one.planned->condition, machines)) verdict.evidence += "; " + at_the_end;
      if (expectation.kind == Kind::after_faults)
        verdict.evidence =
            fmt::format("the faults ended at {}; {}", at_time(*faults_over_), verdict.evidence);
    }
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

}  // namespace rookery::vboot
