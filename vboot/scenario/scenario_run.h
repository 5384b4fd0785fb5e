// Runs a planned scenario on the lab of a session, under any pacer: starts the lab, does each step at its
// time, takes everything down in the trace, and judges. Owned by whoever runs it; goes before the session's
// lab, whose loop does not run in between.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop/event_loop.h"
#include "vboot/run/session/lab_session.h"
#include "vboot/scenario/grade.h"
#include "vboot/scenario/judge.h"
#include "vboot/scenario/plan/scenario_plan.h"
#include "vboot/trace/trace.h"

namespace rookery::vboot {

// Hears how a run goes on, for who watches it.
class RunWatcher {
 public:
  virtual ~RunWatcher() = default;
  virtual void stage_changed(const RunningLab&, const Node&) {}
  virtual void step_done(const RunningLab&, const std::string& /*what*/) {}
};

struct StepResult {
  std::string name, text;
  int line = 0;
  std::optional<Duration> at;  // since the start; none: the run ended before it
  std::string problem;         // why it could not be done; empty if it was
};

struct ProgramResult {
  std::string name, machine;
  int exit_code = -1;
  std::string problem;   // why there is no exit code
  std::string out, err;  // their beginnings
  std::string end;       // what came last of both
  std::size_t out_bytes = 0;
  bool as_wanted = false;
};

struct RunOutcome {
  Duration ended{0};  // since the start
  std::vector<Verdict> verdicts;
  std::vector<StepResult> steps;
  std::vector<ProgramResult> programs;
  std::vector<std::string> dangers, answered;  // see NoticeReader
};

class ScenarioRun final : private LabEvents, private FaultEvents {
 public:
  static constexpr std::size_t kOutputKept = 4096;  // of each program in each machine

  // The session has made its lab, of this plan; the trace sees its frames.
  ScenarioRun(LabSession& session, const ScenarioPlan& plan, Trace& trace, RunWatcher& watcher);
  ~ScenarioRun() override;

  // To the scenario's end. An Error if the lab could not be started, or somebody stopped the loop before.
  Result<RunOutcome> run();

 private:
  struct Pending {            // a step, as the plan has it
    bool armed = false;       // its time is set
    bool was_so = false;      // what it waits for, at the last look
    std::size_t running = 0;  // of its programs
    StepResult result;
  };

  void stage_changed(const Node& node) override;
  void console_output(const Node& node, std::string_view bytes) override;
  void settled() override { reconsider(); }

  void fault_began(const FaultSpec& fault) override;
  void fault_ended(const FaultSpec& fault, std::string_view why) override;
  void fault_hit(const FaultSpec& fault, std::string_view cable, std::string_view direction,
                 const netsim::Frame& frame) override;

  void arm(std::size_t step);
  void perform(std::size_t step);
  Status perform_deed(const PlannedStep& step);
  Status perform_power(const PlannedStep& step, const PowerStep& power);
  void run_programs(std::size_t step, const ProgramStep& program);
  void run_program(std::size_t step, const ProgramStep& program, Node& node);
  void program_ended(std::size_t step, std::size_t result, Result<int> exit);
  void happened(Event::Kind kind, const std::string& name);
  void observe();
  void reconsider();
  bool all_has_happened() const;
  bool faults_are_over() const;
  Verdict verdict_on_steps() const;
  Verdict verdict_on(const PlannedStep& step) const;
  Duration elapsed() const { return loop_.now() - started_; }

  EventLoop& loop_;
  RunningLab& lab_;
  const ScenarioPlan& plan_;
  Trace& trace_;
  RunWatcher& watcher_;
  std::vector<const BootRecord*> records_;
  std::unique_ptr<Judge> judge_;
  std::vector<Pending> steps_;
  std::vector<ProgramResult> programs_;
  std::vector<EventId> timers_;
  Time started_{};
  std::map<std::string, bool> faults_in_force_;  // by name; whether it ends by itself
  Time quiet_until_{};
  bool running_ = false, over_ = false;
  NoticeReader notices_;
};

}  // namespace rookery::vboot
