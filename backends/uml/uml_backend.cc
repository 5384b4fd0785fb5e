#include "backends/uml/uml_backend.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>

#include "backends/coming_back.h"
#include "backends/stop_and_go.h"
#include "backends/uml/time_travel/controller.h"
#include "base/file.h"
#include "base/process.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNoButton = "a User-Mode Linux machine has no power button; its agent is asked instead";
// Names within a machine's folder; the kernel's arguments hold only these.
constexpr const char* kKernelName = "linux";
constexpr const char* kInitramfsName = "initramfs";
constexpr const char* kTimeTravelName = "time";
// virtio device ids (virtio 1.2 §5)
// Of its console in lockstep, between two rests: what one that never rests says beyond is lost.
constexpr std::size_t kSaidMost = 4 << 20;
constexpr int kVirtioNet = 1;
constexpr int kVirtioBlock = 2;

// In lockstep: by the time that the lane grants.
class LanePausing final : public Pausing {
 public:
  explicit LanePausing(Lane& lane) : lane_(lane) {}
  Status freeze(Action frozen) override {
    lane_.freeze();
    frozen();
    return {};
  }
  Status thaw() override {
    lane_.thaw();
    return {};
  }
  Status slow(Duration gap) override {
    if (gap.count() < 0) return fail(ErrorKind::usage, "a gap between two turns cannot be negative");
    lane_.set_gap(gap);
    return {};
  }

 private:
  Lane& lane_;
};

class UmlMachine final : public Machine, private LaneDevice {
 public:
  UmlMachine(EventLoop& loop, MachineSpec spec, MachineEvents& events)
      : loop_(loop), spec_(std::move(spec)), events_(events) {
    if (spec_.lane != nullptr) lane_pausing_.emplace(*spec_.lane);
  }
  ~UmlMachine() override {
    if (spec_.lane != nullptr) spec_.lane->detach(*this);
    process_.reset();  // ends it
    forget_memory();
  }

  Status prepare();
  const std::string& name() const override { return spec_.name; }
  Status start() override;
  Status power(PowerAction action) override;
  MachineState state() const override { return state_; }
  void console_input(std::string_view bytes) override;
  std::vector<pid_t> processes() const override;
  Pausing* pausing() override {
    if (lane_pausing_) return &*lane_pausing_;
    return &stop_and_go_;
  }

 private:
  void pull_the_plug();
  void exited(ExitStatus status);
  void forget_memory();
  void finish(ExitStatus status);
  void start_again(const std::string& reason);
  void read_console();
  void settle() override;
  bool announce() override { return false; }

  EventLoop& loop_;
  MachineSpec spec_;
  MachineEvents& events_;
  const fs::path memory_folder_{spec_.memory_folder / spec_.name};  // its own: no other machine sees it
  std::unique_ptr<time_travel::Controller> time_;
  std::optional<LanePausing> lane_pausing_;
  StopAndGo stop_and_go_{loop_, [this](bool stop, const Action& done) {
                           process_->signal_all(stop ? SIGSTOP : SIGCONT);
                           done();
                         }};
  std::unique_ptr<ChildProcess> process_;
  ChildPipe input_, output_;  // the console
  Watch console_watch_;
  MachineState state_ = MachineState::off;
  bool cut_ = false;
  ComingBack<bool> coming_{loop_, [this](const ComingBack<bool>::How& how) { start_again(how.reason); }};
  std::string said_;  // on the console, since the guest last rested
};

Status UmlMachine::prepare() {
  const auto link = [&](const fs::path& target, const char* name) -> Status {
    std::error_code error;
    fs::remove(spec_.folder / name, error);
    fs::create_symlink(target, spec_.folder / name, error);
    if (error) return fail("cannot link " + (spec_.folder / name).string() + ": " + error.message());
    return {};
  };
  ROOKERY_TRY(link(spec_.kernel, kKernelName));
  ROOKERY_TRY(link(spec_.initramfs, kInitramfsName));
  if (spec_.lane != nullptr) {
    auto controller =
        time_travel::Controller::listen(loop_, spec_.folder / kTimeTravelName, *spec_.lane, spec_.clock);
    if (!controller) return tl::unexpected<Error>(controller.error());
    time_ = std::move(*controller);
    spec_.lane->attach(*this);
  }
  return {};
}

Status UmlMachine::start() {
  if (state_ == MachineState::running || coming_)
    return fail(ErrorKind::usage, spec_.name + " is running already");
  if (::mkdir(memory_folder_.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("cannot make " + memory_folder_.string());
  ROOKERY_TRY(input_.make(true));
  ROOKERY_TRY(output_.make(false));

  ProcessSpec process;
  process.argv = {(spec_.folder / kKernelName).string()};
  for (std::string& argument : uml_arguments(spec_, time_ != nullptr))
    process.argv.push_back(std::move(argument));
  process.folder = spec_.folder;
  process.environment = {{"PATH", "/nonexistent"}, {"HOME", "."}, {"TMPDIR", memory_folder_.string()}};
  if (time_) process.environment["UML_RANDOM_SEED"] = std::to_string(spec_.seed);
  process.input = input_.its.get();
  process.output = process.errors = output_.its.get();
  process.confined = true;
  process.confinement.read_only = {spec_.kernel, spec_.initramfs, "/proc/cpuinfo", "/dev/null"};
  process.confinement.read_write = {spec_.folder, memory_folder_};
  process.confinement.traces = true;  // where seccomp cannot be had, or is too old

  if (time_) time_->starting();
  auto started = ChildProcess::start(loop_, process, [this](ExitStatus status) { exited(status); });
  if (!started) {
    if (time_) time_->ended();
    forget_memory();
    return tl::unexpected<Error>(std::move(started.error()).while_doing("starting " + spec_.name));
  }
  process_ = std::move(*started);
  for (ChildPipe* pipe : {&input_, &output_}) pipe->its.reset();
  if (!lane_pausing_) stop_and_go_.started();
  console_watch_ = loop_.watch(output_.ours.get(), EPOLLIN, [this](std::uint32_t) { read_console(); });
  state_ = MachineState::running;
  cut_ = false;
  return {};
}

Status UmlMachine::power(PowerAction action) {
  if (action == PowerAction::press) {
    return fail(ErrorKind::usage, kNoButton);
  }
  coming_.not_any_more(spec_.name);
  if (state_ != MachineState::running) {
    if (action == PowerAction::reset) return start();
    return {};
  }
  cut_ = true;
  if (action == PowerAction::reset) coming_.plan({.reason = "reset"});
  if (spec_.lane == nullptr) {
    pull_the_plug();
  } else {
    spec_.lane->enter([this] { pull_the_plug(); });
  }
  return {};
}

void UmlMachine::pull_the_plug() {
  if (!process_->running()) return;
  if (spec_.lane != nullptr) spec_.lane->begin();  // to die takes the host a while, and no time here
  process_->kill();
}

void UmlMachine::exited(ExitStatus status) {
  read_console();
  console_watch_.stop();
  for (ChildPipe* pipe : {&input_, &output_}) pipe->ours.reset();
  if (spec_.lane == nullptr) return finish(status);
  settle();  // its last words come before its end
  // Told before the lane rests: what has entered meanwhile is then acted upon, as far as the host let the
  // loop's time go on, and moves the lane's present.
  spec_.lane->leave([this, status] { finish(status); });
  time_->ended();
}

// A kernel unlinks its memory as soon as it has it; one that was killed before that has not. What else it may
// have written there, as much as it liked, goes with the lab.
void UmlMachine::forget_memory() {
  constexpr int kFiles = 16;
  std::error_code error;
  fs::directory_iterator it(memory_folder_, error);
  for (int i = 0; i < kFiles && !error && it != fs::directory_iterator(); ++i, it.increment(error))
    ::unlink(it->path().c_str());
  ::rmdir(memory_folder_.c_str());
}

void UmlMachine::finish(ExitStatus status) {
  forget_memory();
  if (!lane_pausing_) stop_and_go_.ended();
  const bool expected = cut_ || status.clean();
  state_ = expected ? MachineState::off : MachineState::failed;
  const std::string reason = coming_          ? coming_.reason()
                             : cut_           ? "power cut"
                             : status.clean() ? "powered off"
                                              : status.describe();
  coming_.now();
  events_.state_changed(*this, state_, reason);
}

void UmlMachine::start_again(const std::string& reason) {
  const Status started = start();
  if (!started) state_ = MachineState::failed;
  events_.state_changed(*this, state_, started ? reason : started.error().message);
}

void UmlMachine::read_console() {
  const bool open = read_what_is_there(output_.ours, [this](std::string_view bytes) {
    if (spec_.lane == nullptr) {
      events_.console_output(*this, bytes);
    } else {
      said_ += bytes.substr(0, kSaidMost - std::min(kSaidMost, said_.size()));
    }
  });
  if (!open) console_watch_.stop();
}

void UmlMachine::settle() {
  read_console();
  if (said_.empty()) return;
  spec_.lane->leave([this, said = std::exchange(said_, {})] { events_.console_output(*this, said); });
}

void UmlMachine::console_input(std::string_view bytes) {
  // A guest that does not read its console loses what does not fit, as on a serial line.
  if (input_.ours) (void)!::write(input_.ours.get(), bytes.data(), bytes.size());
}

std::vector<pid_t> UmlMachine::processes() const {
  if (!process_ || !process_->running()) return {};
  return {process_->pid()};
}

}  // namespace

std::vector<std::string> uml_arguments(const MachineSpec& spec, bool time_travel) {
  std::vector<std::string> arguments{
      "mem=" + std::to_string(spec.memory.count >> 20) + "M",
      std::string("initrd=") + kInitramfsName,
      "con=null",
      "con0=fd:0,fd:1",
      "seccomp=auto",
      "uml_dir=.",
      "umid=uml",
  };
  for (const NicPlug& nic : spec.nics) {
    arguments.push_back("virtio_uml.device=" + nic.socket + ":" + std::to_string(kVirtioNet));
  }
  for (const DiskPlug& disk : spec.disks) {
    arguments.push_back("virtio_uml.device=" + disk.socket + ":" + std::to_string(kVirtioBlock));
  }
  if (time_travel) arguments.push_back(std::string("time-travel=ext:") + kTimeTravelName);
  std::size_t start = 0;
  while (start < spec.command_line.size()) {
    const std::size_t end = std::min(spec.command_line.find(' ', start), spec.command_line.size());
    if (end > start) arguments.push_back(spec.command_line.substr(start, end - start));
    start = end + 1;
  }
  return arguments;
}

Result<Capabilities> UmlBackend::probe(const Hardware&) {
  Capabilities capabilities;
  capabilities.virtual_time = true;
  capabilities.pause = true;
  capabilities.nics_max = 8;
  capabilities.disk_wire = DiskWire::vhost_user;
  capabilities.lacks = {
      {"snapshot", "a guest is many host processes, which nothing writes down together; use backend: qemu"},
      {"firmware", "it is a kernel and no PC: it is given the virtual boot ROM; use backend: qemu"},
      {"press", kNoButton}};
  return capabilities;
}

Result<std::unique_ptr<Machine>> UmlBackend::create(MachineSpec spec, MachineEvents& events) {
  auto machine = std::make_unique<UmlMachine>(loop_, std::move(spec), events);
  ROOKERY_TRY(machine->prepare());
  return machine;
}

}  // namespace rookery::backends
