#include "base/command.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/signals.h"
#include "base/unique_fd.h"

namespace rookery {
namespace {

constexpr std::size_t kOutputLimit = 64u << 20;
constexpr std::size_t kErrorsLimit = 64u << 10;
constexpr std::size_t kLineLimit = 64u << 10;

struct Pipe {
  UniqueFd read_end, write_end;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Gives `on_line` each whole line of `text`; what is left over stays for the next call, unless it is no line.
void give_lines(std::string& text, const std::function<void(std::string_view)>& on_line) {
  std::size_t start = 0;
  for (std::size_t end; (end = text.find_first_of("\r\n", start)) != std::string::npos; start = end + 1) {
    if (end > start) on_line(std::string_view(text).substr(start, end - start));
  }
  text.erase(0, start);
  if (text.size() > kLineLimit) text.clear();
}

// While it lives, this thread's writing into a pipe that nobody reads is an error and no signal.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    const timespec now{};
    if (sigismember(&before_, SIGPIPE) == 0) ::sigtimedwait(&pipe_, nullptr, &now);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

constexpr int kPatience = 30'000;  // milliseconds from SIGTERM to SIGKILL

// What is still to be asked to end, and how.
struct Stopping {
  int descriptor;  // -1: it has been asked, or nobody can ask
  pid_t group;
  int signal = SIGTERM;

  // How long poll() may wait.
  int patience() const { return signal == SIGTERM ? -1 : kPatience; }
  void ask() {
    ::kill(-group, signal);
    descriptor = -1;
    signal = SIGKILL;
  }
};

[[noreturn]] void become(const Command& command, const std::vector<char*>& argv, pid_t parent, int in,
                         int out, int err) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  if (command.stop >= 0) ::setpgid(0, 0);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  restore_signals();
  if (!command.folder.empty() && ::chdir(command.folder.c_str()) != 0) {
    ::dprintf(2, "cannot enter %s: %s\n", command.folder.c_str(), std::strerror(errno));
    ::_exit(127);
  }
  for (const auto& [name, value] : command.environment) ::setenv(name.c_str(), value.c_str(), 1);
  ::execvp(argv[0], argv.data());
  ::dprintf(2, "cannot run %s: %s\n", argv[0], std::strerror(errno));
  ::_exit(127);
}

}  // namespace

Result<CommandOutput> run_command(const Command& command) {
  auto in = make_pipe();
  auto out = make_pipe();
  auto err = make_pipe();
  if (!in || !out || !err) return fail("cannot run " + command.argv.at(0) + ": no pipes left");

  std::vector<char*> argv;
  for (const std::string& word : command.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("cannot run " + command.argv[0]);
  if (child == 0) {
    become(command, argv, parent, in->read_end.get(), out->write_end.get(), err->write_end.get());
  }
  if (command.stop >= 0) ::setpgid(child, child);  // whoever of the two comes first
  Stopping stopping{command.stop, child};
  in->read_end.reset();
  out->write_end.reset();
  err->write_end.reset();

  CommandOutput result;
  std::string out_line, err_line;
  std::string_view input = command.input;
  ::fcntl(in->write_end.get(), F_SETFL, O_NONBLOCK);
  if (input.empty()) in->write_end.reset();
  const NoPipeSignal no_signal;  // from a child that closes its input early
  while (out->read_end || err->read_end) {
    pollfd fds[4] = {{out->read_end.get(), POLLIN, 0},
                     {err->read_end.get(), POLLIN, 0},
                     {in->write_end.get(), POLLOUT, 0},
                     {stopping.descriptor, POLLIN, 0}};
    const int ready = ::poll(fds, 4, stopping.patience());
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) break;
    if (ready == 0 || fds[3].revents != 0) stopping.ask();
    char block[1 << 16];
    if (fds[0].revents != 0) {
      const ssize_t got = ::read(out->read_end.get(), block, sizeof block);
      if (got <= 0) {
        out->read_end.reset();
      } else {
        const std::string_view text(block, static_cast<std::size_t>(got));
        if (result.output.size() + text.size() <= kOutputLimit) result.output += text;
        if (command.on_line && command.lines_from_output) give_lines(out_line += text, command.on_line);
      }
    }
    if (fds[1].revents != 0) {
      const ssize_t got = ::read(err->read_end.get(), block, sizeof block);
      if (got <= 0) {
        err->read_end.reset();
      } else {
        const std::string_view text(block, static_cast<std::size_t>(got));
        result.errors += text;
        if (result.errors.size() > kErrorsLimit) result.errors.erase(0, result.errors.size() - kErrorsLimit);
        if (command.on_line) give_lines(err_line += text, command.on_line);
      }
    }
    if (fds[2].revents != 0) {
      const ssize_t wrote = ::write(in->write_end.get(), input.data(), input.size());
      if (wrote > 0) input.remove_prefix(static_cast<std::size_t>(wrote));
      if ((wrote < 0 && errno != EAGAIN && errno != EINTR) || input.empty()) in->write_end.reset();
    }
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

Result<CommandOutput> run_checked(const Command& command) {
  auto result = run_command(command);
  if (!result || result->exit_code == 0) return result;
  std::string_view errors = result->errors;
  constexpr std::size_t kShown = 2000;
  if (errors.size() > kShown) errors.remove_prefix(errors.size() - kShown);
  return fail(command.argv[0] + " ended with exit code " + std::to_string(result->exit_code) + ":\n" +
              std::string(errors));
}

Result<std::filesystem::path> find_program(std::string_view name, std::string_view debian_package) {
  const char* path = std::getenv("PATH");
  std::string_view folders = path != nullptr ? path : "/usr/bin:/bin";
  // Debian keeps some programs that an ordinary user may run out of an ordinary user's PATH.
  const std::string all = std::string(folders) + ":/usr/sbin:/sbin";
  for (std::size_t start = 0; start <= all.size();) {
    const std::size_t end = std::min(all.find(':', start), all.size());
    const std::filesystem::path candidate = std::filesystem::path(all.substr(start, end - start)) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return fail(std::string(name) + " is not installed; it is in the Debian package " +
              std::string(debian_package));
}

}  // namespace rookery
