#include "vboot/cli/standard_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <string>

#include "base/printable.h"
#include "base/signals.h"

namespace rookery::vboot {
namespace {

constexpr int kPatienceMs = 2000;

}  // namespace

void settle_inheritance() {
  for (int fd = 0; fd < 3; ++fd) {
    // The lowest number that is free is the one that is missing, because those below it are there.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) ::_exit(4);
  }
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (const int number : {SIGCHLD, SIGTERM}) ::sigaction(number, &action, nullptr);
  ignore_closed_pipes();
  ignore_full_files();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void complain(std::string_view text) {
  std::string line = printable_lines(text);  // lab files, machines and peers are quoted in it
  line += '\n';
  std::fflush(stdout);  // in the order in which it was said, where both go to one place
  for (std::string_view rest = line; !rest.empty();) {
    pollfd ready{2, POLLOUT, 0};
    const int found = ::poll(&ready, 1, kPatienceMs);
    if (found < 0 && errno == EINTR) continue;
    if (found <= 0) return;
    // So much fits at once where there is room at all.
    const ssize_t written = ::write(2, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF));
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

Status check_output() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0) return {};
  // An earlier print set the stream's mark and has taken the reason with it: it is asked for anew.
  if (errno == 0 && ::write(1, "", 0) == 0)
    return fail("cannot write to standard output: it took only a part");
  return fail_errno("cannot write to standard output");
}

bool output_reader_is_gone() {
  pollfd look{1, POLLOUT, 0};
  return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace rookery::vboot
