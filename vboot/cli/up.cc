// `rookery up`: finds everything that the lab needs, then becomes its supervisor. The order is: plan (pure),
// image and medium (verified whole), folders and janitor, lab, control socket, and only then the first
// machine.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/digest.h"
#include "base/file.h"
#include "base/loop/host_clock.h"
#include "base/loop/workers.h"
#include "base/process.h"
#include "base/signals.h"
#include "base/unix_socket.h"
#include "images/store/store.h"
#include "netsim/ports/packet.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/progress.h"
#include "vboot/cli/report_files.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/cli/stop_signals.h"
#include "vboot/cli/up_words.h"
#include "vboot/control/client.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/run/admission/memory_use.h"
#include "vboot/run/admission/resources.h"
#include "vboot/run/control/control_server.h"
#include "vboot/run/session/booted_image.h"
#include "vboot/run/session/host_place.h"
#include "vboot/run/session/lab_why.h"
#include "vboot/run/session/report.h"
#include "vboot/run/session/running_lab.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

// The supervisor of one lab, from the first machine to the last descriptor.
class Supervisor final : private LabEvents {
 public:
  Supervisor(const UpOptions& options, LabPlan plan, BootedImage booted, ReportTexts texts,
             Progress& progress)
      : options_(options),
        plan_(std::move(plan)),
        booted_(std::move(booted)),
        texts_(std::move(texts)),
        progress_(progress),
        loop_(std::make_unique<WallPacer>()) {
    facts_ = RunFacts{ROOKERY_VERSION, booted_.manifest, booted_.digest, "none"};
  }

  ~Supervisor() override {
    if (inbox_) inbox_->close();
  }
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Opens the NIC that the lab is to be joined to.
  Status open_uplink();
  Status prepare(const BackendFactory& factory);
  // Runs until the lab is to go; `on_settled` is called once, with the report.
  Result<int> run(const std::function<void(const Json&)>& on_settled);

 private:
  void stage_changed(const Node& node) override;
  void settled() override;
  Json report() { return up_report(*lab_, facts_, memory_peak_); }
  void wire_stage_changed(const WireMachine& machine) override;
  void measure_memory(std::function<void()> then);
  void write(const std::vector<std::string>& files, Json report, std::function<void(const Status&)> then);
  void tell_settled(const Json& report);
  Status make_place();
  void tell_gifts();
  // When the loop's time was zero, since 1970.
  Duration began() { return host_clock::time_of_day() - loop_.now().since_start; }
  void take_down();
  void give_up();

  const UpOptions& options_;
  LabPlan plan_;
  BootedImage booted_;
  ReportTexts texts_;
  Progress& progress_;
  RunFacts facts_;
  EventLoop loop_;
  std::optional<HostPlace> place_;
  StopSignals signals_;
  std::unique_ptr<LabBackends> backends_;
  std::unique_ptr<RunningLab> lab_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<ControlServer> control_;
  std::shared_ptr<netsim::CaptureFile> capture_;
  Watch capture_news_;  // that it has ended before the lab does
  UplinkWire uplink_;
  std::function<void(const Json&)> on_settled_;
  EventId deadline_;
  Status in_time_;
  Bytes memory_peak_;
  // For what would hold up the loop; its answers come by the inbox.
  std::unique_ptr<Workers> background_;
  std::shared_ptr<Inbox> inbox_;
  unsigned reports_waiting_ = 0;
  bool going_down_ = false, lost_ = false;
  bool interrupted_ = false;  // by a signal
};

Status Supervisor::make_place() {
  const auto runtime = runtime_folder();
  if (!runtime) return tl::unexpected<Error>(runtime.error());
  auto place = HostPlace::claim_for(loop_, *runtime, plan_.name);
  if (!place) return tl::unexpected<Error>(place.error());
  place_.emplace(std::move(*place));
  std::error_code error;
  if (!plan_.authorized_keys.empty()) {  // `rookery ssh` asks whose they are
    fs::create_directory(place_->folder() / "ssh", error);
    ROOKERY_TRY(write_file(place_->folder() / "ssh" / "authorized_keys",
                           fmt::format("{}\n", fmt::join(plan_.authorized_keys, "\n"))));
  }
  return place_->guard(clean_after(plan_));
}

// What machines are given, each once.
void Supervisor::tell_gifts() {
  std::set<std::string> told;
  for (const auto& node : lab_->nodes()) {
    const Gift* gift = node->gift();
    if (gift == nullptr || !told.insert(gift->sha256).second) continue;
    progress_.line(fmt::format("{} gets {} files and {} packages, {} KiB, sha256 {}", node->plan().name,
                               gift->files, gift->packages, gift->tar.size() >> 10, gift->sha256));
  }
}

Status Supervisor::open_uplink() {
  if (!plan_.uplink) return {};
  auto port = netsim::PacketPort::open(loop_, plan_.uplink->interface);
  if (!port) return tl::unexpected<Error>(port.error());
  if (const Status link = (*port)->link(); !link) progress_.line(link.error().message);
  uplink_.link = [raw = port->get()] { return raw->link(); };
  uplink_.port = std::move(*port);
  return {};
}

Status Supervisor::prepare(const BackendFactory& factory) {
  backends_ = std::make_unique<LabBackends>(factory, loop_);
  ROOKERY_TRY(open_uplink());
  StopSignals::hold();
  ROOKERY_TRY(make_place());
  const auto host = measure_host_and_user(place_->memory_folder());
  if (!host) return tl::unexpected<Error>(host.error());
  ROOKERY_TRY(check_fits(plan_, *host));
  ROOKERY_TRY(raise_descriptor_limit(plan_));
  spdlog::debug("sockets in {}, memory in {}", place_->folder().string(), place_->memory_folder().string());
  ROOKERY_TRY(signals_.watch(loop_, [this] {
    interrupted_ = true;
    take_down();
  }));
  LabSetup setup;
  setup.plan = plan_;
  setup.folder = place_->folder();
  setup.memory_folder = place_->memory_folder();
  setup.medium = booted_.medium;
  setup.boot_server = booted_.boot_server;
  setup.client = booted_.client;
  setup.microvm = booted_.microvm;
  setup.microvm_server = booted_.microvm_server;
  setup.image = booted_.facts();
  setup.booting_at_once = options_.booting_at_once;
  setup.uplink = std::move(uplink_);
  setup.hindrance = [this](const MachinePlan& machine) -> std::optional<std::string> {
    const auto now = measure_host(place_->memory_folder());
    return now ? hindrance(machine, *now) : std::nullopt;
  };
  auto lab = RunningLab::make(
      loop_, std::move(setup),
      [this](const MachinePlan& machine) { return backends_->of(machine, plan_.name, place_->folder()); },
      nullptr);
  if (!lab) return tl::unexpected<Error>(lab.error());
  lab_ = std::move(*lab);
  lab_->listen(this);
  tell_gifts();
  recorder_ = std::make_unique<Recorder>(loop_, *lab_, Recorder::Looks::between);
  if (!options_.capture.empty()) {
    netsim::CaptureRules rules;
    rules.started_at = began();
    auto capture = netsim::CaptureFile::create(options_.capture, rules);
    if (!capture) return tl::unexpected<Error>(capture.error());
    capture_ = *capture;
    // A file that cannot be written is known before the first machine; a reader may come later.
    (void)capture_->flush(std::chrono::milliseconds(200));
    ROOKERY_TRY(capture_->status());
    capture_news_ = loop_.watch(capture_->news(), EPOLLIN, [this](std::uint32_t) {
      capture_news_.stop();
      progress_.warn(capture_->in_words());
    });
    for (const auto& node : lab_->nodes()) ROOKERY_TRY(node->capture(capture_));
    if (Uplink* uplink = lab_->uplink()) ROOKERY_TRY(uplink->capture(capture_));
  }
  ControlServer::Hooks hooks;
  hooks.ps = [this] { return ps_report(*lab_, facts_, ::getpid(), loop_.now()); };
  hooks.report = [this] { return report(); };
  hooks.write_report = [this](const std::string& file, std::function<void(const Status&)> done) {
    // What the boot took is measured when it is over; until then what it takes now is its peak.
    if (lab_->is_settled()) return write({file}, report(), std::move(done));
    measure_memory([this, file, done = std::move(done)] { write({file}, report(), done); });
  };
  hooks.down = [this] { take_down(); };
  hooks.began = began();
  const auto runtime = runtime_folder();
  auto control =
      ControlServer::listen(loop_, control_socket_path(*runtime, plan_.name), *lab_, std::move(hooks));
  if (!control) return tl::unexpected<Error>(control.error());
  control_ = std::move(*control);
  const Status watched = place_->watch(loop_, control_socket_path("", plan_.name).filename(), [this] {
    lost_ = true;
    take_down();
  });
  if (!watched)
    progress_.line("if the lab's folder is removed, nobody will notice: " + watched.error().message);
  return {};
}

Result<int> Supervisor::run(const std::function<void(const Json&)>& on_settled) {
  on_settled_ = on_settled;
  progress_.watch(loop_, *lab_, *recorder_);
  background_ = std::make_unique<Workers>(1);
  inbox_ = std::make_shared<Inbox>(loop_);
  const Status started = lab_->start();
  if (options_.timeout_seconds)
    deadline_ = loop_.after(Duration(static_cast<std::int64_t>(*options_.timeout_seconds * 1e9)),
                            [this] { give_up(); });
  if (started) loop_.run();
  progress_.finish();
  ROOKERY_TRY(started);
  const bool all_ready = lab_->summary().failed.empty(), settled = lab_->is_settled();
  // Guests first, then the answer to who asked for it, then the folders; the janitor has nothing left to do.
  place_->watch_no_more();
  control_->leave_lab();
  inbox_->close();
  background_.reset();
  recorder_.reset();
  lab_.reset();
  if (capture_ && capture_->is_open()) {
    capture_news_.stop();
    capture_->close(netsim::CaptureFile::kPatience);
    if (!capture_->told().why.empty()) progress_.warn(capture_->in_words());
  }
  std::error_code ignored;
  fs::remove_all(place_->memory_folder(), ignored);
  fs::remove_all(place_->folder() / "m", ignored);
  control_->closed();
  control_.reset();
  const std::string folder = place_->folder().string();
  place_.reset();
  if (lost_)
    return fail(
        folder +
        ", or its control socket, was removed (a runtime folder goes when its user logs out): without "
        "it nobody can reach the lab, so it was taken down");
  ROOKERY_TRY(in_time_);
  if (!settled) {
    return fail(interrupted_ ? ErrorKind::interrupted : ErrorKind::expectation,
                "taken down before every client was ready or had failed");
  }
  return all_ready ? 0 : 1;
}

void Supervisor::stage_changed(const Node& node) {
  recorder_->stage_changed(node);
  const BootRecord& boot = node.boot();
  if (boot.stage == Stage::failed) {
    progress_.line(fmt::format("{:5.1f} s  {} failed in the stage {}: {}",
                               seconds(loop_.now() - lab_->started()), node.plan().name,
                               to_string(boot.failed_in), boot.reason));
  } else if (options_.verbose || (serves_boot(node.plan().roles) && boot.stage == Stage::ready)) {
    progress_.line(fmt::format("{:7.3f} s  {} {}{}", seconds(loop_.now() - lab_->started()), node.plan().name,
                               to_string(boot.stage), boot.detail.empty() ? "" : " (" + boot.detail + ")"));
  }
  if (!lab_->is_settled()) progress_.update(*lab_, loop_.now());
  control_->stage_changed(node);
}

void Supervisor::wire_stage_changed(const WireMachine& machine) {
  recorder_->stage_changed(machine);
  const std::string detail = machine.boot.detail.empty() ? "" : " (" + machine.boot.detail + ")";
  progress_.line(fmt::format("{:7.3f} s  {} {}{}", seconds(loop_.now() - lab_->started()), machine.mac.text(),
                             to_string(machine.boot.stage), detail));
}

void Supervisor::give_up() {
  in_time_ =
      fail(ErrorKind::timeout, fmt::format("not up after {} s, and taken down: {}", *options_.timeout_seconds,
                                           who_is_awaited(*lab_, loop_.now())));
  take_down();
}

void Supervisor::settled() {
  loop_.cancel(deadline_);
  progress_.update(*lab_, loop_.now());
  // In the foreground the view goes on, for as long as somebody wants to watch.
  if (!options_.until.empty() || options_.detach) progress_.finish();
  // One report for its files and for who asked: while it is written the counters go on.
  measure_memory([this] {
    auto told = std::make_shared<Json>(report());
    write(options_.reports, Json::copy_of(told->view()), [this, told](const Status& written) {
      if (!written) progress_.line(written.error().message);
      tell_settled(*told);
    });
  });
}

void Supervisor::tell_settled(const Json& report) {
  control_->settled();
  on_settled_(report);
  if (options_.until == "ready" && options_.take_down) take_down();
}

// Guest memory only grows while a machine runs, so what is in use once all are up is the peak of the boot. A
// thousand machines are thousands of processes, which the loop does not wait for.
void Supervisor::measure_memory(std::function<void()> then) {
  std::vector<pid_t> processes{::getpid()};
  for (const auto& node : lab_->nodes()) {
    const auto its = node->processes();
    processes.insert(processes.end(), its.begin(), its.end());
  }
  const auto measured = [this, then = std::move(then)](Bytes used) {
    memory_peak_ = std::max(memory_peak_, used);
    then();
  };
  const bool taken = background_->run([inbox = inbox_, processes = std::move(processes), measured] {
    const Bytes used = proportional_memory(processes);
    inbox->post([measured, used] { measured(used); });
  });
  if (!taken) measured(Bytes{});
}

void Supervisor::write(const std::vector<std::string>& files, Json report,
                       std::function<void(const Status&)> then) {
  if (files.empty()) return then({});
  constexpr unsigned kReportsMost = 16;  // that wait to be written
  if (reports_waiting_ == kReportsMost)
    return then(fail(ErrorKind::usage, "many reports are being written already; try again"));
  ++reports_waiting_;
  auto snapshot = std::make_shared<ReportSnapshot>(*lab_, *recorder_, std::move(report), booted_, texts_);
  const auto written = [this, then](const Status& status) {
    --reports_waiting_;
    then(status);
  };
  const bool taken = background_->run([inbox = inbox_, snapshot, files, written] {
    inbox->post([written, status = snapshot->write(files)] { written(status); });
  });
  if (!taken) written(fail("nothing can be written: too much waits"));
}

void Supervisor::take_down() {
  if (going_down_) return;
  going_down_ = true;
  loop_.stop();
}

Result<int> supervise(const UpOptions& options, const BackendFactory& factory, Progress& progress,
                      const std::function<void(const Json&)>& on_settled) {
  const auto text = read_file(options.lab_file, mebibytes(1));
  if (!text) return fail(ErrorKind::usage, text.error().message);
  auto lab = parse_lab(*text, options.lab_file, beside(options.lab_file));
  if (!lab) return tl::unexpected<Error>(lab.error());
  PlanOptions plan_options;
  plan_options.nodes = options.nodes;
  plan_options.seed = options.seed;
  auto plan = plan_lab(*lab, plan_options);
  if (!plan) return tl::unexpected<Error>(plan.error());
  if (!options.uplink.interface.empty()) {
    const auto nic = netsim::PacketPort::look(options.uplink.interface);
    if (!nic) return tl::unexpected<Error>(Error(nic.error()).while_doing("--uplink"));
    MacBytes address;
    nic->write(address.data());
    auto uplink = plan_uplink(*plan, options.uplink, address);
    if (!uplink) return tl::unexpected<Error>(uplink.error());
    plan->uplink = std::move(*uplink);
  }
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  progress.line(fmt::format("checking the medium of the image {}", plan->image));
  auto booted = open_booted_image(plan->image, *store, &*plan);
  if (!booted) return tl::unexpected<Error>(booted.error());
  progress.line(fmt::format("lab {}: {} machines, seed {}", plan->name, plan->machines.size(), plan->seed));
  ReportTexts texts;
  texts.command = replay_command(options);
  texts.files = {{fs::path(options.lab_file).filename().string(), *text}};
  Supervisor supervisor(options, std::move(*plan), std::move(*booted), std::move(texts), progress);
  ROOKERY_TRY(supervisor.prepare(factory));
  return supervisor.run(on_settled);
}

int exit_code_of(const Json& report) {
  return report.find("failed")->size() == 0 ? 0 : 1;
}

// The supervisor goes to the background once all are ready or have failed; until then we wait and pass on its
// report.
Result<int> supervise_detached(const UpOptions& options, const BackendFactory& factory) {
  int line[2];
  if (::pipe2(line, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe");
  UniqueFd from_child(line[0]), to_parent(line[1]);
  const pid_t waiting = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("cannot detach");
  if (child == 0) {
    from_child.reset();
    // If who waits is interrupted, nobody wants this lab: it goes down, until it is up.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != waiting) ::_exit(1);
    Progress progress(Progress::how(options.json, options.plain, options.verbose));
    const auto write_line = [&](const Json& message) {
      const std::string text = message.dump() + "\n";
      (void)!::write(to_parent.get(), text.data(), text.size());
      to_parent.reset();
    };
    const auto code = supervise(options, factory, progress, [&](const Json& report) {
      ::prctl(PR_SET_PDEATHSIG, 0);
      ::setsid();  // not before: until now the terminal's keys are for the live view
      write_line(report);
      (void)progress.settle();
      const UniqueFd null(::open("/dev/null", O_RDWR));
      for (int fd = 0; fd < 3; ++fd) ::dup2(null.get(), fd);
    });
    (void)progress.settle();
    if (!code && to_parent) write_line(error_message(0, code.error()));
    ::_exit(code ? *code : static_cast<int>(code.error().kind));
  }
  to_parent.reset();
  // Ctrl-C is for both, and the lab's end is worth waiting for: the terminal is the view's until then.
  if (::isatty(0) != 0) ::signal(SIGINT, SIG_IGN);
  std::string text;
  char block[4096];
  for (ssize_t got; (got = ::read(from_child.get(), block, sizeof block)) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0) text.append(block, static_cast<std::size_t>(got));
  }
  const auto message = Json::parse(text);
  if (!message) return fail("the supervisor ended before the lab was up");
  if (message->find("error")) {
    const auto reply = parse_reply(*message);
    if (reply && std::holds_alternative<Error>(reply->body))
      return tl::unexpected<Error>(std::get<Error>(reply->body));
  }
  fmt::print("{}", summary_of(*message, options));
  return exit_code_of(*message);
}

}  // namespace

Result<int> run_up(const UpOptions& options, const BackendFactory& backends) {
  if (!options.until.empty() && options.until != "ready") {
    return fail(ErrorKind::usage, "--until knows 'ready', not '" + options.until + "'");
  }
  if (options.timeout_seconds && options.until.empty() && !options.detach)
    return fail(ErrorKind::usage, "--timeout goes with --until ready");
  if (options.take_down && options.until.empty())
    return fail(ErrorKind::usage, "--down goes with --until ready");
  if (options.detach && options.take_down) return fail(ErrorKind::usage, "--detach does not go with --down");
  ROOKERY_TRY(check_report_files(options.reports));
  ROOKERY_TRY(check_own_limits());
  // Reached and not to be taken down: the lab goes on in the background.
  if (options.detach || (options.until == "ready" && !options.take_down))
    return supervise_detached(options, backends);
  Progress progress(Progress::how(options.json, options.plain, options.verbose));
  const auto code = supervise(options, backends, progress, [&](const Json& report) {
    progress.result(summary_of(report, options));
    if (options.until.empty()) progress.line("the lab is up; Ctrl-C or `rookery down` takes it down");
  });
  const Status said = progress.settle();
  if (!code || *code != 0 || said) return code;
  if (output_reader_is_gone()) return kReaderIsGone;
  return tl::unexpected<Error>(said.error());
}

}  // namespace rookery::vboot
