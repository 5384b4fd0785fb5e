// What stands between the commands and the process that they are: signals, the log, the terminal.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <functional>

#include "base/loop/event_loop.h"
#include "base/signals.h"
#include "vboot/cli/logging.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/cli/stop_signals.h"
#include "vboot/cli/terminal.h"

namespace rookery::vboot {
namespace {

// Runs in a child, whose signals and descriptors are its own.
bool holds_in_child(const std::function<bool()>& what) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int number : {SIGHUP, SIGINT}) ::signal(number, SIG_DFL);  // however this test was started
    ::_exit(what() ? 0 : 1);
  }
  int status = -1;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  return status == 0;
}

// Whether a signal is heard of as one that asks a command to end.
bool is_heard(int number, Duration limit) {
  EventLoop loop(std::make_unique<WallPacer>());
  StopSignals signals;
  bool heard = false;
  if (!signals.watch(loop, [&] { heard = true; })) return false;
  ::kill(::getpid(), number);
  return loop.run_until([&] { return heard; }, limit);
}
bool asks(int number) {
  return is_heard(number, std::chrono::seconds(50));
}
bool is_ignored(int number) {
  return !is_heard(number, std::chrono::milliseconds(1));  // it would be there already
}

// A terminal of its own, on descriptors 0 and 2; `master` is its other end.
bool on_terminal(const std::function<bool(int master)>& what) {
  return holds_in_child([&] {
    int master = -1, slave = -1;
    winsize size{24, 80, 0, 0};
    if (::openpty(&master, &slave, nullptr, nullptr, &size) != 0) return false;
    ::signal(SIGHUP, SIG_IGN);
    ::setsid();
    ::ioctl(slave, TIOCSCTTY, 0);
    for (const int fd : {0, 2}) ::dup2(slave, fd);
    ::close(slave);
    ::setenv("TERM", "xterm-256color", 1);
    return what(master);
  });
}

Screen filled_with(char letter) {
  return Screen(24, ScreenRow{Span{std::string(80, letter), Paint::plain, std::nullopt, false}});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cli)

BOOST_AUTO_TEST_CASE(a_signal_that_was_ignored_stays_so_even_if_it_was_blocked_too) {
  for (const bool blocked : {false, true}) {
    BOOST_TEST(holds_in_child([&] {
      sigset_t all;
      sigfillset(&all);
      if (blocked) ::sigprocmask(SIG_BLOCK, &all, nullptr);
      ::signal(SIGHUP, SIG_IGN);
      ::signal(SIGINT, SIG_IGN);
      ::signal(SIGTERM, SIG_IGN);
      settle_inheritance();
      return is_ignored(SIGHUP) && is_ignored(SIGINT) && asks(SIGTERM);
    }));
    BOOST_TEST(holds_in_child([&] {
      sigset_t all;
      sigfillset(&all);
      if (blocked) ::sigprocmask(SIG_BLOCK, &all, nullptr);
      settle_inheritance();
      return asks(SIGHUP) && asks(SIGINT) && asks(SIGTERM);
    }));
  }
}

BOOST_AUTO_TEST_CASE(children_are_waited_for_and_get_SIGPIPE_as_it_is_by_default) {
  BOOST_TEST(holds_in_child([] {
    ::signal(SIGCHLD, SIG_IGN);
    ::signal(SIGPIPE, SIG_IGN);
    settle_inheritance();
    // Ignored, a child's end would be nobody's to see.
    const pid_t child = ::fork();
    if (child == 0) {
      restore_signals();
      ::execl("/bin/sh", "sh", "-c", "kill -PIPE $$; exit 7", nullptr);
      ::_exit(1);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child) return false;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE;
  }));
}

BOOST_AUTO_TEST_CASE(missing_standard_descriptors_are_dev_null) {
  BOOST_TEST(holds_in_child([] {
    for (int fd = 0; fd < 3; ++fd) ::close(fd);
    settle_inheritance();
    const int next = ::open("/dev/null", O_RDONLY);
    char byte = 0;
    return next > 2 && ::read(0, &byte, 1) == 0 && ::write(1, "x", 1) == 1 && ::write(2, "x", 1) == 1;
  }));
}

BOOST_AUTO_TEST_CASE(the_log_has_levels_and_goes_where_it_is_sent) {
  std::string said;
  log_to([&](std::string_view line) { said += std::string(line) + "\n"; });
  BOOST_REQUIRE(set_log_level("warn").has_value());
  spdlog::info("quiet");
  spdlog::warn("the disk is {}", "full");
  BOOST_REQUIRE(set_log_level("debug").has_value());
  log_to([&](std::string_view line) { said += std::string(line) + "!\n"; });  // the level stays
  spdlog::debug("detail");
  BOOST_TEST(said == "rookery: warning: the disk is full\nrookery: debug: detail!\n");
  BOOST_TEST(!set_log_level("loud").has_value());
  BOOST_REQUIRE(set_log_level("warn").has_value());
  log_to_standard_error();
}

BOOST_AUTO_TEST_CASE(a_terminal_that_stands_still_holds_up_nobody) {
  BOOST_TEST(on_terminal([](int master) {
    {
      const auto terminal = Terminal::open();
      if (!terminal || ::write(master, "\x13", 1) != 1) return false;  // Ctrl-S
      for (int i = 0; i < 1000; ++i) terminal->paint(filled_with(static_cast<char>('a' + i % 26)));
      if (terminal->width() != 80 || terminal->height() != 24) return false;
    }
    ::tcflush(2, TCIOFLUSH);
    return true;
  }));
}

BOOST_AUTO_TEST_CASE(a_terminal_that_nobody_reads_holds_up_nobody) {
  BOOST_TEST(on_terminal([](int) {
    const auto terminal = Terminal::open();
    if (!terminal) return false;
    for (int i = 0; i < 1000; ++i) terminal->paint(filled_with(static_cast<char>('a' + i % 26)));
    return true;
  }));
}

BOOST_AUTO_TEST_CASE(keys_come_in_their_order_and_the_end_of_a_terminal_is_one_who_leaves) {
  BOOST_TEST(on_terminal([](int master) {
    const auto terminal = Terminal::open();
    if (!terminal || ::write(master, "hl", 2) != 2) return false;
    const auto next = [&]() -> Terminal::Key {
      for (;;) {
        if (const auto key = terminal->next_key()) return *key;
        pollfd ready{terminal->key_fd(), POLLIN, 0};
        ::poll(&ready, 1, -1);
      }
    };
    const auto first = next(), second = next();
    if (first.key != ViewKey::left || second.key != ViewKey::right || second.leaves) return false;
    ::close(master);
    return next().leaves;
  }));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
