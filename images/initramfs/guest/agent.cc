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

#include "images/initramfs/guest/role_files.h"
#include "images/initramfs/guest/stages.h"
#include "images/initramfs/guest/system.h"

namespace rookery::guest {
namespace {

constexpr const char* kFifo = "/run/rookery/agent";
constexpr std::size_t kRunsMax = 16;
constexpr std::size_t kChunk = 16u << 10;
constexpr std::size_t kFifoLineMax = 4096;

struct Run {
  pid_t pid = -1;
  UniqueFd out, err;
  std::optional<int> status;  // once it has been waited for
};

class Agent {
 public:
  explicit Agent(Management management) : management_(std::move(management)) {}
  [[noreturn]] void loop();

 private:
  void handle(const agent::Message& message);
  void start(const agent::Exec& exec);
  void refuse(std::uint32_t request, const std::string& why, std::uint8_t code = 126);
  void step_clock(const agent::StepClock& step);
  void open_console();
  void reap();
  // One piece of a run's output; closes the pipe at its end. After the process has ended, an empty pipe ends
  // too: what it left behind may hold the pipe open for ever.
  void forward(std::uint32_t request, Run& run, UniqueFd& pipe, agent::Stream stream);
  void finish_runs();
  void read_fifo();

  Management management_;
  UniqueFd signals_, fifo_;
  std::string fifo_line_;
  std::map<std::uint32_t, Run> runs_;
  pid_t console_ = -1;
};

[[noreturn]] void become(const std::vector<std::string>& argv) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  static char home[] = "HOME=/root";
  static char term[] = "TERM=linux";
  static char mask[] = "OPENSSL_ia32cap=~0x4000000000000000:~0x40000";  // see stage_two.cc
  static char* environment[] = {path, home, term, mask, nullptr};
  environ = environment;
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  if (chdir("/") == 0) execvp(words[0], words.data());
  dprintf(2, "%s: %s\n", words[0], strerror(errno));
  _exit(127);
}

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

    std::vector<pollfd> waiting{
        {management_.descriptor(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {fifo_.get(), POLLIN, 0}};
    // Output waits in its pipe while the channel is full: its writer waits, too.
    if (management_.has_room(2 * kChunk)) {
      for (const auto& [request, run] : runs_) {
        for (const UniqueFd* pipe : {&run.out, &run.err}) {
          if (*pipe) waiting.push_back({pipe->get(), POLLIN, 0});
        }
      }
    }
    if (poll(waiting.data(), waiting.size(), management_.poll_timeout()) < 0) continue;
    if (waiting[1].revents != 0) reap();
    if (waiting[2].revents != 0) read_fifo();
    finish_runs();
  }
}

void Agent::handle(const agent::Message& message) {
  if (const auto* exec = std::get_if<agent::Exec>(&message)) {
    start(*exec);
  } else if (const auto* stop = std::get_if<agent::Kill>(&message)) {
    const auto run = runs_.find(stop->request);
    if (run == runs_.end() || run->second.status) return;
    // Right after its start it may not lead a group of its own yet.
    if (kill(-run->second.pid, SIGKILL) != 0) kill(run->second.pid, SIGKILL);
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

void Agent::start(const agent::Exec& exec) {
  if (runs_.count(exec.request) != 0) return refuse(exec.request, "agent: this request is running already\n");
  if (runs_.size() >= kRunsMax) return refuse(exec.request, "agent: 16 commands are running already\n");
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0) return refuse(exec.request, "agent: no pipe\n");
  Run run;
  run.out = UniqueFd(out[0]);
  const UniqueFd child_out(out[1]);
  if (pipe2(err, O_CLOEXEC) != 0) return refuse(exec.request, "agent: no pipe\n");
  run.err = UniqueFd(err[0]);
  const UniqueFd child_err(err[1]);
  run.pid = fork();
  if (run.pid < 0) return refuse(exec.request, std::string("agent: ") + strerror(errno) + "\n");
  if (run.pid == 0) {
    setsid();
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(child_out.get(), 1);
    dup2(child_err.get(), 2);
    if (null > 2) close(null);
    become(exec.argv);
  }
  // Ours only: the child's ends must block when nobody reads.
  fcntl(run.out.get(), F_SETFL, O_NONBLOCK);
  fcntl(run.err.get(), F_SETFL, O_NONBLOCK);
  runs_.emplace(exec.request, std::move(run));
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
    for (auto& [request, run] : runs_) {
      if (run.pid == pid) run.status = status;
    }
  }
}

void Agent::forward(std::uint32_t request, Run& run, UniqueFd& pipe, agent::Stream stream) {
  std::uint8_t chunk[kChunk];
  while (pipe && management_.has_room(2 * kChunk)) {
    const ssize_t count = read(pipe.get(), chunk, sizeof chunk);
    if (count > 0) {
      management_.send(agent::Output{request, stream, ByteBuffer(chunk, chunk + count)});
      continue;
    }
    if (count == 0 || (errno == EAGAIN && run.status) || (errno != EAGAIN && errno != EINTR)) pipe.reset();
    return;
  }
}

void Agent::finish_runs() {
  for (auto at = runs_.begin(); at != runs_.end();) {
    auto& [request, run] = *at;
    forward(request, run, run.out, agent::Stream::out);
    forward(request, run, run.err, agent::Stream::err);
    if (!run.status || run.out || run.err) {
      ++at;
      continue;
    }
    const bool by_signal = WIFSIGNALED(*run.status);
    const int code = by_signal ? WTERMSIG(*run.status) : WEXITSTATUS(*run.status);
    management_.send(agent::Exited{request, by_signal, static_cast<std::uint8_t>(code)});
    at = runs_.erase(at);
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
  (void)write_text("/proc/self/oom_score_adj", "-1000");
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
