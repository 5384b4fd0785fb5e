// `rookery run`: a scenario from its file to its verdicts. The order is: plan (pure), image (verified whole),
// place on the host, lab and trace, the run itself, and only when its time has ended the checks and the
// report.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>

#include "base/digest.h"
#include "base/file.h"
#include "base/loop/host_clock.h"
#include "images/store/store.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/progress.h"
#include "vboot/cli/read_scenario.h"
#include "vboot/cli/report_files.h"
#include "vboot/cli/stop_signals.h"
#include "vboot/run/admission/resources.h"
#include "vboot/run/session/booted_image.h"
#include "vboot/run/session/lab_captures.h"
#include "vboot/run/session/lab_session.h"
#include "vboot/scenario/check_program.h"
#include "vboot/scenario/run_report.h"

namespace rookery::vboot {
namespace {

// What a trace says of its run; none of it is in the run's digest.
Json trace_header(const ScenarioPlan& plan, const BootedImage& image, bool virtual_time) {
  Json machines = Json::array();
  for (const MachinePlan& machine : plan.lab.machines) machines.add(Json::string(machine.name));
  Json components = Json::object();
  for (const auto& component : image.manifest.components)
    components.set(component.name, to_hex(component.sha256));
  utsname host{};
  ::uname(&host);
  const auto program = sha256_of_file("/proc/self/exe");
  return Json::object()
      .set("scenario", plan.name)
      .set("lab", plan.lab.name)
      .set("seed", Json::count(plan.lab.seed))
      .set("time", virtual_time ? "virtual" : "wall")
      .set("rookery", ROOKERY_VERSION)
      .set("program_sha256", program ? to_hex(*program) : "unknown")
      .set("image", image.manifest.name)
      .set("image_sha256", to_hex(image.digest))
      .set("components_sha256", std::move(components))
      .set("machines", std::move(machines))
      .set("host", Json::object().set("processor", processor()).set("kernel", host.release));
}

std::string replay_command(const RunOptions& options, std::uint64_t seed) {
  std::string command = fmt::format("rookery run {} --seed {}", options.scenario_file, seed);
  if (options.nodes) command += fmt::format(" --nodes {}", *options.nodes);
  if (options.time != "virtual") command += fmt::format(" --time {}", options.time);
  return command;
}

// One run, from the first folder to the last.
class Runner final : private RunWatcher, private SessionEvents {
 public:
  Runner(const RunOptions& options, ReadScenario& scenario, const BackendFactory& factory, Progress& progress)
      : options_(options),
        factory_(factory),
        progress_(progress),
        virtual_time_(options.time == "virtual"),
        read_(scenario),
        plan_(scenario.plan) {
    texts_.files = scenario.files;
  }

  Result<Json> run();

 private:
  Status open_session(BootedImage image);
  Status prepare(BootedImage image);
  Result<Json> finish(RunOutcome outcome);
  void stage_changed(const RunningLab& lab, const Node& node) override;
  void step_done(const RunningLab& lab, const std::string& what) override {
    recorder_->step(what);
    progress_.line(fmt::format("{:7.3f} s  {}", seconds(session_->loop().now() - lab.started()), what));
  }
  void stuck(const std::vector<std::string>& machines) override { stuck_ = machines; }
  void lab_goes() override {
    recorder_.reset();
    scenario_.reset();
  }

  const RunOptions& options_;
  const BackendFactory& factory_;
  Progress& progress_;
  bool virtual_time_;
  Duration began_ = host_clock::monotonic();  // for the report alone
  ReadScenario& read_;
  const ScenarioPlan& plan_;
  std::optional<images::Store> store_;
  std::unique_ptr<LabSession> session_;
  StopSignals signals_;
  bool interrupted_ = false;
  std::vector<std::string> stuck_;  // machines that never yield
  Trace* trace_ = nullptr;          // the session's
  std::unique_ptr<ScenarioRun> scenario_;
  std::unique_ptr<Recorder> recorder_;
  ReportTexts texts_;
};

Status Runner::open_session(BootedImage image) {
  const auto runtime =
      options_.runtime.empty() ? runtime_folder() : Result<std::filesystem::path>(options_.runtime);
  if (!runtime) return tl::unexpected<Error>(runtime.error());
  SessionSetup setup;
  setup.plan = plan_.lab;
  setup.image = std::move(image);
  setup.backends = factory_;
  setup.gifts = read_.gifts.get();
  setup.place.runtime = *runtime;
  setup.place.name = fmt::format("run-{}", ::getpid());
  setup.place.any_name = true;
  setup.place.last = clean_after(plan_.lab);
  setup.time = virtual_time_ ? SessionTime::lockstep : SessionTime::wall;
  setup.lockstep.patience = std::chrono::seconds(options_.patience_seconds);
  auto session = LabSession::open(std::move(setup), *this);
  if (!session) return tl::unexpected<Error>(session.error());
  session_ = std::move(*session);
  spdlog::debug("sockets in {}, memory in {}", session_->folder().string(),
                session_->memory_folder().string());
  return {};
}

Status Runner::prepare(BootedImage image) {
  ROOKERY_TRY(open_session(std::move(image)));
  EventLoop& loop = session_->loop();
  ROOKERY_TRY(signals_.watch(loop, [this, &loop] {
    interrupted_ = true;
    loop.stop();
  }));
  TraceOptions trace_options;
  trace_options.file = options_.trace;
  trace_options.keep_frames = options_.keep_frames ? Bytes{netsim::kLargestFrame} : options_.keep_bytes;
  if (!virtual_time_) trace_options.when_full = Sink::WhenFull::refuse;
  trace_options.on_failure = [&loop] { loop.stop(); };  // finish() says why
  auto trace = Trace::create(loop, trace_header(plan_, session_->image(), virtual_time_), trace_options);
  if (!trace) return tl::unexpected<Error>(trace.error());
  trace_ = trace->get();
  ROOKERY_TRY(session_->make_lab(std::move(*trace)));
  RunWatcher& watcher = *this;
  scenario_ = std::make_unique<ScenarioRun>(*session_, plan_, *trace_, watcher);
  recorder_ = std::make_unique<Recorder>(
      loop, session_->lab(), virtual_time_ ? Recorder::Looks::when_told : Recorder::Looks::between);
  return options_.capture.empty() ? Status{} : session_->capture(options_.capture);
}

void Runner::stage_changed(const RunningLab& lab, const Node& node) {
  recorder_->stage_changed(node);
  const BootRecord& boot = node.boot();
  const Time time = session_->loop().now();
  const double now = seconds(time - lab.started());
  if (boot.stage == Stage::failed) {
    progress_.line(fmt::format("{:7.3f} s  {} failed in the stage {}: {}", now, node.plan().name,
                               to_string(boot.failed_in), boot.reason));
  } else if (options_.verbose || serves_boot(node.plan().roles)) {
    progress_.line(fmt::format("{:7.3f} s  {} {}", now, node.plan().name, to_string(boot.stage)));
  }
  progress_.update(lab, time);
}

Result<Json> Runner::finish(RunOutcome outcome) {
  progress_.finish();
  RunningLab& lab = session_->lab();
  const netsim::CaptureFile* capture = session_->end_capture();
  if (capture != nullptr && !capture->told().why.empty()) progress_.line(capture->in_words());
  auto summary = trace_->finish();
  if (!summary) return tl::unexpected<Error>(summary.error());
  RunFigures figures;
  figures.trace = *summary;
  figures.grade = grade_of(plan_.lab, virtual_time_, outcome.dangers);
  figures.host_seconds = seconds(host_clock::monotonic() - began_);
  figures.trace_file = options_.trace;
  figures.replay = replay_command(options_, plan_.lab.seed);
  Json report = run_report(plan_, lab, outcome, figures);
  bool checked = false;
  for (const PlannedExpectation& planned : plan_.expectations) {
    if (planned.expectation.kind != Expectation::Kind::check) continue;
    auto verdict = run_check(planned.expectation, plan_.filename, report.dump());
    if (!verdict) return tl::unexpected<Error>(verdict.error());
    outcome.verdicts.push_back(std::move(*verdict));
    checked = true;
  }
  if (checked) report = run_report(plan_, lab, outcome, figures);
  texts_.command = figures.replay;
  texts_.virtual_time = virtual_time_;
  ROOKERY_TRY(write_reports(options_.reports, lab, *recorder_, report, session_->image(), texts_));
  if (capture != nullptr) report.set("capture", to_json(capture->told()));
  return report;
}

Result<Json> Runner::run() {
  auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  store_ = std::move(*store);
  auto image = open_booted_image(plan_.lab.image, *store_, &plan_.lab);
  if (!image) return tl::unexpected<Error>(image.error());
  StopSignals::hold();
  progress_.line(fmt::format("scenario {}: {} machines, seed {}, {} time", plan_.name,
                             plan_.lab.machines.size(), plan_.lab.seed, options_.time));
  Result<Json> report = fail("");
  if (const auto ready = prepare(std::move(*image)); !ready) {
    report = tl::unexpected<Error>(ready.error());
  } else {
    progress_.watch(session_->loop(), session_->lab(), *recorder_);
    auto outcome = scenario_->run();
    report = outcome ? finish(std::move(*outcome)) : tl::unexpected<Error>(outcome.error());
  }
  progress_.finish();
  if (session_) session_->take_down();
  if (interrupted_) return fail(ErrorKind::interrupted, "interrupted; nothing of the run is left");
  if (!stuck_.empty()) {
    return fail(ErrorKind::timeout,
                fmt::format("{} never yields: a program in it computes without end, which takes no virtual "
                            "time; it was stopped. "
                            "Again: {}",
                            fmt::join(stuck_, ", "), replay_command(options_, plan_.lab.seed)));
  }
  return report;
}

}  // namespace

Result<std::unique_ptr<ReadScenario>> read_scenario(const RunOptions& options) {
  if (options.time != "virtual" && options.time != "wall")
    return fail(ErrorKind::usage, fmt::format("--time knows 'virtual' and 'wall', not '{}'", options.time));
  const auto text = read_file(options.scenario_file, mebibytes(1));
  if (!text) return fail(ErrorKind::usage, text.error().message);
  const auto scenario = parse_scenario(*text, options.scenario_file, beside(options.scenario_file));
  if (!scenario) return tl::unexpected<Error>(scenario.error());
  auto all = std::make_unique<ReadScenario>();
  all->files = {{std::filesystem::path(options.scenario_file).filename().string(), *text}};
  std::string lab_text;
  const auto lab = lab_of(*scenario, &lab_text);
  if (!lab) return tl::unexpected<Error>(lab.error());
  if (const auto* lab_file = std::get_if<std::string>(&scenario->lab))
    all->files.emplace_back(*lab_file, std::move(lab_text));
  auto plan = plan_scenario(*scenario, *lab, {options.nodes, options.seed});
  if (!plan) return tl::unexpected<Error>(plan.error());
  all->plan = std::move(*plan);
  all->gifts = std::make_unique<GiftMaker>(all->plan.lab);
  for (const MachinePlan& machine : all->plan.lab.machines) {
    if (options.time == "virtual" && machine.backend != "uml") {
      return fail(ErrorKind::usage,
                  fmt::format("{} is a machine of {}, which virtual time does not reach; --time wall runs it",
                              machine.name, machine.backend));
    }
    if (const auto gift = all->gifts->of(machine); !gift) return tl::unexpected<Error>(gift.error());
  }
  return all;
}

Result<Json> run_once(const RunOptions& options, ReadScenario& scenario, const BackendFactory& backends,
                      Progress& progress) {
  return Runner(options, scenario, backends, progress).run();
}

Result<int> run_scenario(const RunOptions& options, const BackendFactory& backends) {
  ROOKERY_TRY(check_own_limits());
  ROOKERY_TRY(check_report_files(options.reports));
  const auto scenario = read_scenario(options);
  if (!scenario) return tl::unexpected<Error>(scenario.error());
  Progress progress(Progress::how(options.json, options.plain, options.verbose));
  const auto report = run_once(options, **scenario, backends, progress);
  if (!report) return tl::unexpected<Error>(report.error());
  if (options.json) {
    fmt::print("{}\n", report->dump());
  } else {
    fmt::print("{}", in_words(*report));
  }
  return *report->find("result")->as_string() == "pass" ? 0 : static_cast<int>(ErrorKind::expectation);
}

}  // namespace rookery::vboot
