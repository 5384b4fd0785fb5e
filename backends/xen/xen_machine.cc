// Everything that libxl does is asked of its thread and answered through the inbox, by the power-on that
// asked (Answer below): what an earlier one still has to say is not heard. So the machine is one of
//
//   off -> making -> running -> ending -> off or failed
//
// and in "making" and "ending" a deadline runs: a dom0 that does not answer is told of, not waited for.
#include "backends/xen/xen_machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <future>

#include "backends/stop_and_go.h"
#include "backends/xen/xen_config.h"
#include "backends/xen/xen_domain.h"
#include "base/file.h"
#include "base/unix_socket.h"

namespace rookery::backends {
namespace {

class XenMachine final : public Machine {
 public:
  XenMachine(EventLoop& loop, MachineSpec spec, MachineEvents& events, std::shared_ptr<XenThread> thread,
             XenDomainPlan plan, Duration patience)
      : loop_(loop),
        spec_(std::move(spec)),
        events_(events),
        thread_(std::move(thread)),
        plan_(std::move(plan)),
        patience_(patience) {}
  ~XenMachine() override;

  const std::string& name() const override { return spec_.name; }
  Status start() override;
  Status power(PowerAction action) override;
  MachineState state() const override { return state_; }
  void console_input(std::string_view bytes) override;
  std::vector<pid_t> processes() const override { return {}; }  // a domain is none of dom0's
  Pausing* pausing() override { return &pausing_; }

 private:
  // From any thread: calls a member of ours in the loop, if this power-on is still the one.
  template <typename... Values>
  std::function<void(Values...)> answer(void (XenMachine::*member)(Values...));
  void ask(std::function<void(XenContext&, XenDomain&)> what);

  void made(Result<XenDomainUp> up);
  void let_run(Status) {}
  void shut_down(int reason);
  void end(MachineState state, std::string reason);
  void destroyed(Status how);
  void ended(MachineState state, const std::string& reason);
  Status announce_interfaces(std::uint32_t domain);
  void expect(std::string_view what);
  void read_console();
  void tell(bool stop, Action done);

  EventLoop& loop_;
  MachineSpec spec_;
  MachineEvents& events_;
  std::shared_ptr<XenThread> thread_;
  XenDomainPlan plan_;
  Duration patience_;
  StopAndGo pausing_{loop_, [this](bool stop, Action done) { tell(stop, std::move(done)); }};
  std::shared_ptr<XenDomain> domain_;
  std::shared_ptr<std::uint64_t> life_ = std::make_shared<std::uint64_t>(0);  // which power-on this is
  std::shared_ptr<UniqueFd> console_;
  Watch console_watch_;
  std::vector<UniqueFd> interfaces_;  // the lines on which the network was told of them
  MachineState state_ = MachineState::off;
  bool ending_ = false, reset_ = false;
  MachineState end_state_ = MachineState::off;
  std::string end_reason_;
  EventId deadline_, restart_;
};

XenMachine::~XenMachine() {
  loop_.cancel(deadline_);
  loop_.cancel(restart_);
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
  ++*life_;
  domain_ = std::make_shared<XenDomain>(plan_);
  state_ = MachineState::running;
  ending_ = reset_ = false;
  thread_->run([domain = domain_, made = answer(&XenMachine::made),
                shut_down = answer(&XenMachine::shut_down)](XenContext* context, const std::string& why) {
    if (context == nullptr) return made(fail(why));
    domain->make(*context, made, shut_down);
  });
  expect("to make");
  pausing_.started();
  return {};
}

void XenMachine::expect(std::string_view what) {
  loop_.cancel(deadline_);
  deadline_ = loop_.after(patience_, [this, what] {
    // What was asked is still to be done, whenever dom0 comes to it, and this last.
    ask([](XenContext& context, XenDomain& domain) { domain.destroy(context, [](const Status&) {}); });
    ended(
        MachineState::failed,
        fmt::format("Xen's dom0 was asked {} the domain {} and has not answered for {:g} s; look whether its "
                    "xenstored runs (xenstore-ls), and at /var/log/xen",
                    what, plan_.name, seconds(patience_)));
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
  ask([done = answer(&XenMachine::let_run)](XenContext& context, XenDomain& domain) {
    domain.let_run(context, done);
  });
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
  if (state_ != MachineState::running) {
    if (action == PowerAction::reset) return start();
    if (action == PowerAction::press) return fail(ErrorKind::expectation, spec_.name + " is off");
    return {};
  }
  if (action == PowerAction::press) {
    ask([](XenContext& context, XenDomain& domain) { domain.press(context, [](const Status&) {}); });
    return {};
  }
  reset_ = action == PowerAction::reset;
  end(MachineState::off, reset_ ? "reset" : "power cut");
  return {};
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
  expect("to destroy");
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
  if (reset_ && state == MachineState::off) {
    restart_ = loop_.soon([this] {
      (void)start();
      events_.state_changed(*this, state_, "reset");
    });
  }
  events_.state_changed(*this, state_, reason);
}

void XenMachine::read_console() {
  std::array<char, 4096> block;
  while (console_ && *console_) {
    const ssize_t got = ::read(console_->get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    // Its other end, a daemon of dom0's, is closed when the domain goes: an error here (EIO).
    if (got == 0 || (got < 0 && errno != EAGAIN)) console_watch_.stop();
    if (got <= 0) return;
    events_.console_output(*this, {block.data(), static_cast<std::size_t>(got)});
  }
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

}  // namespace

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
