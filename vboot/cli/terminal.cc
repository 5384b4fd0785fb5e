#include "vboot/cli/terminal.h"

#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include <fcntl.h>
#include <langinfo.h>
#include <ncurses.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <deque>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/unique_fd.h"
#include "base/units.h"
#include "vboot/report/picture.h"

namespace rookery::vboot {
namespace {

constexpr Duration kPatience = std::chrono::seconds(1);
constexpr std::size_t kKeysMost = 256;  // that wait for the loop; somebody leans on the keyboard

constexpr short kSoft = 20, kGood = 21, kBad = 22;  // colour pairs; those of stages are 1 to 8
short pair_of(Stage stage) {
  return static_cast<short>(1 + static_cast<int>(stage));
}

// Waits for the end of this process and then puts the terminal back, unless it was told that this is done:
// closing what is returned without a word means that nobody did it.
UniqueFd start_terminal_keeper(const termios& before, const std::string& farewell) {
  int line[2];
  if (::pipe2(line, O_CLOEXEC) != 0) return {};
  UniqueFd its(line[0]), ours(line[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::fork() != 0) ::_exit(0);  // twice, so that nobody has to wait for it
    ::prctl(PR_SET_NAME, "rookery-term");
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);  // SIGTTOU too: it may be in the background by then
    if (::dup2(its.get(), 0) != 0) ::_exit(1);
    if (::dup2(2, 1) != 1) ::_exit(1);
    ::syscall(SYS_close_range, 3u, ~0u, 0);
    char byte;
    ssize_t got;
    while ((got = ::read(0, &byte, 1)) < 0 && errno == EINTR) {
    }
    if (got == 0) {
      // One that stands still is not waited for long: it has its modes back in any case.
      constexpr int kPatienceMs = 1000;
      ::tcsetattr(2, TCSANOW, &before);
      const int own = ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
      pollfd ready{own, POLLOUT, 0};
      if (own >= 0 && ::poll(&ready, 1, kPatienceMs) > 0)
        (void)!::write(own, farewell.data(), farewell.size());
    }
    ::_exit(0);
  }
  while (pid > 0 && ::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return pid > 0 ? std::move(ours) : UniqueFd();
}

std::string capability(const char* name) {
  // terminfo(5) keeps strings as char*; tigetstr wants one that it does not change.
  char* text = ::tigetstr(const_cast<char*>(name));  // NOLINT
  return text == nullptr || reinterpret_cast<std::intptr_t>(text) == -1 ? std::string() : text;
}

std::optional<ViewKey> key_of(int key) {
  switch (key) {
    case KEY_LEFT:
    case 'h':
      return ViewKey::left;
    case KEY_RIGHT:
    case 'l':
      return ViewKey::right;
    case KEY_UP:
    case 'k':
      return ViewKey::up;
    case KEY_DOWN:
    case 'j':
      return ViewKey::down;
    case KEY_HOME:
    case 'g':
      return ViewKey::first;
    case KEY_END:
    case 'G':
      return ViewKey::last;
    case KEY_ENTER:
    case '\r':
    case '\n':
    case ' ':
      return ViewKey::into;
    case 27:
    case KEY_BACKSPACE:
      return ViewKey::back;
    case 'f':
      return ViewKey::next_failed;
    default:
      return std::nullopt;
  }
}

void wake(const UniqueFd& fd) {
  const std::uint64_t one = 1;
  (void)!::write(fd.get(), &one, sizeof one);
}

void calm(const UniqueFd& fd) {
  std::uint64_t count;
  (void)!::read(fd.get(), &count, sizeof count);
}

void prepare_colours() {
  ::start_color();
  ::use_default_colors();
  const bool many = COLORS >= 256;
  for (const Stage stage : kStages) {
    const StageLook& look = look_of(stage);
    const bool light =
        stage == Stage::script || stage == Stage::kernel || stage == Stage::root || stage == Stage::ready;
    ::init_pair(pair_of(stage), light ? COLOR_BLACK : static_cast<short>(many ? 231 : COLOR_WHITE),
                many ? look.on_terminal : look.on_few);
  }
  ::init_pair(kSoft, static_cast<short>(many ? 245 : COLOR_CYAN), -1);
  ::init_pair(kGood, static_cast<short>(many ? 71 : COLOR_GREEN), -1);
  ::init_pair(kBad, static_cast<short>(many ? 203 : COLOR_RED), -1);
}

// As much of it as there is room for in the row.
void put(const Span& span, int& room) {
  attr_t attributes = span.paint == Paint::strong || span.chosen ? A_BOLD : A_NORMAL;
  if (span.chosen) attributes |= A_REVERSE;
  const short pair = span.stage                  ? pair_of(*span.stage)
                     : span.paint == Paint::soft ? kSoft
                     : span.paint == Paint::good ? kGood
                     : span.paint == Paint::bad  ? kBad
                                                 : short{0};
  ::attr_set(attributes, pair, nullptr);
  std::mbstate_t state{};
  const char* at = span.text.data();
  const char* const end = at + span.text.size();
  while (at < end) {
    wchar_t one = 0;
    const std::size_t length = std::mbrtowc(&one, at, static_cast<std::size_t>(end - at), &state);
    if (length == 0 || length > 4) break;  // none, or not of this locale
    const int width = ::wcwidth(one);
    if (width > room) break;
    if (width > 0) {
      ::addnwstr(&one, 1);
      room -= width;
    }
    at += length;
  }
  ::attr_set(A_NORMAL, 0, nullptr);
}

}  // namespace

struct Terminal::Shared {
  UniqueFd to_painter{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  UniqueFd to_loop{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Screen> screen;  // the next to be painted
  std::deque<Key> keys;
  std::size_t width = 80, height = 24;
  sigset_t mask{};  // of who opened it
  bool opened = false, ended = false, stop = false;
};

// The thread's part: ncurses from initialisation to end.
class Terminal::Painter {
 public:
  explicit Painter(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  void run() {
    if (begin()) {
      tell([](Shared& shared) { shared.opened = true; });
      work();
      ::endwin();
      ::delscreen(screen_);
      if (keeper_) (void)!::write(keeper_.get(), "q", 1);
    }
    tell([](Shared& shared) { shared.ended = true; });
  }

 private:
  bool begin() {
    termios before{};
    if (::tcgetattr(2, &before) != 0) return false;
    screen_ = ::newterm(nullptr, stderr, stdin);
    if (screen_ == nullptr) return false;
    keeper_ = start_terminal_keeper(
        before, capability("rmcup") + capability("cnorm") + capability("sgr0") + capability("rmkx"));
    ::cbreak();
    ::noecho();
    ::nodelay(::stdscr, TRUE);
    ::keypad(::stdscr, TRUE);
    ::set_escdelay(25);
    ::curs_set(0);
    prepare_colours();
    note_size();
    return true;
  }

  void work() {
    while (!gone_) {
      pollfd waiting[2] = {{0, POLLIN, 0}, {shared_->to_painter.get(), POLLIN, 0}};
      if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
      calm(shared_->to_painter);
      const bool typed = read_keys();
      // Ready to be read, and nothing there: its other end is closed.
      gone_ =
          waiting[0].revents != 0 && ((waiting[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0 || !typed);
      std::optional<Screen> next;
      {
        const std::lock_guard lock(shared_->mutex);
        if (shared_->stop) return;
        next = std::exchange(shared_->screen, std::nullopt);
      }
      if (next) paint(*next);
    }
    push({std::nullopt, true});
  }

  bool read_keys() {
    bool any = false;
    for (int key; (key = ::getch()) != ERR;) {
      any = true;
      if (key == KEY_RESIZE) {
        ::clearok(::curscr, TRUE);  // what the terminal made of the old text is not known
        note_size();
      }
      if (key == 'q' || key == 'Q') push({std::nullopt, true});
      if (const auto known = key_of(key)) push({known, false});
    }
    return any;
  }

  static void paint(const Screen& rows) {
    ::erase();
    for (std::size_t y = 0; y < rows.size() && static_cast<int>(y) < LINES; ++y) {
      ::move(static_cast<int>(y), 0);
      int room = COLS;
      for (const Span& span : rows[y]) put(span, room);
    }
    ::refresh();
  }

  void note_size() {
    tell([](Shared& shared) {
      shared.width = static_cast<std::size_t>(COLS);
      shared.height = static_cast<std::size_t>(LINES);
    });
  }
  void push(const Key& key) {
    tell([&](Shared& shared) {
      if (shared.keys.size() < kKeysMost || key.leaves) shared.keys.push_back(key);
    });
    wake(shared_->to_loop);
  }
  template <typename Change>
  void tell(Change change) {
    const std::lock_guard lock(shared_->mutex);
    change(*shared_);
    shared_->changed.notify_all();
  }

  std::shared_ptr<Shared> shared_;
  SCREEN* screen_ = nullptr;
  UniqueFd keeper_;
  bool gone_ = false;
};

std::unique_ptr<Terminal> Terminal::open() {
  // Characters beyond ASCII need a locale that has them; Debian always has this one.
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
  auto shared = std::make_shared<Shared>();
  if (!shared->to_painter || !shared->to_loop) return nullptr;
  std::unique_ptr<Terminal> terminal(new Terminal(shared));
  // Ctrl-Z and a new size are the thread's affair, because ncurses' handlers write to the terminal.
  sigset_t its, before;
  sigfillset(&its);
  ::sigdelset(&its, SIGTSTP);
  ::sigdelset(&its, SIGWINCH);
  ::pthread_sigmask(SIG_SETMASK, &its, &before);
  bool begun = true;
  try {
    std::thread([shared] { Painter(shared).run(); }).detach();
  } catch (const std::system_error&) {  // no thread can be had (ulimit -u)
    begun = false;
    shared->ended = true;
  }
  shared->mask = before;
  ::sigaddset(&before, SIGTSTP);
  ::sigaddset(&before, SIGWINCH);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::unique_lock lock(shared->mutex);
  shared->changed.wait_for(lock, kPatience, [&] { return shared->opened || shared->ended; });
  const bool opened = begun && shared->opened;
  lock.unlock();
  return opened ? std::move(terminal) : nullptr;
}

Terminal::~Terminal() {
  std::unique_lock lock(shared_->mutex);
  shared_->stop = true;
  wake(shared_->to_painter);
  shared_->changed.wait_for(lock, kPatience, [this] { return shared_->ended; });
  ::pthread_sigmask(SIG_SETMASK, &shared_->mask, nullptr);
}

void Terminal::paint(Screen screen) {
  const std::lock_guard lock(shared_->mutex);
  shared_->screen = std::move(screen);
  wake(shared_->to_painter);
}

std::size_t Terminal::width() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->width;
}

std::size_t Terminal::height() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->height;
}

int Terminal::key_fd() const {
  return shared_->to_loop.get();
}

std::optional<Terminal::Key> Terminal::next_key() {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->keys.empty()) {
    calm(shared_->to_loop);
    return std::nullopt;
  }
  const Key key = shared_->keys.front();
  shared_->keys.pop_front();
  return key;
}

}  // namespace rookery::vboot
