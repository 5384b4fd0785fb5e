#include "vboot/scenario/plan/scenario_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "vboot/faults/kind.h"
#include "vboot/scenario/plan/schedule.h"

namespace rookery::vboot {
namespace {

class Planner {
 public:
  Planner(const Scenario& scenario, ScenarioPlan& plan, Problems& problems)
      : scenario_(scenario), plan_(plan), problems_(problems) {}

  void plan() {
    for (const Step& step : scenario_.steps) plan_.steps.push_back(planned(step));
    for (const Expectation& expectation : scenario_.expectations) {
      PlannedExpectation& added = plan_.expectations.emplace_back();
      added.expectation = expectation;
      if (expectation.kind != Expectation::Kind::check) added.condition = planned(expectation.condition);
    }
    if (scenario_.ends.when) plan_.ends_when = planned(*scenario_.ends.when);
    plan_.ends_after = scenario_.ends.after;
  }

 private:
  PlannedStep planned(const Step& step) {
    PlannedStep made;
    made.step = step;
    // A stream for each step, by its name, so that one more step shifts no other's choices.
    Random random(plan_.lab.seed, "scenario/" + step.name);
    const auto span = static_cast<std::uint64_t>((step.when.latest - step.when.earliest).count());
    made.after = step.when.earliest + Duration(static_cast<std::int64_t>(random.below(span + 1)));
    if (step.when.on) {
      made.on = PlannedEvent{*step.when.on, {}};
      if (step.when.on->kind == Event::Kind::condition) made.on->condition = planned(step.when.on->condition);
    }
    if (const auto* power = std::get_if<PowerStep>(&step.what))
      made.machines = chosen(power->who, step.at, &random);
    if (const auto* program = std::get_if<ProgramStep>(&step.what))
      made.machines = chosen(program->who, step.at, &random);
    if (const auto* fault = std::get_if<FaultSpec>(&step.what)) check_places(*fault, step.at);
    return made;
  }

  PlannedCondition planned(const Condition& condition) {
    using Quantifier = Condition::Quantifier;
    PlannedCondition made;
    made.condition = condition;
    made.machines = chosen(condition.who, condition.at, nullptr);
    const std::size_t all = made.machines.size();
    const std::size_t count = condition.percent ? (all * condition.count + 99) / 100 : condition.count;
    if (condition.quantifier == Quantifier::at_least && count > all) {
      problems_.add(condition.at, fmt::format("'{}' cannot be: there are {} of them", condition.text, all));
    }
    switch (condition.quantifier) {
      case Quantifier::all:
        made.least = made.most = all;
        break;
      case Quantifier::any:
        made.least = 1;
        made.most = all;
        break;
      case Quantifier::none:
        break;
      case Quantifier::at_least:
        made.least = count;
        made.most = all;
        break;
      case Quantifier::at_most:
        made.most = count;
        break;
    }
    return made;
  }

  MachineList chosen(const Selection& who, Place at, Random* random) {
    MachineList list;
    for (const MachinePlan& machine : plan_.lab.machines) {
      if (belongs(machine, who)) list.push_back(machine.index);
    }
    for (const std::string& pattern : who.patterns) check_machine(pattern, at);
    if (!who.some) return list;
    if (*who.some > list.size()) {
      problems_.add(at, fmt::format("{} of them cannot be chosen: there are {}", *who.some, list.size()));
      return list;
    }
    for (std::size_t i = 0; i < *who.some; ++i) std::swap(list[i], list[i + random->below(list.size() - i)]);
    list.resize(*who.some);
    std::sort(list.begin(), list.end());
    return list;
  }

  static bool belongs(const MachinePlan& machine, const Selection& who) {
    switch (who.group) {
      case Selection::Group::clients:
        return !serves_boot(machine.roles);
      case Selection::Group::boot_server:
        return serves_boot(machine.roles);
      case Selection::Group::everything:
        return true;
      case Selection::Group::named:
        break;
    }
    return std::any_of(who.patterns.begin(), who.patterns.end(),
                       [&](const std::string& pattern) { return fits(pattern, machine.name); });
  }

  void check_machine(std::string_view pattern, Place at) {
    for (const MachinePlan& machine : plan_.lab.machines) {
      if (fits(pattern, machine.name)) return;
    }
    problems_.add(at, fmt::format("the lab has no machine '{}'; it has {}", pattern, machines_in_words()));
  }

  std::string machines_in_words() const {
    constexpr std::size_t kNamed = 4;
    const auto& all = plan_.lab.machines;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < std::min(kNamed, all.size()); ++i) names.push_back(all[i].name);
    if (all.size() > kNamed + 1) names.push_back("…");
    if (all.size() > kNamed) names.push_back(all.back().name);
    return fmt::format("{}", fmt::join(names, ", "));
  }

  // Machines, switches, and trunks as "east" or "east:core".
  void check_places(const FaultSpec& fault, Place at) {
    const auto known = [&](std::string_view pattern) {
      const auto& switches = plan_.lab.switches;
      return std::any_of(plan_.lab.machines.begin(), plan_.lab.machines.end(),
                         [&](const MachinePlan& machine) { return fits(pattern, machine.name); }) ||
             std::any_of(switches.begin(), switches.end(), [&](const SwitchSpec& spec) {
               return fits(pattern, spec.name) ||
                      std::any_of(spec.uplinks.begin(), spec.uplinks.end(), [&](std::size_t uplink) {
                        return fits(pattern, spec.name + ":" + switches[uplink].name);
                      });
             });
    };
    for (const std::string& pattern : fault.on) {
      if (!known(pattern))
        problems_.add(at, fmt::format("the lab has no machine, switch or trunk '{}'; it has {}", pattern,
                                      machines_in_words()));
    }
    if (const auto named = kind_of(fault.effect).machines_named) {
      for (const std::string& name : named(fault)) check_machine(name, at);
    }
  }

  const Scenario& scenario_;
  ScenarioPlan& plan_;
  Problems& problems_;
};

}  // namespace

Result<Lab> lab_of(const Scenario& scenario, std::string* read) {
  if (const Lab* inside = std::get_if<Lab>(&scenario.lab)) return *inside;
  const auto path =
      std::filesystem::path(scenario.filename).parent_path() / std::get<std::string>(scenario.lab);
  const auto text = read_file(path, mebibytes(1));
  if (!text) {
    return fail(ErrorKind::usage, at_place(scenario.filename, scenario.lab_at, text.error().message));
  }
  if (read != nullptr) *read = *text;
  return parse_lab(*text, path.string(), beside(path.string()));
}

Result<ScenarioPlan> plan_scenario(const Scenario& scenario, const Lab& lab, const ScenarioOptions& options) {
  ScenarioPlan plan;
  plan.name = scenario.name;
  plan.filename = scenario.filename;
  PlanOptions lab_options;
  lab_options.nodes = options.nodes;
  lab_options.seed = options.seed.value_or(scenario.seed.value_or(1));
  auto lab_plan = plan_lab(lab, lab_options);
  if (!lab_plan) return tl::unexpected<Error>(lab_plan.error());
  plan.lab = std::move(*lab_plan);
  Problems problems(scenario.filename);
  Planner(scenario, plan, problems).plan();
  check_schedule(plan, problems);
  if (!problems.empty()) return tl::unexpected(problems.to_error());
  return plan;
}

}  // namespace rookery::vboot
