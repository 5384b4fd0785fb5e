#include "backends/libvirt/libvirt_machine.h"

#include <fmt/format.h>
#include <libvirt/virterror.h>

#include <charconv>

#include "backends/libvirt/console.h"
#include "backends/stop_and_go.h"
#include "base/file.h"

namespace rookery::backends {
namespace {

// The last of a console comes with its end; where that does not come, it is not waited for longer.
constexpr Duration kLastWords = std::chrono::seconds(2);
// libvirt gives a QEMU that does not end by itself half a minute.
constexpr Duration kEndMost = std::chrono::seconds(60);

// What the jobs of a machine work on, one at a time: the strand's, not the loop's.
struct Domain {
  DomainHandle handle;
};

// A domain of that name which is not ours, or was ours and was not to be there any more.
std::string who_has(virConnectPtr connection, const std::string& name, const std::string& uuid) {
  virDomainPtr other = virDomainLookupByName(connection, name.c_str());
  std::string said;
  if (other != nullptr) {
    char its[VIR_UUID_STRING_BUFLEN] = "";
    virDomainGetUUIDString(other, its);
    if (uuid != its) {
      said = fmt::format(
          "there is a domain '{}' already, and it is not ours: it is left alone; give the lab another name, "
          "or "
          "remove the domain yourself",
          name);
    }
    virDomainFree(other);
  }
  return said;
}

class LibvirtMachine final : public Machine, private DomainEvents {
 public:
  LibvirtMachine(EventLoop& loop, std::shared_ptr<LibvirtHost> host, MachineSpec spec, std::string xml,
                 MachineEvents& events)
      : loop_(loop),
        host_(std::move(host)),
        spec_(std::move(spec)),
        xml_(std::move(xml)),
        events_(events),
        name_(domain_name(host_->owner(), spec_.name)),
        uuid_(domain_uuid(host_->owner(), spec_.name)),
        strand_(host_->new_strand()),
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

 private:
  // Runs in a worker; what it gives back is looked at on the loop, if the machine is still there.
  using Call = std::function<Status(Domain&)>;
  void run(Call call, std::function<void(const Status&)> done);

  void stopped(int detail) override;
  void qemu_said(const std::string& details) override;
  void connected_again() override;
  void connection_lost(const std::string& why) override;

  void created(const Status& status);
  void destroy();
  void stop_or_go(bool stop, Action done);
  void end_if_all_is_said();
  void end(MachineState state, const std::string& reason);
  std::string reason_of(int detail, bool& expected) const;

  EventLoop& loop_;
  std::shared_ptr<LibvirtHost> host_;
  MachineSpec spec_;
  std::string xml_;
  MachineEvents& events_;
  std::string name_, uuid_;  // of the domain
  std::shared_ptr<Strand> strand_;
  std::shared_ptr<Domain> domain_ = std::make_shared<Domain>();
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  StopAndGo pausing_;
  std::unique_ptr<ConsoleSocket> console_;
  MachineState state_ = MachineState::off;
  bool creating_ = false, said_all_ = false, cut_ = false, reset_ = false;
  std::optional<int> stopped_;  // why, if it is over and not yet told
  std::string shutdown_;        // what QEMU said of it
  EventId restart_, last_words_;
};

void LibvirtMachine::run(Call call, std::function<void(const Status&)> done) {
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
      if (!alive.expired()) done(fail("too many calls to libvirt wait"));
    });
  }
}

LibvirtMachine::~LibvirtMachine() {
  loop_.cancel(restart_);
  loop_.cancel(last_words_);
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
  if (state_ == MachineState::running)
    return fail(ErrorKind::expectation, spec_.name + " is running already");
  if (!host_->connection())
    return fail(fmt::format("machine '{}': there is no connection to {}", spec_.name, host_->uri().text()));
  state_ = MachineState::running;
  creating_ = true;
  cut_ = reset_ = said_all_ = false;
  stopped_.reset();
  shutdown_.clear();
  // A QEMU goes on when somebody buries it: one that ends at once would never be over for libvirt.
  const bool is_qemu = host_->uri().driver == LibvirtDriver::qemu;
  run(
      [connection = host_->connection(), xml = xml_, name = name_, uuid = uuid_,
       pid_file = host_->pid_file(name_), is_qemu](Domain& domain) -> Status {
        virDomainPtr made = virDomainCreateXML(connection.get(), xml.c_str(),
                                               is_qemu ? VIR_DOMAIN_START_PAUSED : VIR_DOMAIN_NONE);
        if (made == nullptr) {
          Error error = libvirt_error("cannot create its domain");
          if (const std::string who = who_has(connection.get(), name, uuid); !who.empty())
            error.message = who;
          return tl::unexpected<Error>(std::move(error));
        }
        domain.handle = DomainHandle(made, [](virDomain* one) { virDomainFree(one); });
        bury(pid_file);
        // Of one that is over already an event tells.
        if (is_qemu && virDomainResume(made) != 0 && virDomainIsActive(made) == 1)
          return tl::unexpected<Error>(libvirt_error("cannot start its domain"));
        return {};
      },
      [this](const Status& status) { created(status); });
  return {};
}

void LibvirtMachine::created(const Status& status) {
  creating_ = false;
  if (!status) return end(cut_ ? MachineState::off : MachineState::failed, status.error().message);
  pausing_.started();
  end_if_all_is_said();
}

Status LibvirtMachine::power(PowerAction action) {
  if (state_ != MachineState::running) {
    if (action == PowerAction::reset) return start();
    if (action == PowerAction::press) return fail(ErrorKind::expectation, spec_.name + " is off");
    return {};
  }
  if (action == PowerAction::press) {
    run(
        [](Domain& domain) -> Status {
          if (domain.handle) (void)virDomainShutdownFlags(domain.handle.get(), VIR_DOMAIN_SHUTDOWN_DEFAULT);
          return {};
        },
        nullptr);
    return {};
  }
  reset_ = action == PowerAction::reset;
  if (!std::exchange(cut_, true)) destroy();
  return {};
}

void LibvirtMachine::destroy() {
  run(
      [](Domain& domain) -> Status {
        if (!domain.handle || virDomainDestroy(domain.handle.get()) == 0) return {};
        const int code = virGetLastErrorCode();
        if (code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID) return {};  // by itself, just now
        // The connection broke: whoever makes it anew, or gives it up, sees to the cut (connected_again()).
        if (virGetLastErrorDomain() == VIR_FROM_RPC) return {};
        return tl::unexpected<Error>(libvirt_error("cannot destroy its domain"));
      },
      [this](const Status& status) {
        if (!status && state_ == MachineState::running) end(MachineState::failed, status.error().message);
      });
}

void LibvirtMachine::stop_or_go(bool stop, Action done) {
  run(
      [stop](Domain& domain) -> Status {
        if (domain.handle)
          (void)(stop ? virDomainSuspend(domain.handle.get()) : virDomainResume(domain.handle.get()));
        return {};
      },
      [done = std::move(done)](const Status&) { done(); });
}

// After what was asked for before it: who is being frozen is not to hear it.
void LibvirtMachine::console_input(std::string_view bytes) {
  run([](Domain&) -> Status { return {}; },
      [this, bytes = std::string(bytes)](const Status&) { console_->write(bytes); });
}

void LibvirtMachine::stopped(int detail) {
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
  if (!stopped_ || creating_ || (console_->connected() && !said_all_)) return;
  bool expected = true;
  const std::string reason = reason_of(*stopped_, expected);
  end(expected ? MachineState::off : MachineState::failed, reason);
}

void LibvirtMachine::end(MachineState state, const std::string& reason) {
  loop_.cancel(std::exchange(last_words_, {}));
  pausing_.ended();
  stopped_.reset();
  state_ = state;
  if (reset_ && state == MachineState::off) {
    restart_ = loop_.soon([this] {
      const auto started = start();
      events_.state_changed(*this, state_, started ? "reset" : started.error().message);
    });
  }
  events_.state_changed(*this, state, reason);
}

std::string LibvirtMachine::reason_of(int detail, bool& expected) const {
  if (reset_) return "reset";
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
  run(
      [connection = host_->connection(), uuid = uuid_](Domain& domain) -> Status {
        virDomainPtr found = virDomainLookupByUUIDString(connection.get(), uuid.c_str());
        if (found == nullptr) return tl::unexpected<Error>(libvirt_error("its domain is gone"));
        domain.handle = DomainHandle(found, [](virDomain* one) { virDomainFree(one); });
        return {};
      },
      [this](const Status& status) {
        if (state_ != MachineState::running) return;
        if (!status) return end(MachineState::failed, "while libvirt was away: " + status.error().message);
        if (cut_) destroy();
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
