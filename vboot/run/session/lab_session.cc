#include "vboot/run/session/lab_session.h"

#include <sys/epoll.h>

#include <utility>

#include "base/loop/host_clock.h"
#include "netsim/ports/packet.h"
#include "vboot/run/admission/resources.h"
#include "vboot/run/session/virtual_time.h"

namespace rookery::vboot {

namespace fs = std::filesystem;

LabSession::LabSession(SessionSetup setup, SessionEvents& events)
    : setup_(std::move(setup)), events_(events), loop_(pacer()), backends_(setup_.backends, loop_) {}

std::unique_ptr<Pacer> LabSession::pacer() {
  switch (setup_.time) {
    case SessionTime::wall:
      return std::make_unique<WallPacer>();
    case SessionTime::scripted:
      return std::make_unique<VirtualPacer>();
    case SessionTime::lockstep:
      break;
  }
  LockstepRules rules = setup_.lockstep;
  rules.lookahead = lockstep_rules(setup_.plan).lookahead;
  return std::make_unique<LockstepPacer>(rules, [this](const std::vector<std::string>& machines) {
    events_.stuck(machines);
    loop_.stop();
  });
}

Result<std::unique_ptr<LabSession>> LabSession::open(SessionSetup setup, SessionEvents& events) {
  std::unique_ptr<LabSession> session(new LabSession(std::move(setup), events));
  ROOKERY_TRY(session->open_uplink());
  ROOKERY_TRY(session->claim_place());
  ROOKERY_TRY(session->check_host());
  return session;
}

Status LabSession::open_uplink() {
  if (!setup_.plan.uplink) return {};
  auto port = netsim::PacketPort::open(loop_, setup_.plan.uplink->interface);
  if (!port) return tl::unexpected<Error>(port.error());
  if (const Status link = (*port)->link(); !link) events_.uplink_is_down(link.error().message);
  uplink_.link = [raw = port->get()] { return raw->link(); };
  uplink_.port = std::move(*port);
  return {};
}

Status LabSession::claim_place() {
  const SessionPlace& wanted = setup_.place;
  auto place = wanted.any_name ? HostPlace::claim_any(wanted.runtime, wanted.name, wanted.files)
                               : HostPlace::claim_for(loop_, wanted.runtime, wanted.name, wanted.files);
  if (!place) return tl::unexpected<Error>(place.error());
  place_.emplace(std::move(*place));
  return wanted.guarded ? place_->guard(wanted.last) : Status{};
}

Status LabSession::check_host() {
  if (!setup_.measures_host) return {};
  const auto host = measure_host_and_user(memory_folder());
  if (!host) return tl::unexpected<Error>(host.error());
  ROOKERY_TRY(check_fits(setup_.plan, *host));
  return raise_descriptor_limit(setup_.plan);
}

// The one place where it is said what a lab is given.
LabSetup LabSession::lab_setup() {
  LabSetup setup;
  setup.plan = setup_.plan;
  setup.gifts = setup_.gifts;
  setup.folder = folder();
  setup.memory_folder = memory_folder();
  setup.medium = setup_.image.medium;
  setup.boot_server = setup_.image.boot_server;
  setup.client = setup_.image.client;
  setup.microvm = setup_.image.microvm;
  setup.microvm_server = setup_.image.microvm_server;
  setup.image = setup_.image.facts();
  setup.booting_at_once = setup_.booting_at_once;
  setup.uplink = std::move(uplink_);
  // What the host has left must not decide anything in virtual time.
  if (!setup_.measures_host || setup_.time != SessionTime::wall) return setup;
  setup.hindrance = [files = memory_folder()](const MachinePlan& machine) -> std::optional<std::string> {
    const auto now = measure_host(files);
    return now ? hindrance(machine, *now) : std::nullopt;
  };
  return setup;
}

Status LabSession::make_lab(std::unique_ptr<netsim::FrameWatcher> frames) {
  frames_ = std::move(frames);
  const auto backend_of = [this](const MachinePlan& machine) {
    return backends_.of(machine, setup_.plan.name, folder());
  };
  auto lab = RunningLab::make(loop_, lab_setup(), backend_of, frames_.get());
  if (!lab) return tl::unexpected<Error>(lab.error());
  lab_ = std::move(*lab);
  return {};
}

Duration LabSession::began() const {
  if (setup_.time != SessionTime::wall) return Duration{0};
  return host_clock::time_of_day() - loop_.now().since_start;
}

Status LabSession::capture(const fs::path& path) {
  const bool wall = setup_.time == SessionTime::wall;
  netsim::CaptureRules rules;
  rules.started_at = began();
  if (!wall) rules.when_full = Sink::WhenFull::wait;
  auto file = netsim::CaptureFile::create(path, rules);
  if (!file) return tl::unexpected<Error>(file.error());
  capture_ = std::move(*file);
  (void)capture_->flush(std::chrono::milliseconds(200));
  ROOKERY_TRY(capture_->status());
  // A run in virtual time has no events that are there only because somebody watches.
  if (wall) {
    capture_news_ = loop_.watch(capture_->news(), EPOLLIN, [this](std::uint32_t) {
      capture_news_.stop();
      events_.capture_fell_short(*capture_);
    });
  }
  for (const auto& node : lab_->nodes()) ROOKERY_TRY(node->capture(capture_));
  if (Uplink* uplink = lab_->uplink()) ROOKERY_TRY(uplink->capture(capture_));
  return {};
}

const netsim::CaptureFile* LabSession::end_capture() {
  if (!capture_ || !capture_->is_open()) return capture_.get();
  capture_news_.stop();
  capture_->close(netsim::CaptureFile::kPatience);
  if (!capture_->told().why.empty()) events_.capture_fell_short(*capture_);
  return capture_.get();
}

void LabSession::take_down() {
  if (!place_) return;
  place_->watch_no_more();
  events_.lab_goes();
  lab_.reset();
  end_capture();
  std::error_code ignored;
  fs::remove_all(memory_folder(), ignored);
  fs::remove_all(folder() / "m", ignored);
  events_.lab_gone();
  place_.reset();
}

}  // namespace rookery::vboot
