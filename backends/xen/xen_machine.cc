#include "backends/xen/xen_machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <future>

#include "backends/xen/xen_config.h"
#include "base/file.h"
#include "base/unix_socket.h"

namespace rookery::backends {

XenMachine::~XenMachine() {
  loop_.cancel(deadline_);
  if (!domain_) return;
  const auto gone = std::make_shared<std::promise<void>>();
  thread_->run([domain = domain_, gone](XenContext* context, const std::string&) {
    if (context == nullptr) return gone->set_value();
    domain->destroy(*context, [gone](const Status&) { gone->set_value(); });
  });
  (void)gone->get_future().wait_for(patience_);
}

template <typename... Values>
std::function<void(Values...)> XenMachine::answer(void (XenMachine::*member)(Values...)) {
  return [inbox = thread_->inbox(), life = std::weak_ptr<std::uint64_t>(life_), now = *life_, this,
          member](Values... values) {
    inbox->post([life, now, this, member, values...] {
      const auto alive = life.lock();
      if (alive && *alive == now) (this->*member)(values...);
    });
  };
}

// Where there is no libxl to speak to, what it is about ends when it is made.
void XenMachine::ask(std::function<void(XenContext&, XenDomain&)> what) {
  thread_->run([domain = domain_, what = std::move(what)](XenContext* context, const std::string&) {
    if (context != nullptr) what(*context, *domain);
  });
}

Status XenMachine::start() {
  if (state_ == MachineState::running) return fail(ErrorKind::usage, spec_.name + " is running already");
  coming_.not_any_more(spec_.name);
  begin(nullptr);
  return {};
}

void XenMachine::begin(std::shared_ptr<UniqueFd> snapshot) {
  ++*life_;
  domain_ = std::make_shared<XenDomain>(plan_);
  state_ = MachineState::running;
  ending_ = false;
  const bool anew = !snapshot;
  thread_->run([domain = domain_, snapshot = std::move(snapshot), made = answer(&XenMachine::made),
                shut_down = answer(&XenMachine::shut_down)](XenContext* context, const std::string& why) {
    if (context == nullptr) return made(fail(why));
    domain->make(*context, snapshot, made, shut_down);
  });
  expect(anew ? "to make" : "to restore", anew ? patience_ : patience_with_memory());
  pausing_.started();
}

void XenMachine::expect(std::string_view what, Duration patience) {
  loop_.cancel(deadline_);
  deadline_ = loop_.after(patience, [this, what, patience] {
    // What was asked is still to be done, whenever dom0 comes to it, and this last.
    ask([](XenContext& context, XenDomain& domain) { domain.destroy(context, [](const Status&) {}); });
    ended(
        MachineState::failed,
        fmt::format("Xen's dom0 was asked {} the domain {} and has not answered for {:g} s; look whether its "
                    "xenstored runs (xenstore-ls), and at /var/log/xen",
                    what, plan_.name, seconds(patience)));
  });
}

void XenMachine::made(Result<XenDomainUp> up) {
  loop_.cancel(deadline_);
  if (ending_) return;  // cut meanwhile
  if (!up) return ended(MachineState::failed, up.error().message);
  console_ = up->console;
  console_watch_ = loop_.watch(console_->get(), EPOLLIN, [this](std::uint32_t) { read_console(); });
  if (const auto plugged = announce_interfaces(up->id); !plugged)
    return end(MachineState::failed, plugged.error().message);
  finish_snapshot({});
}

// It stands still when that is told, and not any more afterwards, if it is still the one that it was about.
void XenMachine::finish_snapshot(const Status& how) {
  const auto go_on = answer(&XenMachine::go_on);
  if (const Done done = std::exchange(snapshot_done_, nullptr)) done(how);
  go_on();
}

void XenMachine::go_on() {
  ask([done = answer(&XenMachine::went_on)](XenContext& context, XenDomain& domain) {
    domain.let_run(context, done);
  });
}

void XenMachine::went_on(Status how) {
  if (!how && !ending_) end(MachineState::failed, how.error().message);
}

// The network opens what stands on its sockets (NicWire::interface): xen-netback's names.
Status XenMachine::announce_interfaces(std::uint32_t domain) {
  if (!is_paravirtual(spec_.hardware)) return {};
  for (std::size_t i = 0; i < spec_.nics.size(); ++i) {
    auto line = connect_unix(spec_.folder / spec_.nics[i].socket);
    if (!line) return tl::unexpected<Error>(line.error());
    const std::string interface = fmt::format("vif{}.{}", domain, i);
    if (!send_with_files(line->get(), as_bytes(interface), {})) return fail_errno("announcing " + interface);
    interfaces_.push_back(std::move(*line));
  }
  return {};
}

Status XenMachine::power(PowerAction action) {
  if (action != PowerAction::press) coming_.not_any_more(spec_.name);
  if (state_ != MachineState::running) {
    if (action == PowerAction::reset) return start();
    if (action == PowerAction::press) return fail(ErrorKind::expectation, spec_.name + " is off");
    return {};
  }
  if (action == PowerAction::press) {
    const bool taken = thread_->offer([domain = domain_](XenContext* context, const std::string&) {
      if (context != nullptr) domain->press(*context, [](const Status&) {});
    });
    if (taken) return {};
    return fail(ErrorKind::expectation,
                spec_.name + ": Xen has not answered what was asked before; try again");
  }
  const bool reset = action == PowerAction::reset;
  if (reset) coming_.plan({.reason = "reset"});
  end(MachineState::off, reset ? "reset" : "power cut");
  return {};
}

Status XenMachine::take(const std::filesystem::path& file, Done done) {
  if (state_ != MachineState::running) return fail(ErrorKind::expectation, spec_.name + " is off");
  if (!console_ || ending_) return fail(ErrorKind::expectation, spec_.name + " is not up");
  if (snapshot_done_)
    return fail(ErrorKind::expectation, "a snapshot of this machine is being written or read");
  const auto opened =
      std::make_shared<UniqueFd>(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!*opened) return fail_errno("cannot make " + file.string());
  writing_ = file;
  snapshot_done_ = std::move(done);
  ask([opened, saved = answer(&XenMachine::saved)](XenContext& context, XenDomain& domain) {
    domain.save(context, opened, saved);
  });
  expect("to save", patience_with_memory());
  return {};
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): what a std::function holds is freed with it

void XenMachine::saved(const Status& how) {
  if (ending_) return;  // whose end tells of it
  loop_.cancel(deadline_);
  if (!how) ::unlink(writing_.c_str());
  writing_.clear();
  finish_snapshot(how);
}

Status XenMachine::restore(const std::filesystem::path& file, Done done) {
  if (coming_) return fail(ErrorKind::expectation, spec_.name + " is about to come back already");
  const auto opened = std::make_shared<UniqueFd>(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!*opened) return fail_errno("cannot open " + file.string());
  coming_.plan({std::string(kRestored), opened, std::move(done)});
  if (state_ == MachineState::running) {
    end(MachineState::off, std::string(kRestored));
  } else {
    coming_.now();
  }
  return {};
}

void XenMachine::start_again(ComingBack<std::shared_ptr<UniqueFd>>::How how) {
  begin(std::move(how.snapshot));
  snapshot_done_ = std::move(how.done);
  events_.state_changed(*this, state_, how.reason);
}

// The guest's own end; its domain stands until it is destroyed.
void XenMachine::shut_down(int reason) {
  if (ending_ || reason == LIBXL_SHUTDOWN_REASON_SUSPEND) return;
  read_console();
  switch (reason) {
    case LIBXL_SHUTDOWN_REASON_POWEROFF:
      return end(MachineState::off, "powered off");
    case LIBXL_SHUTDOWN_REASON_REBOOT:
      return end(MachineState::off, std::string(kResetByGuest));
    case LIBXL_SHUTDOWN_REASON_CRASH:
      return end(MachineState::failed, "the guest crashed");
    case -1:
      return end(MachineState::failed, "its domain was destroyed by somebody else (xl destroy)");
    default:
      return end(MachineState::failed, fmt::format("Xen ended the guest, reason {}", reason));
  }
}

void XenMachine::end(MachineState state, std::string reason) {
  end_state_ = state;
  end_reason_ = std::move(reason);
  if (std::exchange(ending_, true)) return;  // asked for already
  ask([done = answer(&XenMachine::destroyed)](XenContext& context, XenDomain& domain) {
    domain.destroy(context, done);
  });
  expect("to destroy", patience_);
}

void XenMachine::destroyed(Status how) {
  read_console();
  ended(how ? end_state_ : MachineState::failed, how ? end_reason_ : how.error().message);
}

void XenMachine::ended(MachineState state, const std::string& reason) {
  loop_.cancel(deadline_);
  ++*life_;
  pausing_.ended();
  console_watch_.stop();
  console_.reset();
  interfaces_.clear();
  domain_.reset();
  state_ = state;
  if (!writing_.empty()) ::unlink(writing_.c_str());
  writing_.clear();
  Done done = std::exchange(snapshot_done_, nullptr);
  if (state != MachineState::off) coming_.not_any_more(spec_.name);
  coming_.now();
  events_.state_changed(*this, state_, reason);
  if (done) done(fail(ErrorKind::expectation, "the machine went off: " + reason));
}

void XenMachine::read_console() {
  if (!console_) return;
  // Its other end, a daemon of dom0's, is closed when the domain goes: an error here (EIO).
  const bool open =
      read_what_is_there(*console_, [this](std::string_view bytes) { events_.console_output(*this, bytes); });
  if (!open) console_watch_.stop();
}

void XenMachine::console_input(std::string_view bytes) {
  // A guest that does not read its console loses what does not fit, as on a serial line.
  if (console_ && *console_) (void)!::write(console_->get(), bytes.data(), bytes.size());
}

void XenMachine::tell(bool stop, Action done) {
  ask([stop, inbox = thread_->inbox(), life = std::weak_ptr<std::uint64_t>(life_), now = *life_,
       done = std::move(done)](XenContext& context, XenDomain& domain) {
    domain.stop(context, stop, [=](const Status& how) {
      inbox->post([=] {
        const auto alive = life.lock();
        if (how && alive && *alive == now) done();
      });
    });
  });
}

Result<std::unique_ptr<Machine>> make_xen_machine(EventLoop& loop, MachineSpec spec, MachineEvents& events,
                                                  std::shared_ptr<XenThread> thread, Duration patience) {
  if (!spec.modules.empty()) {  // libxl gives a domain one archive; the kernel takes two in a row for one
    auto joined = read_file(spec.initramfs);
    if (!joined) return tl::unexpected<Error>(joined.error());
    const auto modules = read_file(spec.modules);
    if (!modules) return tl::unexpected<Error>(modules.error());
    spec.initramfs = spec.folder / "ramdisk";
    ROOKERY_TRY(write_file(spec.initramfs, *joined + *modules));
  }
  auto config = xen_domain_config(spec);
  if (!config) return tl::unexpected<Error>(config.error());
  ROOKERY_TRY(write_file(spec.folder / kVifScriptName, kVifScript, 0700));
  XenDomainPlan plan{xen_domain_name(spec), std::move(*config), spec.folder.string()};
  return std::make_unique<XenMachine>(loop, std::move(spec), events, std::move(thread), std::move(plan),
                                      patience);
}

}  // namespace rookery::backends
