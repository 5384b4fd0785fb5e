#include "vboot/cli/supervisor.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <set>

#include "base/file.h"
#include "vboot/control/client.h"
#include "vboot/run/session/lab_why.h"

namespace rookery::vboot {

namespace fs = std::filesystem;

// `rookery ssh` asks whose they are.
Status Supervisor::keep_keys() {
  const auto& keys = session_->plan().authorized_keys;
  if (keys.empty()) return {};
  const fs::path folder = session_->folder() / "ssh";
  std::error_code error;
  fs::create_directory(folder, error);
  return write_file(folder / "authorized_keys", fmt::format("{}\n", fmt::join(keys, "\n")));
}

// What machines are given, each once.
void Supervisor::tell_gifts() {
  std::set<std::string> told;
  for (const auto& node : lab().nodes()) {
    const Gift* gift = node->gift();
    if (gift == nullptr || !told.insert(gift->sha256).second) continue;
    progress_.line(fmt::format("{} gets {} files and {} packages, {} KiB, sha256 {}", node->plan().name,
                               gift->files, gift->packages, gift->tar.size() >> 10, gift->sha256));
  }
}

Status Supervisor::prepare(SessionSetup setup, ReportTexts texts) {
  StopSignals::hold();
  auto session = LabSession::open(std::move(setup), *this);
  if (!session) return tl::unexpected<Error>(session.error());
  session_ = std::move(*session);
  ROOKERY_TRY(keep_keys());
  spdlog::debug("sockets in {}, memory in {}", session_->folder().string(),
                session_->memory_folder().string());
  ROOKERY_TRY(signals_.watch(loop(), [this] {
    interrupted_ = true;
    loop().stop();
  }));
  ROOKERY_TRY(session_->make_lab());
  lab().listen(this);
  tell_gifts();
  recorder_ = std::make_unique<Recorder>(loop(), lab(), Recorder::Looks::between);
  reporter_ = std::make_unique<LabReporter>(*session_, *recorder_, std::move(texts));
  if (!options_.capture.empty()) ROOKERY_TRY(session_->capture(options_.capture));
  return serve();
}

// From here on commands find the lab.
Status Supervisor::serve() {
  ControlServer::Hooks hooks;
  hooks.ps = [this] { return ps_report(lab(), reporter_->facts(), ::getpid(), loop().now()); };
  hooks.report = [this] { return reporter_->report(); };
  hooks.write_report = [this](const std::string& file, const LabReporter::Written& done) {
    reporter_->write_now(file, done);
  };
  hooks.down = [this] { loop().stop(); };
  hooks.began = session_->began();
  const fs::path socket = control_socket_path(session_->folder().parent_path(), session_->plan().name);
  auto control = ControlServer::listen(loop(), socket, lab(), std::move(hooks));
  if (!control) return tl::unexpected<Error>(control.error());
  control_ = std::move(*control);
  const Status watched = session_->watch_place(socket.filename(), [this] {
    lost_ = true;
    loop().stop();
  });
  if (!watched)
    progress_.line("if the lab's folder is removed, nobody will notice: " + watched.error().message);
  return {};
}

Result<int> Supervisor::run(const std::function<void(const Json&)>& on_settled) {
  on_settled_ = on_settled;
  progress_.watch(loop(), lab(), *recorder_);
  const Status started = lab().start();
  if (options_.timeout_seconds)
    deadline_ = loop().after(Duration(static_cast<std::int64_t>(*options_.timeout_seconds * 1e9)),
                             [this] { give_up(); });
  if (started) loop().run();
  progress_.finish();
  ROOKERY_TRY(started);
  const bool all_ready = lab().summary().failed.empty(), settled = lab().is_settled();
  const std::string folder = session_->folder().string();
  session_->take_down();
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

// Guests go first, then who asked for it is answered, then the folders go.
void Supervisor::lab_goes() {
  control_->leave_lab();
  reporter_.reset();
  recorder_.reset();
}

void Supervisor::lab_gone() {
  control_->closed();
  control_.reset();
}

void Supervisor::stage_changed(const Node& node) {
  recorder_->stage_changed(node);
  const BootRecord& boot = node.boot();
  if (boot.stage == Stage::failed) {
    progress_.line(fmt::format("{:5.1f} s  {} failed in the stage {}: {}", lab_seconds(), node.plan().name,
                               to_string(boot.failed_in), boot.reason));
  } else if (options_.verbose || (serves_boot(node.plan().roles) && boot.stage == Stage::ready)) {
    progress_.line(fmt::format("{:7.3f} s  {} {}{}", lab_seconds(), node.plan().name, to_string(boot.stage),
                               boot.detail.empty() ? "" : " (" + boot.detail + ")"));
  }
  if (!lab().is_settled()) progress_.update(lab(), loop().now());
  control_->stage_changed(node);
}

void Supervisor::wire_stage_changed(const WireMachine& machine) {
  recorder_->stage_changed(machine);
  const std::string detail = machine.boot.detail.empty() ? "" : " (" + machine.boot.detail + ")";
  progress_.line(fmt::format("{:7.3f} s  {} {}{}", lab_seconds(), machine.mac.text(),
                             to_string(machine.boot.stage), detail));
}

void Supervisor::give_up() {
  in_time_ =
      fail(ErrorKind::timeout, fmt::format("not up after {} s, and taken down: {}", *options_.timeout_seconds,
                                           who_is_awaited(lab(), loop().now())));
  loop().stop();
}

void Supervisor::settled() {
  loop().cancel(deadline_);
  progress_.update(lab(), loop().now());
  // In the foreground the view goes on, for as long as somebody wants to watch.
  if (!options_.until.empty() || options_.detach) progress_.finish();
  // One report for its files and for who asked: while it is written the counters go on.
  reporter_->measure_memory([this] {
    auto told = std::make_shared<Json>(reporter_->report());
    reporter_->write(options_.reports, *told, [this, told](const Status& written) {
      if (!written) progress_.line(written.error().message);
      tell_settled(*told);
    });
  });
}

void Supervisor::tell_settled(const Json& report) {
  control_->settled();
  on_settled_(report);
  if (options_.until == "ready" && options_.take_down) loop().stop();
}

}  // namespace rookery::vboot
