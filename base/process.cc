#include "base/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/signals.h"

namespace rookery {
namespace {

// What a fork needs, made before it: between fork and exec nothing allocates.
struct Prepared {
  std::vector<char*> argv, environment;
  std::vector<std::string> assignments;
  std::optional<Walls> walls;
};

void complain(const char* step, int error) {
  for (const char* word : {"rookery: the walls around this process cannot be raised: ", step, ": ",
                           ::strerrordesc_np(error), "\n"})
    (void)!::write(2, word, std::strlen(word));
}

[[noreturn]] void become(const ProcessSpec& spec, Prepared& prepared, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::setpgid(0, 0);
  const int null = ::open("/dev/null", O_RDWR);
  // The three may overlap with 0..2: moved out of the way first.
  const int in = ::fcntl(spec.input >= 0 ? spec.input : null, F_DUPFD, 10);
  const int out = ::fcntl(spec.output >= 0 ? spec.output : null, F_DUPFD, 10);
  const int err = ::fcntl(spec.errors >= 0 ? spec.errors : null, F_DUPFD, 10);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
  restore_signals();
  if (prepared.walls) {
    if (const char* failed = prepared.walls->raise()) {
      complain(failed, errno);
      ::_exit(125);
    }
    // A change of credentials can take the wish back (prctl(2), PR_SET_PDEATHSIG).
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
  }
  if (!spec.folder.empty() && ::chdir(spec.folder.c_str()) != 0) ::_exit(126);
  ::execve(prepared.argv[0], prepared.argv.data(), prepared.environment.data());
  ::_exit(127);
}

}  // namespace

std::string ExitStatus::describe() const {
  if (signal != 0) return "killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  return "exit code " + std::to_string(code);
}

Status ChildPipe::make(bool to_child) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe");
  ours = UniqueFd(ends[to_child ? 1 : 0]);
  its = UniqueFd(ends[to_child ? 0 : 1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  return {};
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(EventLoop& loop, const ProcessSpec& spec,
                                                          std::function<void(ExitStatus)> on_exit) {
  Prepared prepared;
  for (const std::string& word : spec.argv) prepared.argv.push_back(const_cast<char*>(word.c_str()));
  prepared.argv.push_back(nullptr);
  for (const auto& [name, value] : spec.environment) prepared.assignments.push_back(name + "=" + value);
  for (std::string& assignment : prepared.assignments) prepared.environment.push_back(assignment.data());
  prepared.environment.push_back(nullptr);
  if (::access(spec.argv.at(0).c_str(), X_OK) != 0) return fail_errno("cannot run " + spec.argv[0]);
  if (spec.confined) {
    auto walls = Walls::prepare(spec.confinement, host_walls());
    if (!walls)
      return tl::unexpected<Error>(std::move(walls.error()).while_doing("confining " + spec.argv[0]));
    prepared.walls = std::move(*walls);
  }

  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // what a child leaves behind comes to us: end_group()
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const pid_t parent = ::getpid();
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return fail_errno("cannot start a process for " + spec.argv[0]);
  if (pid == 0) become(spec, prepared, parent);

  std::unique_ptr<ChildProcess> child(new ChildProcess);
  child->pid_ = static_cast<pid_t>(pid);
  child->pidfd_ = UniqueFd(pidfd);
  child->on_exit_ = std::move(on_exit);
  child->watch_ = loop.watch(pidfd, EPOLLIN, [raw = child.get()](std::uint32_t) { raw->reap(); });
  return child;
}

void ChildProcess::reap() {
  const auto status = end_group();
  if (!status) return;
  running_ = false;
  watch_.stop();
  if (on_exit_) std::exchange(on_exit_, nullptr)(*status);
}

// Waits for its end, and for that of what it leaves behind in its process group: those become our children,
// because we are the reaper of orphans (see start()), so that none of them is left when this returns.
std::optional<ExitStatus> ChildProcess::end_group() {
  siginfo_t info{};
  const auto wait_for_leader = [&](int options) {
    int failed;
    do failed = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, options);
    while (failed != 0 && errno == EINTR);
    return failed == 0;
  };
  if (!wait_for_leader(WEXITED | WNOWAIT)) return std::nullopt;
  ::kill(-pid_, SIGKILL);  // while its number, and so the group's, cannot be another's
  if (!wait_for_leader(WEXITED)) return std::nullopt;
  while (::waitpid(-pid_, nullptr, __WALL) > 0 || errno == EINTR) {
  }
  ExitStatus status;
  (info.si_code == CLD_EXITED ? status.code : status.signal) = info.si_status;
  return status;
}

void ChildProcess::signal(int number) {
  if (running_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

void ChildProcess::signal_all(int number) {
  if (!running_) return;
  signal(number);
  ::kill(-pid_, number);  // its group; cannot be another's while the leader is not reaped
}

ChildProcess::~ChildProcess() {
  watch_.stop();
  if (!running_) return;
  kill();
  end_group();
}

namespace {

// Ends what our children have left in a folder, and waits until it has ended. A guest's kernel is killed with
// us, and its processes with it; but one that it was just starting has not asked for that yet
// (PR_SET_PDEATHSIG comes after its exec). Leaders of a process group are no such orphans: a guest's kernel,
// which is dying, or somebody's shell.
void end_orphans_in(const std::string& folder) {
  const auto is_orphan = [&folder](const std::string& pid) {
    std::error_code error;
    const std::string place = std::filesystem::read_symlink("/proc/" + pid + "/cwd", error).string();
    const bool inside = place == folder || place.starts_with(folder + "/");
    return inside && ::getpgid(std::stoi(pid)) != std::stoi(pid);
  };
  constexpr int kRounds = 100, kPatienceMs = 1000;
  bool found = true;
  for (int round = 0; found && round < kRounds; ++round) {
    found = false;
    std::error_code error;
    for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos || !is_orphan(name)) continue;
      // Looked at again through the pidfd's eyes: by now the number could be another's.
      const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, std::stoi(name), 0)));
      if (!process || !is_orphan(name)) continue;
      if (::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) != 0) continue;
      found = true;
      pollfd ended{process.get(), POLLIN, 0};
      ::poll(&ended, 1, kPatienceMs);
    }
  }
}

// To its end: until then the janitor holds its claim. It has all signals blocked; its child must not.
void run_last(const std::vector<std::string>& words) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    restore_signals();
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  while (child > 0 && ::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

// While the name is that of the folder that we hold, no other lab of this name can begin, and all that is in
// it is ours to end. One that somebody removed under its lab may still have processes in it.
void clear_away(const std::vector<const ClaimedFolder*>& folders) {
  for (const ClaimedFolder* folder : folders) end_orphans_in(folder->path.string());
  for (const ClaimedFolder* folder : folders) {
    // A dying guest may still make a file while we remove: a few rounds, bounded.
    constexpr int kRounds = 100;
    std::error_code error;
    for (int round = 0; round < kRounds && folder->stands(); ++round)
      std::filesystem::remove_all(folder->path, error);
  }
}

Result<UniqueFd> start_janitor(const std::vector<const ClaimedFolder*>& folders,
                               const std::vector<std::string>& last) {
  int line[2];
  if (::pipe2(line, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe for the janitor");
  UniqueFd ours(line[1]), its(line[0]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("cannot start the janitor");
  if (pid == 0) {
    // Twice, so that nobody has to wait for it.
    if (::fork() != 0) ::_exit(0);
    ::setsid();
    ::prctl(PR_SET_NAME, "rookery-janitor");
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    // Out of the way of the first few numbers, which may be any of them; then all others are closed.
    const int line_at = 3, first = line_at + 1, beyond = first + static_cast<int>(folders.size());
    std::vector<int> away{::fcntl(its.get(), F_DUPFD, beyond)};
    for (const ClaimedFolder* folder : folders) away.push_back(::fcntl(folder->claim.get(), F_DUPFD, beyond));
    for (std::size_t i = 0; i < away.size(); ++i) {
      const int at = line_at + static_cast<int>(i);
      if (::dup2(away[i], at) != at) ::_exit(1);
    }
    ::syscall(SYS_close_range, static_cast<unsigned>(beyond), ~0u, 0);
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
    if (::chdir("/") != 0) ::_exit(1);
    char byte;
    while (::read(line_at, &byte, 1) < 0 && errno == EINTR) {
    }
    std::vector<ClaimedFolder> claimed;
    for (std::size_t i = 0; i < folders.size(); ++i)
      claimed.push_back({folders[i]->path, UniqueFd(first + static_cast<int>(i))});
    std::vector<const ClaimedFolder*> all_of_them;
    bool orderly = true;
    for (const ClaimedFolder& folder : claimed) {
      all_of_them.push_back(&folder);
      orderly = orderly && !folder.stands();
    }
    if (!orderly) {
      clear_away(all_of_them);
      if (!last.empty()) run_last(last);
    }
    ::_exit(0);
  }
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return ours;
}

}  // namespace rookery
