#include "backends/qemu/qemu_machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "backends/coming_back.h"
#include "backends/qemu/qemu_snapshots.h"
#include "backends/stop_and_go.h"
#include "base/file.h"
#include "base/loop/host_clock.h"
#include "base/process.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kComplaintKept = 4096;  // the end of what QEMU says on standard error

// The files that a user's own arguments name: '-drive', 'file=/srv/disk,if=virtio'.
std::vector<fs::path> files_named_in(const std::vector<std::string>& arguments) {
  std::vector<fs::path> files;
  for (const std::string& argument : arguments) {
    for (std::size_t start = 0; start < argument.size();) {
      const std::size_t end = std::min(argument.find_first_of(",=:", start), argument.size());
      const fs::path piece(argument.substr(start, end - start));
      std::error_code error;
      if (piece.is_absolute() && fs::exists(piece, error)) files.push_back(piece);
      start = end + 1;
    }
  }
  return files;
}

// QEMU takes one initramfs. The kernel takes several archives one behind the other, each at a multiple of
// four bytes (Documentation/driver-api/early-userspace/buffer-format.rst).
Status join(const std::vector<fs::path>& parts, const fs::path& to) {
  std::string joined;
  for (const fs::path& part : parts) {
    const auto bytes = read_file(part, mebibytes(256));
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    joined += *bytes;
    joined.resize((joined.size() + 3) / 4 * 4);
  }
  return write_file(to, joined, 0600);
}

// QEMU's ShutdownCause (qapi/run-state.json), as far as it can be one of ours.
struct Ending {
  std::string_view cause, reason;
  bool expected;
};
constexpr Ending kEndings[] = {
    {"guest-shutdown", "powered off", true},
    {"guest-reset", kResetByGuest, true},
    {"guest-panic", "the guest panicked", false},
    {"host-error", "QEMU met an error of the host", false},
    {"host-signal", "QEMU was ended by a signal from outside", false},
    {"host-qmp-quit", "QEMU was told to quit by somebody else", false},
};

const Ending* ending_of(std::string_view cause) {
  const auto* found = std::find_if(std::begin(kEndings), std::end(kEndings),
                                   [&](const Ending& one) { return one.cause == cause; });
  return found == std::end(kEndings) ? nullptr : found;
}

class QemuMachine final : public Machine, private Snapshots {
 public:
  QemuMachine(EventLoop& loop, MachineSpec spec, MachineEvents& events, std::vector<std::string> arguments,
              const QemuFiles& files)
      : loop_(loop),
        spec_(std::move(spec)),
        events_(events),
        arguments_(std::move(arguments)),
        files_(files) {}

  Status prepare();
  const std::string& name() const override { return spec_.name; }
  Status start() override { return start({}); }
  Status power(PowerAction action) override;
  MachineState state() const override { return state_; }
  void console_input(std::string_view bytes) override;
  std::vector<pid_t> processes() const override;
  Pausing* pausing() override { return pausing_.get(); }
  Snapshots* snapshots() override { return this; }

 private:
  using Again = ComingBack<UniqueFd>::How;
  Status start(std::span<const char* const> more_arguments);
  Status take(const fs::path& file, Done done) override;
  Status restore(const fs::path& file, Done done) override;
  void go_on();  // unless it is frozen
  void start_again(Again again);
  void qmp_event(const qmp::Event& event);
  void exited(ExitStatus status);
  std::string reason_of(ExitStatus status, bool& expected) const;
  void read_console();
  void read_complaints();

  EventLoop& loop_;
  MachineSpec spec_;
  MachineEvents& events_;
  std::vector<std::string> arguments_;
  QemuFiles files_;
  std::unique_ptr<QmpLink> link_;
  std::unique_ptr<StopAndGo> pausing_;
  std::unique_ptr<QemuSnapshots> snapshots_;
  std::unique_ptr<ChildProcess> process_;
  ChildPipe input_, output_, errors_;
  Watch output_watch_, errors_watch_;
  std::string complaint_;
  std::string shutdown_;  // why QEMU ends, in its own words
  MachineState state_ = MachineState::off;
  bool cut_ = false;
  ComingBack<UniqueFd> coming_{loop_, [this](Again again) { start_again(std::move(again)); }};
};

Status QemuMachine::prepare() {
  auto link = QmpLink::listen(loop_, spec_.folder / kQmpSocket,
                              [this](const qmp::Event& event) { qmp_event(event); });
  if (!link) return tl::unexpected<Error>(link.error());
  link_ = std::move(*link);
  pausing_ = std::make_unique<StopAndGo>(loop_, [this](bool stop, Action done) {
    link_->execute({.name = stop ? "stop" : "cont", .arguments = {}},
                   [done = std::move(done)](const qmp::Reply& reply) {
                     // What ended the conversation ends the machine too, or is told by it.
                     if (std::holds_alternative<qmp::Value>(reply)) done();
                   });
  });
  snapshots_ = std::make_unique<QemuSnapshots>(loop_, *link_);
  if (!spec_.modules.empty())
    ROOKERY_TRY(join({spec_.initramfs, spec_.modules}, spec_.folder / kJoinedInitramfs));
  if (spec_.hardware.firmware != Firmware::uefi) return {};
  // What firmware remembers is the machine's own, and stays from one start to the next.
  std::error_code error;
  fs::copy_file(files_.uefi_variables, spec_.folder / kUefiVariables, fs::copy_options::overwrite_existing,
                error);
  if (error)
    return fail(fmt::format("there is no UEFI firmware in {} ({}); install: ovmf",
                            files_.uefi_variables.string(), error.message()));
  fs::permissions(spec_.folder / kUefiVariables, fs::perms::owner_read | fs::perms::owner_write, error);
  return {};
}

Status QemuMachine::start(std::span<const char* const> more_arguments) {
  if (state_ == MachineState::running || coming_)
    return fail(ErrorKind::usage, spec_.name + " is running already");
  ROOKERY_TRY(input_.make(true));
  ROOKERY_TRY(output_.make(false));
  ROOKERY_TRY(errors_.make(false));
  complaint_.clear();
  shutdown_.clear();

  ProcessSpec process;
  process.argv = arguments_;
  process.argv.insert(process.argv.end(), more_arguments.begin(), more_arguments.end());
  process.folder = spec_.folder;
  process.environment = {{"PATH", "/nonexistent"}, {"HOME", "."}, {"TMPDIR", "."}};
  process.input = input_.its.get();
  process.output = output_.its.get();
  process.errors = errors_.its.get();
  process.confined = true;
  // The program, its libraries and its firmware; nothing of the user's.
  process.confinement.read_only = {arguments_[0],
                                   "/usr",
                                   "/bin",
                                   "/lib",
                                   "/lib64",
                                   "/etc/ld.so.cache",
                                   "/etc/alternatives",
                                   "/proc/cpuinfo",
                                   "/proc/meminfo",
                                   "/sys/devices/system",
                                   "/dev/urandom"};
  process.confinement.read_write = {spec_.folder, "/dev/null", "/dev/kvm"};
  for (fs::path& file : files_named_in(spec_.hardware.more_arguments))
    process.confinement.read_write.push_back(std::move(file));
  std::vector<fs::path> given{spec_.kernel, spec_.initramfs};
  for (const DiskPlug& disk : spec_.disks) given.push_back(disk.file);
  for (const fs::path& file : given) {
    if (!file.empty()) process.confinement.read_only.push_back(file);
  }

  link_->starting();
  auto started = ChildProcess::start(loop_, process, [this](ExitStatus status) { exited(status); });
  if (!started) {
    link_->ended();
    return tl::unexpected<Error>(std::move(started.error()).while_doing("starting " + spec_.name));
  }
  process_ = std::move(*started);
  for (ChildPipe* pipe : {&input_, &output_, &errors_}) pipe->its.reset();
  output_watch_ = loop_.watch(output_.ours.get(), EPOLLIN, [this](std::uint32_t) { read_console(); });
  errors_watch_ = loop_.watch(errors_.ours.get(), EPOLLIN, [this](std::uint32_t) { read_complaints(); });
  state_ = MachineState::running;
  cut_ = false;
  pausing_->started();
  return {};
}

Status QemuMachine::power(PowerAction action) {
  if (action != PowerAction::press) coming_.not_any_more(spec_.name);
  if (state_ != MachineState::running) {
    if (action == PowerAction::reset) return start();
    if (action == PowerAction::press) return fail(ErrorKind::expectation, spec_.name + " is off");
    return {};
  }
  if (action == PowerAction::press) {
    link_->execute({.name = "system_powerdown", .arguments = {}}, [](const qmp::Reply&) {});
    return {};
  }
  cut_ = true;
  if (action == PowerAction::reset) coming_.plan({.reason = "reset"});
  process_->kill();
  return {};
}

Status QemuMachine::take(const fs::path& file, Done done) {
  if (state_ != MachineState::running) return fail(ErrorKind::expectation, spec_.name + " is off");
  return snapshots_->take(file, std::move(done), [this] { go_on(); });
}

void QemuMachine::go_on() {
  if (!pausing_->stopped()) link_->execute({.name = "cont", .arguments = {}}, [](const qmp::Reply&) {});
}

Status QemuMachine::restore(const fs::path& file, Done done) {
  if (coming_) return fail(ErrorKind::expectation, spec_.name + " is about to come back already");
  UniqueFd opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened) return fail_errno("cannot open " + file.string());
  coming_.plan({std::string(kRestored), std::move(opened), std::move(done)});
  if (state_ == MachineState::running) {
    cut_ = true;
    process_->kill();
  } else {
    coming_.now();
  }
  return {};
}

void QemuMachine::start_again(Again again) {
  const bool restores = static_cast<bool>(again.snapshot);
  const Status started = restores ? start(kIncoming) : start();
  if (!started) state_ = MachineState::failed;
  if (started && restores) {
    snapshots_->load(std::move(again.snapshot), std::move(again.done), [this] { go_on(); });
  }
  events_.state_changed(*this, state_, started ? again.reason : started.error().message);
  if (!started && restores) again.done(started);
}

void QemuMachine::qmp_event(const qmp::Event& event) {
  snapshots_->event(event);
  if (event.name == "SHUTDOWN") {
    shutdown_ = event.data.find("reason").as_string().value_or("");
  } else if (event.name == "GUEST_PANICKED") {
    shutdown_ = "guest-panic";
  }
}

void QemuMachine::exited(ExitStatus status) {
  read_console();
  read_complaints();
  link_->ended();
  pausing_->ended();
  output_watch_.stop();
  errors_watch_.stop();
  for (ChildPipe* pipe : {&input_, &output_, &errors_}) pipe->ours.reset();
  bool expected = false;
  const std::string reason = reason_of(status, expected);
  state_ = expected ? MachineState::off : MachineState::failed;
  snapshots_->ended(reason);
  coming_.now();
  events_.state_changed(*this, state_, reason);
}

std::string QemuMachine::reason_of(ExitStatus status, bool& expected) const {
  expected = true;
  if (coming_) return coming_.reason();
  if (cut_) return "power cut";
  if (const Ending* told = ending_of(shutdown_); told != nullptr && (status.clean() || !told->expected)) {
    expected = told->expected;
    return std::string(told->reason);
  }
  if (status.clean()) return "powered off";
  expected = false;
  // isa-debug-exit ends QEMU by 2 n + 1 (hw/misc/debugexit.c); 1 is QEMU's own, unless it had no complaint.
  const bool has_debug_exit =
      std::any_of(arguments_.begin(), arguments_.end(),
                  [](const std::string& argument) { return argument.starts_with("isa-debug-exit"); });
  if (has_debug_exit && status.signal == 0 && status.code % 2 == 1 && (status.code > 1 || complaint_.empty()))
    return fmt::format("the guest ended by its debug exit with {}", status.code / 2);
  std::string reason = "QEMU: " + status.describe();
  if (!complaint_.empty()) reason += ": " + complaint_.substr(0, complaint_.find_last_not_of(" \n") + 1);
  return reason;
}

void QemuMachine::read_console() {
  if (!read_what_is_there(output_.ours,
                          [this](std::string_view bytes) { events_.console_output(*this, bytes); }))
    output_watch_.stop();
}

void QemuMachine::read_complaints() {
  const auto keep = [this](std::string_view bytes) {
    complaint_ += bytes;
    if (complaint_.size() > kComplaintKept) complaint_.erase(0, complaint_.size() - kComplaintKept);
  };
  if (!read_what_is_there(errors_.ours, keep)) errors_watch_.stop();
}

void QemuMachine::console_input(std::string_view bytes) {
  // A guest that does not read its console loses what does not fit, as on a serial line.
  if (input_.ours) (void)!::write(input_.ours.get(), bytes.data(), bytes.size());
}

std::vector<pid_t> QemuMachine::processes() const {
  if (!process_ || !process_->running()) return {};
  return {process_->pid()};
}

}  // namespace

Result<std::unique_ptr<Machine>> make_qemu_machine(EventLoop& loop, MachineSpec spec, MachineEvents& events,
                                                   Accelerator accelerator, const QemuFiles& files) {
  // A microvm has nothing that tells the time but the processor's counter, and under TCG nothing to tell how
  // fast that is (KVM's clock does): without this Debian's kernel waits for a first tick for ever.
  if (spec.hardware.chipset == Chipset::microvm && accelerator == Accelerator::tcg)
    spec.command_line += fmt::format(" tsc_early_khz={}", host_clock::counts_per_millisecond());
  auto arguments = qemu_arguments(spec, accelerator, files);
  if (!arguments) return tl::unexpected<Error>(arguments.error());
  auto machine = std::make_unique<QemuMachine>(loop, std::move(spec), events, std::move(*arguments), files);
  ROOKERY_TRY(machine->prepare());
  return machine;
}

}  // namespace rookery::backends
