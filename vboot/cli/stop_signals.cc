#include "vboot/cli/stop_signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace rookery::vboot {

sigset_t StopSignals::hold() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    // A signalfd would read an ignored signal, too, once it is blocked.
    struct sigaction inherited {};
    if (::sigaction(number, nullptr, &inherited) == 0 && inherited.sa_handler != SIG_IGN)
      sigaddset(&set, number);
  }
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return set;
}

Status StopSignals::watch(EventLoop& loop, std::function<void()> asked) {
  const sigset_t set = hold();
  descriptor_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor_) return fail_errno("cannot watch for signals");
  watch_ = loop.watch(descriptor_.get(), EPOLLIN, [this, asked = std::move(asked)](std::uint32_t) {
    signalfd_siginfo info;
    while (::read(descriptor_.get(), &info, sizeof info) > 0) {
    }
    asked();
  });
  return {};
}

}  // namespace rookery::vboot
