#include "vboot/scenario/scenario_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "vboot/faults/kind.h"
#include "vboot/scenario/last_lines.h"

namespace rookery::vboot {
namespace {

void append(std::string& text, ByteView bytes) {
  const std::size_t room = ScenarioRun::kOutputKept - std::min(text.size(), ScenarioRun::kOutputKept);
  text += as_text(bytes.first(std::min(room, bytes.size())));
}

// Keeps the last of it.
void append_end(std::string& text, ByteView bytes) {
  text += as_text(bytes);
  if (text.size() > ScenarioRun::kOutputKept) text.erase(0, text.size() - ScenarioRun::kOutputKept);
}

}  // namespace

ScenarioRun::ScenarioRun(LabSession& session, const ScenarioPlan& plan, Trace& trace, RunWatcher& watcher)
    : loop_(session.loop()), lab_(session.lab()), plan_(plan), trace_(trace), watcher_(watcher) {
  for (const PlannedStep& planned : plan.steps) {
    Pending& pending = steps_.emplace_back();
    pending.result.name = planned.step.name;
    pending.result.text = planned.step.text;
    pending.result.line = planned.step.at.line;
  }
  for (const auto& node : lab_.nodes()) records_.push_back(&node->boot());
  judge_ = std::make_unique<Judge>(plan, records_);
  lab_.listen(this);
  lab_.faults().listen(*this);
}

ScenarioRun::~ScenarioRun() {
  lab_.faults().unlisten(*this);
  lab_.listen(nullptr);
  for (const EventId timer : timers_) loop_.cancel(timer);
}

Result<RunOutcome> ScenarioRun::run() {
  started_ = loop_.now();
  running_ = true;
  const auto at = [this](Duration time, Action action) {
    timers_.push_back(loop_.at(started_ + time, std::move(action)));
  };
  at(plan_.latest(), [this] { over_ = true; });
  for (const PlannedExpectation& planned : plan_.expectations) {
    if (const auto& within = planned.expectation.within) at(*within + Duration(1), [this] { observe(); });
  }
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto& on = plan_.steps[i].on;
    if (!on) arm(i);
    if (on && on->event.kind == Event::Kind::condition) steps_[i].was_so = holds(on->condition, records_);
  }
  ROOKERY_TRY(lab_.start());
  loop_.run_until([this] { return over_; }, plan_.latest() + std::chrono::hours(1));
  if (!over_ && loop_.events_queued() > 0) return fail(ErrorKind::expectation, "interrupted");
  // Guests may be ahead of the loop, each in its own time: let them come to rest, so that nothing is cut off.
  if (!loop_.drain()) return fail(ErrorKind::timeout, "a machine never yields");
  running_ = false;

  RunOutcome outcome;
  outcome.ended = elapsed();
  outcome.verdicts = judge_->verdicts(elapsed(), records_);
  for (const PlannedStep& planned : plan_.steps) {
    if (std::holds_alternative<ProgramStep>(planned.step.what))
      outcome.verdicts.push_back(verdict_on(planned));
  }
  if (std::any_of(steps_.begin(), steps_.end(),
                  [](const Pending& p) { return !p.result.at || !p.result.problem.empty(); }))
    outcome.verdicts.push_back(verdict_on_steps());
  for (Pending& pending : steps_) outcome.steps.push_back(std::move(pending.result));
  outcome.programs = std::move(programs_);
  outcome.dangers = notices_.dangers();
  outcome.answered = notices_.answered();
  return outcome;
}

void ScenarioRun::stage_changed(const Node& node) {
  if (!running_) return;
  const BootRecord& boot = node.boot();
  trace_.note(RecordKind::machine, node.plan().index,
              boot.stage == Stage::failed
                  ? fmt::format("failed in the stage {}: {}", to_string(boot.failed_in), boot.reason)
                  : fmt::format("{} {}", to_string(boot.stage), boot.detail));
  watcher_.stage_changed(lab_, node);
  observe();
}

void ScenarioRun::console_output(const Node& node, std::string_view bytes) {
  if (!running_) return;
  trace_.console(node.plan().index, bytes);
  notices_.read(node.plan().name, bytes);
}

void ScenarioRun::arm(std::size_t step) {
  steps_[step].armed = true;
  timers_.push_back(loop_.after(plan_.steps[step].after, [this, step] { perform(step); }));
}

void ScenarioRun::perform(std::size_t step) {
  const PlannedStep& planned = plan_.steps[step];
  Pending& pending = steps_[step];
  if (loop_.now() < quiet_until_) {
    timers_.push_back(loop_.at(quiet_until_, [this, step] { perform(step); }));
    return;
  }
  pending.result.at = elapsed();
  trace_.note(RecordKind::step, std::nullopt, planned.step.text);
  if (const auto* program = std::get_if<ProgramStep>(&planned.step.what)) run_programs(step, *program);
  const Status done = perform_deed(planned);
  if (!done) pending.result.problem = done.error().message;
  watcher_.step_done(
      lab_, done ? planned.step.text : fmt::format("{}: {}", planned.step.text, done.error().message));
  observe();
}

Status ScenarioRun::perform_deed(const PlannedStep& planned) {
  if (const auto* fault = std::get_if<FaultSpec>(&planned.step.what)) return lab_.faults().set(*fault);
  if (const auto* power = std::get_if<PowerStep>(&planned.step.what)) return perform_power(planned, *power);
  if (const auto* clear = std::get_if<ClearFault>(&planned.step.what)) {
    const auto cleared = lab_.faults().clear(clear->name);
    if (!cleared) return tl::unexpected<Error>(cleared.error());
  }
  if (const auto* quiet = std::get_if<QuietStep>(&planned.step.what)) {
    quiet_until_ = loop_.now() + quiet->time;
    timers_.push_back(loop_.at(quiet_until_, [this] { observe(); }));
  }
  return {};
}

Status ScenarioRun::perform_power(const PlannedStep& step, const PowerStep& power) {
  using backends::PowerAction;
  std::string problems;
  for (const std::uint32_t index : step.machines) {
    Node& node = *lab_.nodes()[index];
    if (power.who.ready_only && node.boot().stage != Stage::ready) continue;
    trace_.note(RecordKind::machine, index, "power " + power.action);
    const Status done = power.action == "on"      ? node.power_on()
                        : power.action == "cut"   ? node.power(PowerAction::cut)
                        : power.action == "reset" ? node.power(PowerAction::reset)
                                                  : node.power(PowerAction::press);
    if (!done) problems += (problems.empty() ? "" : "; ") + done.error().message;
  }
  if (problems.empty()) return {};
  return rookery::fail(ErrorKind::expectation, problems);
}

void ScenarioRun::run_programs(std::size_t step, const ProgramStep& program) {
  Pending& pending = steps_[step];
  std::vector<Node*> nodes;
  for (const std::uint32_t index : plan_.steps[step].machines) {
    Node& node = *lab_.nodes()[index];
    if (!program.who.ready_only || node.boot().stage == Stage::ready) nodes.push_back(&node);
  }
  // Counted before the first begins: it may end at once.
  pending.running = nodes.size();
  for (Node* node : nodes) run_program(step, program, *node);
  if (nodes.empty()) happened(Event::Kind::program_ended, plan_.steps[step].step.name);
}

void ScenarioRun::run_program(std::size_t step, const ProgramStep& program, Node& node) {
  const std::size_t result = programs_.size();
  programs_.push_back({plan_.steps[step].step.name, node.plan().name, -1, "", "", "", "", 0, false});
  ExecEvents events;
  events.output = [this, result](agent::Stream stream, ByteView bytes) {
    ProgramResult& its = programs_[result];
    append(stream == agent::Stream::err ? its.err : its.out, bytes);
    append_end(its.end, bytes);
    if (stream != agent::Stream::err) its.out_bytes += bytes.size();
  };
  events.exited = [this, step, result](Result<int> exit) { program_ended(step, result, std::move(exit)); };
  const auto request = node.exec(program.argv, std::move(events));
  if (!request) return program_ended(step, result, tl::unexpected<Error>(request.error()));
  timers_.push_back(loop_.after(program.timeout, [this, step, result, &node, request = *request, &program] {
    if (programs_[result].exit_code >= 0 || !programs_[result].problem.empty()) return;
    node.cancel_exec(request);
    program_ended(
        step, result,
        rookery::fail(ErrorKind::timeout, fmt::format("still running after {}", to_text(program.timeout))));
  }));
}

void ScenarioRun::program_ended(std::size_t step, std::size_t result, Result<int> exit) {
  ProgramResult& program = programs_[result];
  const auto& wanted = std::get<ProgramStep>(plan_.steps[step].step.what);
  if (exit) {
    program.exit_code = *exit;
    program.as_wanted = *exit == wanted.exit_code && (!wanted.output || wanted.output->fits(program.out));
  } else {
    program.problem = exit.error().message;
  }
  const std::string ended = exit ? fmt::format("exit code {}", *exit) : program.problem;
  trace_.note(RecordKind::program, lab_.find(program.machine)->plan().index,
              fmt::format("{}: {}; {}", program.name, ended, program.out));
  if (--steps_[step].running == 0) happened(Event::Kind::program_ended, program.name);
  if (running_) reconsider();
}

void ScenarioRun::happened(Event::Kind kind, const std::string& name) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto& on = plan_.steps[i].on;
    if (on && !steps_[i].armed && on->event.kind == kind && on->event.name == name) arm(i);
  }
}

void ScenarioRun::fault_began(const FaultSpec& fault) {
  trace_.note(RecordKind::fault, std::nullopt, "began: " + to_text(fault));
  faults_in_force_[fault.name] = fault.time.has_value();
  happened(Event::Kind::fault_began, fault.name);
  observe();
}

void ScenarioRun::fault_ended(const FaultSpec& fault, std::string_view why) {
  trace_.note(RecordKind::fault, std::nullopt, fmt::format("{} ended: {}", fault.name, why));
  const bool replaced = why == "replaced";  // there is one of that name all the while
  if (!replaced) faults_in_force_.erase(fault.name);
  if (!running_) return;
  happened(Event::Kind::fault_ended, fault.name);
  watcher_.step_done(lab_, fmt::format("fault {} ended", fault.name));
  if (!replaced) observe();
}

void ScenarioRun::fault_hit(const FaultSpec& fault, std::string_view cable, std::string_view direction,
                            const netsim::Frame& frame) {
  // What only takes longer is seen when it arrives, and it may be every frame.
  if (kind_of(fault.effect).only_delays) return;
  trace_.note(RecordKind::fault, std::nullopt,
              fmt::format("{} hit {} {}: {} bytes", fault.name, cable, direction, frame.size()));
}

void ScenarioRun::observe() {
  if (!running_) return;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto& on = plan_.steps[i].on;
    if (!on || steps_[i].armed || on->event.kind != Event::Kind::condition) continue;
    const bool so = holds(on->condition, records_);
    if (so && !steps_[i].was_so) arm(i);
    steps_[i].was_so = so;
  }
  judge_->observe(elapsed(), records_, faults_are_over());
  reconsider();
}

void ScenarioRun::reconsider() {
  if (!running_) return;
  if (plan_.ends_when) {
    over_ = over_ || holds(*plan_.ends_when, records_);
  } else if (!plan_.ends_after) {
    over_ = over_ || all_has_happened();
  }
}

bool ScenarioRun::faults_are_over() const {
  if (!faults_in_force_.empty()) return false;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (std::holds_alternative<FaultSpec>(plan_.steps[i].step.what) && !steps_[i].result.at) return false;
  }
  return true;
}

bool ScenarioRun::all_has_happened() const {
  const bool waits = std::any_of(faults_in_force_.begin(), faults_in_force_.end(),
                                 [](const auto& fault) { return fault.second; });
  return !waits && lab_.is_settled() && loop_.now() >= quiet_until_ && judge_->is_decided(elapsed()) &&
         std::all_of(steps_.begin(), steps_.end(),
                     [](const Pending& p) { return p.result.at && p.running == 0; });
}

// A step that never came, or could not be done: then the run was not what the file says.
Verdict ScenarioRun::verdict_on_steps() const {
  Verdict verdict;
  verdict.expectation = "every step happens";
  for (const Pending& pending : steps_) {
    if (pending.result.at && pending.result.problem.empty()) continue;
    if (verdict.line == 0) verdict.line = pending.result.line;
    verdict.evidence +=
        fmt::format("{}{} (line {}): {}", verdict.evidence.empty() ? "" : " | ", pending.result.text,
                    pending.result.line, pending.result.at ? pending.result.problem : "the run ended before it");
  }
  return verdict;
}

Verdict ScenarioRun::verdict_on(const PlannedStep& planned) const {
  constexpr std::size_t kNamed = 3;
  const auto& wanted = std::get<ProgramStep>(planned.step.what);
  Verdict verdict;
  verdict.expectation =
      fmt::format("{}: exit code {}{}", planned.step.name, wanted.exit_code,
                  wanted.output ? fmt::format(", output fits {}", wanted.output->text()) : "");
  verdict.line = planned.step.at.line;
  std::size_t all = 0, good = 0;
  std::string bad;
  for (const ProgramResult& program : programs_) {
    if (program.name != planned.step.name) continue;
    ++all;
    good += program.as_wanted ? 1 : 0;
    if (program.as_wanted || all - good > kNamed) continue;
    bad += fmt::format("; {}: {}", program.machine,
                       !program.problem.empty() ? program.problem
                       : program.exit_code < 0  ? "it had not ended when the run did"
                                                : fmt::format("exit code {}", program.exit_code));
    if (program.exit_code == wanted.exit_code) bad += ", but its output does not fit";
    if (program.exit_code == wanted.exit_code && program.out_bytes > kOutputKept)
      bad += fmt::format(" (its first {} bytes are looked at)", kOutputKept);
    if (const std::string said = last_lines(program.end); !said.empty())
      bad += fmt::format("; its output ends: {}", said);
  }
  verdict.held = all > 0 && good == all;
  verdict.evidence =
      all == 0 ? "it ran nowhere" : fmt::format("as wanted in {} of {} machines{}", good, all, bad);
  return verdict;
}

}  // namespace rookery::vboot
