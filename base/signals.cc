#include "base/signals.h"

#include <signal.h>

namespace rookery {

void ignore_full_files() {
  ::signal(SIGXFSZ, SIG_IGN);
}

void ignore_closed_pipes() {
  ::signal(SIGPIPE, SIG_IGN);
}

void restore_signals() {
  ::signal(SIGXFSZ, SIG_DFL);
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace rookery
