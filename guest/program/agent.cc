// The agent: the supervisor's hand inside a running machine. One poll loop over the management NIC, the fifo
// by which the system's start scripts say that they are done, its children and their output; nothing else
// wakes it.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <type_traits>

#include "guest/program/role_files.h"
#include "guest/program/run.h"
#include "guest/program/stages.h"
#include "guest/program/system.h"

namespace rookery::guest {
namespace {

constexpr const char* kFifo = "/run/rookery/agent";
constexpr std::size_t kProgramsMax = 16;  // beside the streams
constexpr std::size_t kFifoLineMax = 4096;

class Agent {
 public:
  explicit Agent(Management management) : management_(std::move(management)) {}
  [[noreturn]] void loop();

 private:
  void handle(const agent::Message& message);
  Result<Run> start(const agent::Exec& exec) const;
  Result<Run> start(const agent::Open& open) const;
  template <typename Asked>
  void begin(const Asked& asked);
  void refuse(std::uint32_t request, const std::string& why, std::uint8_t code = 126);
  void step_clock(const agent::StepClock& step);
  void open_console();
  void reap();
  void service_runs();
  void read_fifo();

  Management management_;
  UniqueFd signals_, fifo_;
  std::string fifo_line_;
  std::map<std::uint32_t, Run> programs_, streams_;
  pid_t console_ = -1;
};

// Where the kernel's console really is: /dev/console itself cannot be a controlling terminal.
std::string console_device() {
  std::string active = read_text("/sys/class/tty/console/active").value_or("");
  while (!active.empty() && (active.back() == '\n' || active.back() == ' ')) active.pop_back();
  active.erase(0, active.find_last_of(' ') + 1);
  return "/dev/" + (active.empty() ? "console" : active);
}

void Agent::loop() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  signals_ = UniqueFd(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  // Open for writing too, so that the end of one writer is not an event.
  fifo_ = UniqueFd(open(kFifo, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  while (true) {
    // Until nothing is left: what came while a message was handled has been acknowledged, and nothing would
    // wake us for it.
    for (bool handled = true; handled;) {
      management_.service();
      handled = false;
      while (const auto message = management_.next_message()) {
        handle(*message);
        handled = true;
      }
    }
    service_runs();

    std::vector<pollfd> waiting{
        {management_.descriptor(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {fifo_.get(), POLLIN, 0}};
    const bool has_room = management_.has_room(2 * Run::kChunk);
    for (const auto* runs : {&programs_, &streams_}) {
      for (const auto& [request, run] : *runs) run.wait_for(waiting, has_room);
    }
    if (poll(waiting.data(), waiting.size(), management_.poll_timeout()) < 0) continue;
    if (waiting[1].revents != 0) reap();
    if (waiting[2].revents != 0) read_fifo();
  }
}

void Agent::handle(const agent::Message& message) {
  if (const auto* exec = std::get_if<agent::Exec>(&message)) {
    begin(*exec);
  } else if (const auto* open = std::get_if<agent::Open>(&message)) {
    begin(*open);
  } else if (const auto* input = std::get_if<agent::Input>(&message)) {
    if (const auto at = streams_.find(input->request); at != streams_.end())
      at->second.take_input(input->bytes);
  } else if (const auto* taken = std::get_if<agent::Taken>(&message)) {
    if (const auto at = streams_.find(taken->request); at != streams_.end())
      at->second.add_credit(taken->bytes);
  } else if (const auto* stop = std::get_if<agent::Kill>(&message)) {
    for (auto* runs : {&programs_, &streams_}) {
      if (const auto at = runs->find(stop->request); at != runs->end()) at->second.kill();
    }
  } else if (const auto* role = std::get_if<agent::Role>(&message)) {
    if (const Status applied = apply_role(*role); !applied) {
      management_.send(agent::Failed{agent::BootStage::ready, applied.error().message});
    }
  } else if (const auto* step = std::get_if<agent::StepClock>(&message)) {
    step_clock(*step);
  } else if (std::holds_alternative<agent::PowerOff>(message)) {
    management_.flush(std::chrono::milliseconds(200));
    sync();
    reboot(RB_POWER_OFF);
  } else if (std::holds_alternative<agent::OpenConsole>(message)) {
    open_console();
  }
}

void Agent::refuse(std::uint32_t request, const std::string& why, std::uint8_t code) {
  const ByteView text = as_bytes(why);
  management_.send(agent::Output{request, agent::Stream::err, ByteBuffer(text.begin(), text.end())});
  management_.send(agent::Exited{request, false, code});
}

void Agent::step_clock(const agent::StepClock& step) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  std::int64_t total = time.tv_sec * kSecond + time.tv_nsec;
  if (__builtin_add_overflow(total, step.by.count(), &total) || total < 0)
    return refuse(step.request, "agent: no clock shows that time\n", 1);
  time.tv_sec = total / kSecond;
  time.tv_nsec = total % kSecond;
  if (clock_settime(CLOCK_REALTIME, &time) != 0)
    return refuse(step.request, std::string("agent: the clock cannot be set: ") + strerror(errno) + "\n", 1);
  management_.send(agent::Exited{step.request, false, 0});
}

Result<Run> Agent::start(const agent::Exec& exec) const {
  if (programs_.size() >= kProgramsMax) return fail("16 commands are running already");
  return Run::program(exec.argv, false);
}

Result<Run> Agent::start(const agent::Open& open) const {
  if (streams_.size() >= agent::kStreamsMax)
    return fail(std::to_string(agent::kStreamsMax) + " streams are open already");
  return open.port != 0 ? Run::connection(open.port) : Run::program(open.argv, true);
}

template <typename Asked>
void Agent::begin(const Asked& asked) {
  if (programs_.count(asked.request) != 0 || streams_.count(asked.request) != 0)
    return refuse(asked.request, "agent: this request is running already\n");
  Result<Run> run = start(asked);
  if (!run) return refuse(asked.request, "agent: " + run.error().message + "\n");
  (std::is_same_v<Asked, agent::Open> ? streams_ : programs_).emplace(asked.request, std::move(*run));
}

void Agent::open_console() {
  if (console_ > 0) return;
  const pid_t child = fork();
  if (child != 0) {
    console_ = child;
    return;
  }
  setsid();
  const int terminal = open(console_device().c_str(), O_RDWR);
  if (terminal < 0) _exit(127);
  ioctl(terminal, TIOCSCTTY, 1);
  for (int standard = 0; standard <= 2; ++standard) dup2(terminal, standard);
  if (terminal > 2) close(terminal);
  become({access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh", "-l"});
}

void Agent::reap() {
  signalfd_siginfo ignored[8];
  while (read(signals_.get(), ignored, sizeof ignored) > 0) {
  }
  int status = 0;
  while (const pid_t pid = waitpid(-1, &status, WNOHANG)) {
    if (pid < 0) return;
    if (pid == console_) console_ = -1;
    for (auto* runs : {&programs_, &streams_}) {
      for (auto& [request, run] : *runs) {
        if (run.pid() == pid) run.ended(status);
      }
    }
  }
}

void Agent::service_runs() {
  for (auto* runs : {&programs_, &streams_}) {
    for (auto at = runs->begin(); at != runs->end();) {
      at->second.service(at->first, management_);
      const auto end = at->second.finished(at->first);
      if (end) management_.send(*end);
      at = end ? runs->erase(at) : std::next(at);
    }
  }
}

void Agent::read_fifo() {
  char chunk[512];
  ssize_t count = 0;
  while ((count = read(fifo_.get(), chunk, sizeof chunk)) > 0) {
    for (ssize_t i = 0; i < count; ++i) {
      if (chunk[i] != '\n') {
        if (fifo_line_.size() < kFifoLineMax) fifo_line_ += chunk[i];
        continue;
      }
      if (fifo_line_ == "ready") {
        management_.send(agent::Ready{});
      } else if (fifo_line_.starts_with("failed")) {
        const std::string reason =
            fifo_line_.size() > 7 ? fifo_line_.substr(7) : "the system did not say why";
        management_.send(agent::Failed{agent::BootStage::ready, reason});
      }
      fifo_line_.clear();
    }
  }
}

}  // namespace

void serve(Management management) {
  set_program_name("agent");
  signal(SIGPIPE, SIG_IGN);
  setsid();
  keep_when_memory_is_short();
  Agent(std::move(management)).loop();
}

void agent_main() {
  const Interfaces interfaces = find_interfaces();
  if (!interfaces.management) _exit(0);
  Result<Management> management =
      Management::open(*interfaces.management, agent::Program::agent, agent::Source::network);
  if (!management) {
    say(management.error().message);
    _exit(1);
  }
  unlink(kFifo);
  (void)make_folders(kRunFolder);
  (void)mkfifo(kFifo, 0600);
  serve(std::move(*management));
}

}  // namespace rookery::guest
