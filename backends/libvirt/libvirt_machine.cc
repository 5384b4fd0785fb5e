#include "backends/libvirt/libvirt_machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "backends/coming_back.h"
#include "backends/libvirt/console.h"
#include "backends/libvirt/domain_calls.h"
#include "backends/stop_and_go.h"
#include "base/file.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

// The last of a console comes with its end; where that does not come, it is not waited for longer.
constexpr Duration kLastWords = std::chrono::seconds(2);
// Until libvirt has forgotten the domain that was there before: it takes moments, and there is no event of
// it.
constexpr Duration kForgetting = std::chrono::milliseconds(5);
constexpr int kForgettingLooks = 2000;
// libvirt gives a QEMU that does not end by itself half a minute.
constexpr Duration kEndMost = std::chrono::seconds(60);

using Of = CallFailure::Of;

class LibvirtMachine final : public Machine, private DomainEvents, private Snapshots {
 public:
  LibvirtMachine(EventLoop& loop, std::shared_ptr<LibvirtHost> host, MachineSpec spec, std::string xml,
                 MachineEvents& events)
      : loop_(loop),
        host_(std::move(host)),
        spec_(std::move(spec)),
        events_(events),
        name_(domain_name(host_->owner(), spec_.name)),
        uuid_(domain_uuid(host_->owner(), spec_.name)),
        strand_(host_->new_strand()),
        domain_(std::make_shared<DomainCalls>(name_, uuid_, std::move(xml), host_->uri().driver)),
        pausing_(loop, [this](bool stop, Action done) { stop_or_go(stop, std::move(done)); }) {
    host_->add(uuid_, *this);
  }
  ~LibvirtMachine() override;

  Status prepare();
  const std::string& name() const override { return spec_.name; }
  Status start() override;
  Status power(PowerAction action) override;
  MachineState state() const override { return state_; }
  void console_input(std::string_view bytes) override;
  std::vector<pid_t> processes() const override;
  Pausing* pausing() override { return &pausing_; }
  Snapshots* snapshots() override { return host_->uri().driver == LibvirtDriver::qemu ? this : nullptr; }

 private:
  using Again = ComingBack<fs::path>::How;
  // Runs in a worker; what it gives back is looked at on the loop, if the machine is still there.
  using Call = std::function<CallStatus(DomainCalls&)>;
  void run(Call call, const std::function<void(const CallStatus&)>& done);

  void started() override;
  void stopped(int detail) override;
  void qemu_said(const std::string& details) override;
  void connected_again() override;
  void connection_lost(const std::string& why) override;
  Status take(const fs::path& file, Done done) override;
  Status restore(const fs::path& file, Done done) override;

  Status begin(const Again& how);
  void make_domain(const Again& how, int looks);
  void begun(const CallStatus& status, const Done& done);
  void taken(const CallStatus& status, const Done& done);
  void start_again(const Again& again);
  void destroy();
  void stop_or_go(bool stop, Action done);
  void go_on(const Done& done);
  void over(int detail);
  void end_if_all_is_said();
  void end(MachineState state, const std::string& reason);
  std::string reason_of(int detail, bool& expected) const;

  EventLoop& loop_;
  std::shared_ptr<LibvirtHost> host_;
  MachineSpec spec_;
  MachineEvents& events_;
  std::string name_, uuid_;  // of the domain
  std::shared_ptr<Strand> strand_;
  std::shared_ptr<DomainCalls> domain_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  StopAndGo pausing_;
  std::unique_ptr<ConsoleSocket> console_;
  MachineState state_ = MachineState::off;
  bool beginning_ = false, taking_ = false, said_all_ = false, cut_ = false;
  // An end that is told of is of this domain, and not of one before it, when its start was told of. One that
  // is saved ends and starts.
  bool heard_start_ = false, is_to_start_again_ = false;
  std::optional<int> stopped_;  // why, if it is over and not yet told
  std::string shutdown_;        // what QEMU said of it
  ComingBack<fs::path> coming_{loop_, [this](const Again& again) { start_again(again); }};
  Action held_;  // a stop or go that waits for a snapshot
  EventId last_words_, forgetting_;
};

void LibvirtMachine::run(Call call, const std::function<void(const CallStatus&)>& done) {
  const bool taken = strand_->run([call = std::move(call), done, domain = domain_, inbox = host_->inbox(),
                                   alive = std::weak_ptr<bool>(alive_)] {
    auto status = call(*domain);
    if (!done) return;
    inbox->post([done, alive, status = std::move(status)] {
      if (!alive.expired()) done(status);
    });
  });
  if (!taken && done) {
    loop_.soon([done, alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return;
      done(tl::unexpected<CallFailure>(
          {Of::call, {ErrorKind::infrastructure, "too many calls to libvirt wait"}}));
    });
  }
}

LibvirtMachine::~LibvirtMachine() {
  loop_.cancel(last_words_);
  loop_.cancel(forgetting_);
  alive_.reset();
  if (state_ == MachineState::running) destroy();
  strand_->wait(kEndMost);
  host_->remove(uuid_);
}

Status LibvirtMachine::prepare() {
  auto console = ConsoleSocket::listen(
      loop_, spec_.folder / kConsoleSocket,
      [this](std::string_view bytes) { events_.console_output(*this, bytes); },
      [this] { end_if_all_is_said(); });
  if (!console) return tl::unexpected<Error>(console.error());
  console_ = std::move(*console);
  return {};
}

Status LibvirtMachine::start() {
  if (state_ == MachineState::running || coming_)
    return fail(ErrorKind::expectation, spec_.name + " is running already");
  return begin({});
}

Status LibvirtMachine::begin(const Again& how) {
  if (!host_->connection())
    return fail(fmt::format("machine '{}': there is no connection to {}", spec_.name, host_->uri().text()));
  state_ = MachineState::running;
  beginning_ = true;
  cut_ = said_all_ = heard_start_ = is_to_start_again_ = false;
  stopped_.reset();
  shutdown_.clear();
  make_domain(how, kForgettingLooks);
  return {};
}

void LibvirtMachine::make_domain(const Again& how, int looks) {
  run(
      [connection = host_->connection(), file = how.snapshot](DomainCalls& domain) {
        return file.empty() ? domain.create(connection) : domain.restore(connection, file);
      },
      [this, how, looks](const CallStatus& status) {
        if (status || status.error().of != Of::forgetting || looks == 0) return begun(status, how.done);
        forgetting_ = loop_.after(kForgetting, [this, how, looks, status] {
          if (cut_ || !host_->connection()) return begun(status, how.done);
          make_domain(how, looks - 1);
        });
      });
}

void LibvirtMachine::begun(const CallStatus& status, const Done& done) {
  beginning_ = false;
  if (!status && status.error().of != Of::connection)
    end(cut_ ? MachineState::off : MachineState::failed, status.error().error.message);
  if (!status && done) done(tl::unexpected<Error>(status.error().error));
  if (!status) return;
  pausing_.started();
  if (done) go_on(done);
  end_if_all_is_said();
}

// Behind a snapshot, when it stands still.
void LibvirtMachine::go_on(const Done& done) {
  done({});
  if (pausing_.stopped()) return;
  run(
      [](DomainCalls& domain) -> CallStatus {
        domain.go();
        return {};
      },
      nullptr);
}

Status LibvirtMachine::power(PowerAction action) {
  if (action != PowerAction::press) coming_.not_any_more(spec_.name);
  if (state_ != MachineState::running) {
    if (action == PowerAction::reset) return start();
    if (action == PowerAction::press) return fail(ErrorKind::expectation, spec_.name + " is off");
    return {};
  }
  if (action == PowerAction::press) {
    run(
        [](DomainCalls& domain) -> CallStatus {
          domain.press();
          return {};
        },
        nullptr);
    return {};
  }
  if (action == PowerAction::reset) coming_.plan({.reason = "reset"});
  if (!std::exchange(cut_, true)) destroy();
  return {};
}

void LibvirtMachine::destroy() {
  run([](DomainCalls& domain) { return domain.destroy(); },
      [this](const CallStatus& status) {
        if (status || state_ != MachineState::running || status.error().of == Of::connection) return;
        if (status.error().of == Of::call) return end(MachineState::failed, status.error().error.message);
        // It went by itself just now; or a daemon that had only begun to look after it gave it up, of which
        // it tells nobody.
        over(VIR_DOMAIN_EVENT_STOPPED_DESTROYED);
      });
}

Status LibvirtMachine::take(const fs::path& file, Done done) {
  if (state_ != MachineState::running) return fail(ErrorKind::expectation, spec_.name + " is off");
  if (taking_) return fail(ErrorKind::expectation, "a snapshot of this machine is being written");
  if (std::error_code none; fs::exists(file, none)) return fail_errno("cannot make " + file.string(), EEXIST);
  if (!host_->connection()) return fail("there is no connection to " + host_->uri().text());
  taking_ = is_to_start_again_ = true;
  run(
      [connection = host_->connection(), file](DomainCalls& domain) {
        auto saved = domain.save(connection, file);
        std::error_code none;
        if (!saved) fs::remove(file, none);
        return saved;
      },
      [this, done = std::move(done)](const CallStatus& status) { taken(status, done); });
  return {};
}

void LibvirtMachine::taken(const CallStatus& status, const Done& done) {
  taking_ = false;
  if (status) {
    go_on(done);
  } else {
    is_to_start_again_ = false;
    if (status.error().of == Of::domain && !stopped_) {
      end(cut_ ? MachineState::off : MachineState::failed, status.error().error.message);
    }
    done(tl::unexpected<Error>(status.error().error));
  }
  if (held_) std::exchange(held_, nullptr)();
  end_if_all_is_said();
}

Status LibvirtMachine::restore(const fs::path& file, Done done) {
  if (coming_) return fail(ErrorKind::expectation, spec_.name + " is about to come back already");
  if (::access(file.c_str(), R_OK) != 0) return fail_errno("cannot open " + file.string());
  coming_.plan({std::string(kRestored), file, std::move(done)});
  if (state_ != MachineState::running) {
    coming_.now();
  } else if (!std::exchange(cut_, true)) {
    destroy();
  }
  return {};
}

void LibvirtMachine::start_again(const Again& again) {
  const Status started = begin(again);
  if (!started) state_ = MachineState::failed;
  events_.state_changed(*this, state_, started ? again.reason : started.error().message);
  if (!started && again.done) again.done(started);
}

void LibvirtMachine::stop_or_go(bool stop, Action done) {
  if (taking_) {
    held_ = [this, stop, done = std::move(done)] { stop_or_go(stop, done); };
    return;
  }
  run(
      [stop](DomainCalls& domain) -> CallStatus {
        stop ? domain.stop() : domain.go();
        return {};
      },
      [done = std::move(done)](const CallStatus&) { done(); });
}

// After what was asked for before it: who is being frozen is not to hear it.
void LibvirtMachine::console_input(std::string_view bytes) {
  run([](DomainCalls&) -> CallStatus { return {}; },
      [this, bytes = std::string(bytes)](const CallStatus&) { console_->write(bytes); });
}

void LibvirtMachine::started() {
  heard_start_ = true;
  is_to_start_again_ = false;
}

void LibvirtMachine::stopped(int detail) {
  const bool is_saved_by_us = is_to_start_again_ && detail == VIR_DOMAIN_EVENT_STOPPED_SAVED;
  if (heard_start_ && !is_saved_by_us) over(detail);
}

void LibvirtMachine::over(int detail) {
  if (state_ != MachineState::running || stopped_) return;
  stopped_ = detail;
  if (console_->connected()) {
    last_words_ = loop_.after(kLastWords, [this] {
      said_all_ = true;
      end_if_all_is_said();
    });
  }
  end_if_all_is_said();
}

// QEMU's event SHUTDOWN has a ShutdownCause (qapi/run-state.json there).
void LibvirtMachine::qemu_said(const std::string& details) {
  for (const std::string_view cause : {"guest-reset", "guest-panic"}) {
    if (details.find(fmt::format("\"{}\"", cause)) != std::string::npos) shutdown_ = cause;
  }
}

void LibvirtMachine::end_if_all_is_said() {
  if (!stopped_ || beginning_ || taking_ || (console_->connected() && !said_all_)) return;
  bool expected = true;
  const std::string reason = reason_of(*stopped_, expected);
  end(expected ? MachineState::off : MachineState::failed, reason);
}

void LibvirtMachine::end(MachineState state, const std::string& reason) {
  loop_.cancel(std::exchange(last_words_, {}));
  pausing_.ended();
  stopped_.reset();
  state_ = state;
  if (state != MachineState::off) coming_.not_any_more(spec_.name);
  coming_.now();
  events_.state_changed(*this, state, reason);
}

std::string LibvirtMachine::reason_of(int detail, bool& expected) const {
  if (coming_) return coming_.reason();
  if (cut_) return "power cut";
  if (shutdown_ == "guest-panic" || detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED) {
    expected = false;
    return "the guest panicked";
  }
  if (shutdown_ == "guest-reset") return std::string(kResetByGuest);
  if (detail == VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN) return "powered off";
  expected = false;
  switch (detail) {
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
      return "somebody else destroyed its domain";
    case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
      return "somebody else migrated its domain to another host";
    case VIR_DOMAIN_EVENT_STOPPED_SAVED:
      return "somebody else saved its domain";
    default: {
      const std::string said = host_->log_of(name_);
      return "the hypervisor ended by itself" + (said.empty() ? "" : ": " + said);
    }
  }
}

// Whoever was away does not know what happened meanwhile: the domain itself does.
void LibvirtMachine::connected_again() {
  if (state_ != MachineState::running) return;
  run([connection = host_->connection()](DomainCalls& domain) { return domain.find(connection); },
      [this](const CallStatus& status) {
        if (state_ != MachineState::running) return;
        if (status) {
          heard_start_ = true;
          if (cut_) destroy();
        } else if (cut_ && status.error().of == Of::domain) {
          over(VIR_DOMAIN_EVENT_STOPPED_DESTROYED);
        } else if (status.error().of != Of::connection) {
          end(MachineState::failed, "while libvirt was away: " + status.error().error.message);
        }
      });
}

void LibvirtMachine::connection_lost(const std::string& why) {
  if (state_ != MachineState::running) return;
  end(MachineState::failed,
      why + "; the domain may still run there: `rookery clean` removes it once it can be reached");
}

std::vector<pid_t> LibvirtMachine::processes() const {
  if (state_ != MachineState::running) return {};
  const auto text = read_file(host_->pid_file(name_), Bytes{64});
  pid_t pid = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), pid).ec != std::errc() || pid <= 0)
    return {};
  return {pid};
}

}  // namespace

Result<std::unique_ptr<Machine>> make_libvirt_machine(EventLoop& loop, std::shared_ptr<LibvirtHost> host,
                                                      MachineSpec spec, std::string xml,
                                                      MachineEvents& events) {
  auto machine =
      std::make_unique<LibvirtMachine>(loop, std::move(host), std::move(spec), std::move(xml), events);
  ROOKERY_TRY(machine->prepare());
  return machine;
}

}  // namespace rookery::backends
