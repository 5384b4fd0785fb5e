// What `up` becomes: the supervisor of one lab. It tells how the lab comes up, serves other commands, and
// takes the lab down when it is told to. Owned by the command, in whose thread it runs.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "vboot/cli/commands.h"
#include "vboot/cli/lab_reporter.h"
#include "vboot/cli/progress.h"
#include "vboot/cli/stop_signals.h"
#include "vboot/run/control/control_server.h"
#include "vboot/run/session/lab_session.h"

namespace rookery::vboot {

class Supervisor final : private LabEvents, private SessionEvents {
 public:
  // Both outlive it.
  Supervisor(const UpOptions& options, Progress& progress) : options_(options), progress_(progress) {}

  // To where commands find the lab, and nothing of it has started.
  Status prepare(SessionSetup setup, ReportTexts texts);
  // Runs until the lab is to go, and gives the exit code; `on_settled` is called once, with the report.
  Result<int> run(const std::function<void(const Json&)>& on_settled);

 private:
  EventLoop& loop() { return session_->loop(); }
  RunningLab& lab() { return session_->lab(); }
  double lab_seconds() { return seconds(loop().now() - lab().started()); }
  Status keep_keys();
  void tell_gifts();
  Status serve();
  void give_up();
  void tell_settled(const Json& report);

  void stage_changed(const Node& node) override;
  void wire_stage_changed(const WireMachine& machine) override;
  void settled() override;

  void uplink_is_down(const std::string& why) override { progress_.line(why); }
  void capture_fell_short(const netsim::CaptureFile& file) override { progress_.warn(file.in_words()); }
  void lab_goes() override;
  void lab_gone() override;

  const UpOptions& options_;
  Progress& progress_;
  std::unique_ptr<LabSession> session_;
  StopSignals signals_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<LabReporter> reporter_;
  std::unique_ptr<ControlServer> control_;
  std::function<void(const Json&)> on_settled_;
  EventId deadline_;
  Status in_time_;
  bool lost_ = false;
  bool interrupted_ = false;  // by a signal
};

}  // namespace rookery::vboot
