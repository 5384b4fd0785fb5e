#include "vboot/cli/live_view.h"

#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include <fcntl.h>
#include <langinfo.h>
#include <ncurses.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <optional>

#include "vboot/report/picture.h"

namespace rookery::vboot {
namespace {

constexpr long kBetweenFrames = 150'000'000;  // nanoseconds
constexpr std::size_t kMessages = 10, kConsoleLines = 200;

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
      ::tcsetattr(2, TCSADRAIN, &before);
      (void)!::write(2, farewell.data(), farewell.size());
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

}  // namespace

// ncurses from initialisation to end.
class LiveView::Terminal {
 public:
  static std::unique_ptr<Terminal> open() {
    // Characters beyond ASCII need a locale that has them; Debian always has this one.
    std::setlocale(LC_CTYPE, "");
    if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
    std::unique_ptr<Terminal> terminal(new Terminal);
    termios before{};
    if (::tcgetattr(2, &before) != 0) return nullptr;
    terminal->screen_ = ::newterm(nullptr, stderr, stdin);
    if (terminal->screen_ == nullptr) return nullptr;
    terminal->keeper_ = start_terminal_keeper(
        before, capability("rmcup") + capability("cnorm") + capability("sgr0") + capability("rmkx"));
    ::cbreak();
    ::noecho();
    ::nodelay(::stdscr, TRUE);
    ::keypad(::stdscr, TRUE);
    ::set_escdelay(25);
    ::curs_set(0);
    terminal->prepare_colours();
    return terminal;
  }
  ~Terminal() {
    if (screen_ == nullptr) return;
    ::endwin();
    ::delscreen(screen_);
    if (keeper_) (void)!::write(keeper_.get(), "q", 1);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void paint(const Screen& rows) {
    ::erase();
    for (std::size_t y = 0; y < rows.size() && static_cast<int>(y) < LINES; ++y) {
      ::move(static_cast<int>(y), 0);
      int room = COLS;
      for (const Span& span : rows[y]) put(span, room);
    }
    ::refresh();
  }

 private:
  Terminal() = default;

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
  static void put(const Span& span, int& room) {
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

  SCREEN* screen_ = nullptr;
  UniqueFd keeper_;
};

bool LiveView::is_possible() {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  return ::isatty(0) != 0 && ::isatty(2) != 0 && (no_color == nullptr || *no_color == '\0') &&
         term != nullptr && std::strcmp(term, "dumb") != 0;
}

LiveView::LiveView(RunningLab& lab, Recorder& recorder, std::function<void()> left)
    : lab_(lab), recorder_(recorder), left_(std::move(left)) {}

std::unique_ptr<LiveView> LiveView::open(EventLoop& loop, RunningLab& lab, Recorder& recorder,
                                         std::function<void()> left) {
  std::unique_ptr<LiveView> view(new LiveView(lab, recorder, std::move(left)));
  view->ticks_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!view->ticks_) return nullptr;
  const itimerspec every{{0, kBetweenFrames}, {0, 1}};
  ::timerfd_settime(view->ticks_.get(), 0, &every, nullptr);
  view->terminal_ = Terminal::open();
  if (!view->terminal_) return nullptr;
  LiveView* const raw = view.get();
  view->tick_watch_ = loop.watch(view->ticks_.get(), EPOLLIN, [raw](std::uint32_t) {
    std::uint64_t count;
    (void)!::read(raw->ticks_.get(), &count, sizeof count);
    raw->keys();  // the news of another size comes this way too
    raw->draw();
  });
  view->key_watch_ = loop.watch(0, EPOLLIN, [raw](std::uint32_t) {
    raw->keys();
    raw->draw();
  });
  return view;
}

LiveView::~LiveView() = default;

void LiveView::say(std::string_view line) {
  messages_.emplace_back(line);
  if (messages_.size() > kMessages) messages_.pop_front();
}

void LiveView::keys() {
  bool leaves = false;
  for (int key; (key = ::getch()) != ERR;) {
    if (key == 'q' || key == 'Q') leaves = true;
    if (key == KEY_RESIZE) ::clearok(::curscr, TRUE);  // what the terminal made of the old text is not known
    if (const auto known = key_of(key)) state_.press(*known, recorder_.history());
  }
  if (leaves) left_();
}

void LiveView::draw() {
  LiveInput input{
      recorder_.history(), recorder_.elapsed(), lab_.plan().name, {messages_.begin(), messages_.end()}, {}};
  // Physical machines, which come behind the lab's own, have no console here.
  if (state_.inside && state_.chosen && *state_.chosen < lab_.nodes().size())
    input.console = lab_.nodes()[*state_.chosen]->console().last_lines(kConsoleLines);
  terminal_->paint(compose(input, state_, static_cast<std::size_t>(COLS), static_cast<std::size_t>(LINES)));
}

}  // namespace rookery::vboot
